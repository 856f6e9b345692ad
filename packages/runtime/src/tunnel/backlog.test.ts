import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Backlog } from './backlog.ts'

describe('a backlog', () => {
  it('gives back what was added, in order, with any takes between', () => {
    const step = fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 6_000, size: 'max' }), fc.constant('take' as const))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), steps => {
        const backlog = new Backlog()
        const added: Uint8Array[] = []
        const taken: Uint8Array[] = []
        const take = () => {
          const block = backlog.shift()
          if (block !== undefined) taken.push(block)
          return block !== undefined
        }
        for (const each of steps) {
          if (each === 'take') take()
          else {
            added.push(each)
            backlog.add(each)
          }
        }
        while (take());
        expect(Buffer.concat(taken).equals(Buffer.concat(added))).toBe(true)
        expect(backlog.bytes).toBe(0)
      }),
    )
  })

  it('puts small pieces together', () => {
    const backlog = new Backlog()
    for (let count = 0; count < 10_000; count++) backlog.add(Uint8Array.of(count & 255))
    expect(backlog.shift()).toHaveLength(8_192)
    expect(backlog.shift()).toHaveLength(1_808)
    expect(backlog.shift()).toBeUndefined()
  })
})
