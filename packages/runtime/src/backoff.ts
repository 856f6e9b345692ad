/** Ceiling of the first wait. */
export const MIN_BACKOFF_MS = 200
/** Ceiling of the longest wait. */
export const MAX_BACKOFF_MS = 30_000

/** Waits between attempts: full jitter below a ceiling that doubles from 0.2 s to 30 s. */
export class Backoff {
  #failures = 0
  readonly #random: () => number
  readonly #maxMs: number

  /** `random` gives numbers from 0 up to, not including, 1. */
  constructor(random: () => number, maxMs = MAX_BACKOFF_MS) {
    this.#random = random
    this.#maxMs = maxMs
  }

  /** Milliseconds to wait before the next attempt. */
  next(): number {
    const ceiling = Math.min(this.#maxMs, MIN_BACKOFF_MS * 2 ** Math.min(this.#failures++, 30))
    return this.#random() * ceiling
  }

  /** Begins again with the shortest wait. */
  reset(): void {
    this.#failures = 0
  }
}
