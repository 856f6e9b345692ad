import { describe, expect, it } from 'vitest'
import { sleep, systemClock } from './clock.ts'
import { FakeClock } from './fake-clock.ts'

describe('the clock of the machine', () => {
  it('fires a timer after its delay and not when it was cancelled', async () => {
    const fired: string[] = []
    const cancelled = systemClock.timer(1, () => fired.push('cancelled'))
    cancelled.cancel()
    const start = systemClock.monotonic()
    await new Promise<void>(resolve => systemClock.timer(15, resolve))
    expect(fired).toEqual([])
    expect(systemClock.monotonic() - start).toBeGreaterThanOrEqual(14)
  })

  it('holds a timer that is longer than those of Node', async () => {
    let fired = false
    const timer = systemClock.timer(2 ** 31 + 1000, () => {
      fired = true
    })
    await new Promise<void>(resolve => systemClock.timer(20, resolve))
    timer.cancel()
    expect(fired).toBe(false)
  })

  it('ends a sleep when its signal aborts', async () => {
    const abort = new AbortController()
    const slept = sleep(systemClock, 60_000, abort.signal)
    abort.abort(new Error('enough'))
    await expect(slept).rejects.toThrow('enough')
    await expect(sleep(systemClock, 60_000, abort.signal)).rejects.toThrow('enough')
  })
})

describe('the clock of tests', () => {
  it('fires what falls due in order, timers set meanwhile among it', () => {
    const clock = new FakeClock()
    const fired: string[] = []
    clock.timer(30, () => fired.push('c'))
    clock.timer(10, () => {
      fired.push('a')
      clock.timer(10, () => fired.push('b'))
    })
    clock.advance(29)
    expect(fired).toEqual(['a', 'b'])
    clock.advance(1)
    expect(fired).toEqual(['a', 'b', 'c'])
    expect(clock.timers).toBe(0)
  })
})
