import { describe, expect, it } from 'vitest'
import { Backoff, MAX_BACKOFF_MS } from './backoff.ts'

describe('back-off', () => {
  it('doubles its ceiling from 0.2 s to 30 s', () => {
    const backoff = new Backoff(() => 1)
    const waits = Array.from({ length: 10 }, () => backoff.next())
    expect(waits).toEqual([200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000])
  })

  it('takes any part of the ceiling, none of it too', () => {
    const backoff = new Backoff(() => 0)
    expect([backoff.next(), backoff.next()]).toEqual([0, 0])
  })

  it('begins again after a reset', () => {
    const backoff = new Backoff(() => 1)
    backoff.next()
    backoff.next()
    backoff.reset()
    expect(backoff.next()).toBe(200)
  })

  it('stays below its ceiling for ever', () => {
    const backoff = new Backoff(() => 0.999)
    for (let i = 0; i < 5_000; i++) expect(backoff.next()).toBeLessThan(MAX_BACKOFF_MS)
  })
})
