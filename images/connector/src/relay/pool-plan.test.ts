import { describe, expect, it } from 'vitest'
import { missingSockets } from './pool-plan.ts'

const pool = { registered: true, want: 0, idle: 0, dialling: 0, asked: 0 }

describe('how many sockets are offered to a Relay', () => {
  it.each([
    ['two at least', pool, 2],
    ['none while not registered', { ...pool, registered: false, want: 10 }, 0],
    ['what the Relay wants', { ...pool, want: 10 }, 10],
    ['64 at most', { ...pool, want: 1_000 }, 64],
    ['less what waits, is being connected or was asked for', { ...pool, want: 10, idle: 3, dialling: 2, asked: 4 }, 1],
    ['none when there are more than wanted', { ...pool, idle: 5 }, 0],
  ])('%s', (_, state, wanted) => {
    expect(missingSockets(state)).toBe(wanted)
  })
})
