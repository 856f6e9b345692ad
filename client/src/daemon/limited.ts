import { type Clock, RuntimeError } from '@sallyport/runtime'

/** A signal that also aborts after a while; `done` when it is not needed any more. */
export type Limited = { signal: AbortSignal; timedOut(): boolean; done(): void }

/** Makes a signal that aborts when `signal` does, and after `timeoutMs`. */
export function limited(clock: Clock, signal: AbortSignal, timeoutMs: number): Limited {
  const abort = new AbortController()
  let expired = false
  const onAbort = () => abort.abort(signal.reason)
  const timer = clock.timer(timeoutMs, () => {
    expired = true
    abort.abort(new RuntimeError('timeout', `nothing within ${timeoutMs} ms`))
  })
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  return {
    signal: abort.signal,
    timedOut: () => expired,
    done: () => {
      timer.cancel()
      signal.removeEventListener('abort', onAbort)
    },
  }
}
