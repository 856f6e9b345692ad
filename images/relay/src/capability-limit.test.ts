import { describe, expect, it } from 'vitest'
import { CapabilityLimit } from './capability-limit.ts'

const SERIAL = 7n

describe('the limit of a capability', () => {
  it('lets four handshakes be in flight, and a fifth when one is over', () => {
    const limit = new CapabilityLimit()
    expect(begin(limit, 5)).toEqual([true, true, true, true, false])
    limit.end(SERIAL)
    expect(begin(limit, 2)).toEqual([true, false])
  })

  it('lets thirty handshakes begin in a minute, and another when the first is a minute old', () => {
    const limit = new CapabilityLimit()
    const one = (nowMs: number) => {
      const begun = limit.begin(SERIAL, nowMs)
      if (begun) limit.end(SERIAL)
      return begun
    }
    expect(Array.from({ length: 1000 }, (_, index) => one(index)).filter(Boolean)).toHaveLength(30)
    expect(one(59_999)).toBe(false)
    expect(one(60_000)).toBe(true)
    expect(one(60_000)).toBe(false)
  })

  it('counts each serial by itself', () => {
    const limit = new CapabilityLimit()
    begin(limit, 5)
    expect(limit.begin(8n, 0)).toBe(true)
  })

  it('forgets a serial a minute after its last use, but not while it is in use', () => {
    const limit = new CapabilityLimit()
    limit.begin(SERIAL, 0)
    limit.begin(8n, 0)
    limit.end(8n)
    limit.sweep(59_999)
    expect(limit.size).toBe(2)
    limit.sweep(60_000)
    expect(limit.size).toBe(1)
  })
})

function begin(limit: CapabilityLimit, times: number): boolean[] {
  return Array.from({ length: times }, () => limit.begin(SERIAL, 0))
}
