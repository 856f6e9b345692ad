import { FakeClock } from '@sallyport/runtime'
import { describe, expect, it } from 'vitest'
import { AllFailed, HEDGE_MS, hedge } from './hedge.ts'

/** Attempts that end when the test says so. */
function race(ways: string[]) {
  const clock = new FakeClock()
  const abort = new AbortController()
  const begun = new Map<string, { resolve(value: string): void; reject(error: Error): void; signal: AbortSignal }>()
  const discarded: string[] = []
  const result = hedge(
    ways,
    (way, signal) => new Promise<string>((resolve, reject) => begun.set(way, { resolve, reject, signal })),
    { clock, signal: abort.signal, discard: late => discarded.push(late) },
  )
  result.catch(() => undefined)
  return { clock, abort, begun, discarded, result, turn: () => new Promise(resolve => setImmediate(resolve)) }
}

describe('hedged ways', () => {
  it('the next one begins at once when one fails', async () => {
    const { begun, result, turn } = race(['a', 'b'])
    expect([...begun.keys()]).toEqual(['a'])
    begun.get('a')?.reject(new Error('dead'))
    await turn()
    expect([...begun.keys()]).toEqual(['a', 'b'])
    begun.get('b')?.resolve('b')
    expect(await result).toBe('b')
  })

  it('the next one begins beside a slow one after the hedge, and not a moment earlier', async () => {
    const { clock, begun, result, discarded, turn } = race(['a', 'b'])
    clock.advance(HEDGE_MS - 1)
    expect([...begun.keys()]).toEqual(['a'])
    clock.advance(1)
    expect([...begun.keys()]).toEqual(['a', 'b'])
    begun.get('b')?.resolve('b')
    expect(await result).toBe('b')
    expect(begun.get('a')?.signal.aborted).toBe(true)
    begun.get('a')?.resolve('a')
    await turn()
    expect(discarded).toEqual(['a'])
  })

  it('when all have failed it says how each did', async () => {
    const { begun, result, turn } = race(['a', 'b'])
    begun.get('a')?.reject(new Error('one'))
    await turn()
    begun.get('b')?.reject(new Error('two'))
    const failure = await result.catch(error => error)
    expect(failure).toBeInstanceOf(AllFailed)
    expect(failure.failures.map(({ error }: { error: Error }) => error.message)).toEqual(['one', 'two'])
  })

  it('who gives up stops them all', async () => {
    const { abort, begun, result, clock } = race(['a', 'b'])
    abort.abort(new Error('enough'))
    await expect(result).rejects.toThrow('enough')
    expect(begun.get('a')?.signal.aborted).toBe(true)
    clock.advance(10 * HEDGE_MS)
    expect(begun.has('b')).toBe(false)
    expect(clock.timers).toBe(0)
  })
})
