import { FakeClock } from '@sallyport/runtime'
import type { DeclaredRow } from '@sallyport/schema'
import { describe, expect, it } from 'vitest'
import { Homecoming } from './homecoming.ts'

const slot = (uid: string, connectorId: string | undefined, connected: boolean, more: object = {}): DeclaredRow => ({
  ...{ kind: 'connector', uid, digest: '', revision: 1 },
  slot: {
    ...{ tokenState: 'used', ...(connectorId && { connectorId }), connected, registered: connected },
    ...{ ready: false, draining: false, ...more },
  },
})
const [A_AWAY, B_AWAY, A_BACK, B_BACK] = [
  slot('a', 'id-a', false),
  slot('b', 'id-b', false),
  slot('a', 'id-a', true),
  slot('b', 'id-b', true),
]

function scene() {
  const clock = new FakeClock()
  const seen = { over: 0 }
  const homecoming = new Homecoming(clock, () => seen.over++)
  return { clock, homecoming, seen }
}

describe('the homecoming of Connectors', () => {
  it('is over when the last is back, and tells that once', () => {
    const { clock, homecoming, seen } = scene()
    homecoming.begin([A_AWAY, B_AWAY])
    homecoming.changed(A_BACK)
    homecoming.changed(slot('b', 'id-b', true, { registered: false }))
    expect([homecoming.isOver, seen.over]).toEqual([false, 0])
    homecoming.changed(B_BACK)
    clock.advance(60_000)
    expect([homecoming.isOver, seen.over]).toEqual([true, 1])
  })

  it('is over at the longest back-off, and not before, whoever is still away', () => {
    const { clock, homecoming, seen } = scene()
    homecoming.begin([A_AWAY, B_BACK])
    clock.advance(59_999)
    expect([homecoming.isOver, seen.over]).toEqual([false, 0])
    clock.advance(1)
    expect([homecoming.isOver, seen.over]).toEqual([true, 1])
  })

  it('waits neither for who is there or drains, nor for who has never enrolled, nor for what is deleted', () => {
    const { homecoming, seen } = scene()
    const draining = slot('old', 'id-old', false, { draining: true })
    homecoming.begin([A_BACK, draining, slot('new', undefined, false), { ...A_BACK, kind: 'group', uid: 'g' }])
    expect(homecoming.isOver).toBe(true)
    homecoming.begin([B_AWAY])
    homecoming.gone('b')
    expect([homecoming.isOver, seen.over]).toEqual([true, 1])
  })

  it('begins anew when the Controller is reached again', () => {
    const { clock, homecoming, seen } = scene()
    homecoming.begin([A_AWAY])
    clock.advance(55_000)
    homecoming.begin([A_AWAY])
    clock.advance(55_000)
    expect(homecoming.isOver).toBe(false)
    clock.advance(5_000)
    expect([homecoming.isOver, seen.over]).toEqual([true, 1])
    homecoming.begin([A_AWAY])
    homecoming.close()
    clock.advance(60_000)
    expect(seen.over).toBe(1)
  })
})
