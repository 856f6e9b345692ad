import type { Clock, Timer } from '@sallyport/runtime'

/** Wait before the next way is tried beside those that have not answered. */
export const HEDGE_MS = 250
/** Ways that are tried at a time. */
export const MAX_PARALLEL = 4

export type Attempt<W, T> = (way: W, signal: AbortSignal) => Promise<T>
export type Failure<W> = { way: W; error: unknown }

/** All ways have failed. */
export class AllFailed<W> extends Error {
  override readonly name = 'AllFailed'
  readonly failures: Failure<W>[]

  constructor(failures: Failure<W>[]) {
    super(`${failures.length} ways have failed`)
    this.failures = failures
  }
}

/**
 * Tries `ways` in order and gives the first that leads somewhere: the next one begins when one fails, and beside a slow one after
 * {@link HEDGE_MS}. What comes too late goes to `discard`. Rejects with {@link AllFailed}, or the reason of `signal`.
 */
export function hedge<W, T>(
  ways: readonly W[],
  attempt: Attempt<W, T>,
  { clock, signal, discard }: { clock: Clock; signal: AbortSignal; discard: (late: T) => void },
): Promise<T> {
  return new Promise((resolve, reject) => {
    const failures: Failure<W>[] = []
    const stop = new AbortController()
    let next = 0
    let running = 0
    let settled = false
    let timer: Timer | undefined

    const settle = (act: () => void) => {
      if (settled) return
      settled = true
      timer?.cancel()
      signal.removeEventListener('abort', onAbort)
      act()
      stop.abort()
    }
    const onAbort = () => settle(() => reject(signal.reason))
    const begin = () => {
      timer?.cancel()
      if (settled) return
      const way = ways[next]
      if (way === undefined) {
        if (running === 0) settle(() => reject(new AllFailed(failures)))
        return
      }
      if (running >= MAX_PARALLEL) return
      next++
      running++
      timer = clock.timer(HEDGE_MS, begin)
      attempt(way, stop.signal).then(
        value => {
          running--
          if (settled) discard(value)
          else settle(() => resolve(value))
        },
        error => {
          running--
          failures.push({ way, error })
          begin()
        },
      )
    }
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    begin()
  })
}
