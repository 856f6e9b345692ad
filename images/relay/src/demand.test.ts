import { describe, expect, it } from 'vitest'
import { Demand } from './demand.ts'

describe('the demand for idle sockets', () => {
  it('is two at first, and stays so while one is left', () => {
    const demand = new Demand()
    expect(demand.taken(1, 0)).toBe(false)
    expect(demand.want).toBe(2)
  })

  it('doubles whenever they run short, up to 64', () => {
    const demand = new Demand()
    expect(Array.from({ length: 6 }, () => [demand.taken(0, 0), demand.want])).toEqual([
      [true, 4],
      [true, 8],
      [true, 16],
      [true, 32],
      [true, 64],
      [false, 64],
    ])
  })

  it('is halved for each minute in which they did not, down to two', () => {
    const demand = new Demand()
    demand.taken(0, 0)
    demand.taken(0, 0)
    expect(demand.sweep(59_999)).toBe(false)
    expect([demand.sweep(60_000), demand.want]).toEqual([true, 4])
    expect(demand.sweep(60_001)).toBe(false)
    expect([demand.sweep(120_000), demand.want]).toEqual([true, 2])
    expect(demand.sweep(1_000_000)).toBe(false)
  })
})
