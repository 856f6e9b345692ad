/** A timer that has not fired yet. */
export type Timer = {
  /** Harmless after it has fired. */
  cancel(): void
}

/** Where time comes from; a parameter of everything that waits or compares times. */
export type Clock = {
  /** Milliseconds since the epoch. */
  now(): number
  /** Milliseconds since an arbitrary moment; never goes backwards. */
  monotonic(): number
  /** Calls `run` once after `delayMs`. */
  timer(delayMs: number, run: () => void): Timer
}

/** Longest delay that Node's timers take. */
const MAX_DELAY_MS = 2 ** 31 - 1

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  timer: startTimer,
}

/** Resolves after `delayMs`; rejects with the reason of `signal` when it aborts first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const onAbort = () => {
      timer.cancel()
      reject(signal?.reason)
    }
    const timer = clock.timer(delayMs, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

function startTimer(delayMs: number, run: () => void): Timer {
  const endMs = performance.now() + delayMs
  let handle: NodeJS.Timeout
  const wait = () => {
    const leftMs = Math.max(0, endMs - performance.now())
    handle = leftMs > MAX_DELAY_MS ? setTimeout(wait, MAX_DELAY_MS) : setTimeout(run, leftMs)
  }
  wait()
  return { cancel: () => clearTimeout(handle) }
}
