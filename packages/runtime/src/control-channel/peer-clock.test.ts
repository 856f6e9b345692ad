import { describe, expect, it } from 'vitest'
import { PeerClock } from './peer-clock.ts'

describe('the clock of the other side', () => {
  it('is unknown before it has stated its time', () => {
    expect(new PeerClock().offsetMs).toBeUndefined()
  })

  it('is taken from the sample that travelled fastest, half a round trip added', () => {
    const clock = new PeerClock()
    clock.sample(10_000 - 40, 5_000)
    clock.sample(20_000 - 8, 15_000)
    clock.sample(30_000 - 200, 25_000)
    clock.roundTrip(90)
    clock.roundTrip(16)
    clock.roundTrip(400)
    expect(clock.offsetMs).toBe(5_000)
  })

  it('follows a clock that was set back', () => {
    const clock = new PeerClock()
    clock.sample(100_000, 10_000)
    clock.sample(20_000, 11_000)
    expect(clock.offsetMs).toBe(9_000)
  })

  it('forgets samples that are old', () => {
    const clock = new PeerClock()
    clock.sample(1_500, 0)
    for (let i = 0; i < 12; i++) clock.sample(1_000, 0)
    expect(clock.offsetMs).toBe(1_000)
  })
})
