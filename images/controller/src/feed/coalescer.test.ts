import { FakeClock } from '@sallyport/runtime'
import { describe, expect, it } from 'vitest'
import { Alarm, COALESCE_MS, Coalescer } from './coalescer.ts'

describe('a coalescer', () => {
  it('pushes the first change at once and those that follow in one', () => {
    const clock = new FakeClock()
    const pushes: number[] = []
    const coalescer = new Coalescer(clock, () => pushes.push(clock.monotonic()))
    for (let count = 0; count < 5; count++) coalescer.poke()
    expect(pushes).toEqual([0])
    clock.advance(COALESCE_MS - 1)
    expect(pushes).toEqual([0])
    clock.advance(1)
    expect(pushes).toEqual([0, COALESCE_MS])
    clock.advance(10 * COALESCE_MS)
    expect(pushes).toHaveLength(2)
    coalescer.poke()
    expect(pushes).toHaveLength(3)
  })

  it('that has stopped pushes nothing more', () => {
    const clock = new FakeClock()
    let pushes = 0
    const coalescer = new Coalescer(clock, () => pushes++)
    coalescer.poke()
    coalescer.poke()
    coalescer.stop()
    clock.advance(COALESCE_MS)
    coalescer.poke()
    expect(pushes).toBe(1)
    expect(clock.timers).toBe(0)
  })
})

describe('an alarm', () => {
  it('rings once, at the earliest time, and anew when it is set again', () => {
    const clock = new FakeClock()
    let rings = 0
    const alarm = new Alarm(clock, () => rings++)
    const now = clock.now()
    alarm.set([now + 50, undefined, now + 20])
    clock.advance(19)
    expect(rings).toBe(0)
    clock.advance(1)
    expect(rings).toBe(1)
    clock.advance(100)
    expect(rings).toBe(1)
    alarm.set([now])
    clock.advance(0)
    expect(rings).toBe(2)
    alarm.set([])
    expect(clock.timers).toBe(0)
  })
})
