import fc from 'fast-check'
import { describe, it } from 'vitest'
import { fuzzWire } from './fuzz.ts'

describe('two sessions over a carrier that is cut anywhere', () => {
  it('deliver exactly the bytes sent, per stream, with half close and resets; garbage throws nothing but WireError', () => {
    fuzzWire({ runs: 300, seed: 1 })
  })

  it('for any seed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_000, max: 2 ** 31 }), seed => {
        fuzzWire({ runs: 1, seed })
      }),
      { numRuns: 60 },
    )
  })
})
