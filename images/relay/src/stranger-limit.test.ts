import { describe, expect, it } from 'vitest'
import { StrangerLimit } from './stranger-limit.ts'

describe('strangers', () => {
  it('make room by the oldest of their address', () => {
    const limit = new StrangerLimit<string>({ max: 10, maxPerAddress: 2 })
    expect(['a1', 'a2'].map(stranger => limit.add(stranger, 'a'))).toEqual([undefined, undefined])
    expect(limit.add('b1', 'b')).toBeUndefined()
    expect(limit.add('a3', 'a')).toBe('a1')
    expect([...limit]).toEqual(['a2', 'b1', 'a3'])
  })

  it('make room by the oldest of all', () => {
    const limit = new StrangerLimit<string>({ max: 2, maxPerAddress: 2 })
    limit.add('a1', 'a')
    limit.add('b1', 'b')
    expect(limit.add('c1', 'c')).toBe('a1')
    expect(limit.size).toBe(2)
  })

  it('take no room when they are gone', () => {
    const limit = new StrangerLimit<string>({ max: 2, maxPerAddress: 1 })
    limit.add('a1', 'a')
    limit.delete('a1')
    limit.delete('a1')
    expect(limit.add('a2', 'a')).toBeUndefined()
    expect(limit.size).toBe(1)
  })
})
