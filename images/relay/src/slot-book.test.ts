import { systemRandom } from '@sallyport/trust'
import { describe, expect, it } from 'vitest'
import { SlotBook } from './slot-book.ts'

const book = () => new SlotBook<string>(systemRandom)

describe('a slot key', () => {
  it('is of 128 bit and leads to its owner once', () => {
    const slots = book()
    const [key] = slots.issue('a', 1, 0)
    expect(key).toMatch(/^[a-z2-7]{26}$/)
    expect(slots.take(key!, 0)).toBe('a')
    expect(slots.take(key!, 0)).toBeUndefined()
  })

  it('that was guessed leads to nobody', () => {
    const slots = book()
    const [key] = slots.issue('a', 1, 0)
    const guess = `${key![0] === 'a' ? 'b' : 'a'}${key!.slice(1)}`
    expect(slots.take(guess, 0)).toBeUndefined()
    expect(slots.take(key!, 0)).toBe('a')
  })

  it('lives for 30 s, the end excluded', () => {
    const slots = book()
    const [first, second] = slots.issue('a', 2, 0)
    expect(slots.take(first!, 29_999)).toBe('a')
    expect(slots.take(second!, 30_000)).toBeUndefined()
  })

  it('is void when its owner is gone, those of others are not', () => {
    const slots = book()
    const [a] = slots.issue('a', 1, 0)
    const [b] = slots.issue('b', 1, 0)
    slots.forget('a')
    expect(slots.take(a!, 0)).toBeUndefined()
    expect(slots.take(b!, 0)).toBe('b')
    expect(slots.size).toBe(0)
  })

  it('is not made beyond 64 for one owner, until the others are used or expired', () => {
    const slots = book()
    const keys = slots.issue('a', 100, 0)
    expect(keys).toHaveLength(64)
    expect(slots.issue('a', 1, 1)).toEqual([])
    slots.take(keys[0]!, 1)
    expect(slots.issue('a', 2, 1)).toHaveLength(1)
    expect(slots.issue('a', 64, 30_000)).toHaveLength(63)
    expect(slots.size).toBe(64)
  })
})
