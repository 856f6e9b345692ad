import type { Clock, Timer } from '@sallyport/runtime'

/**
 * Time without a further message after which a change is judged by what has come of it. Floors come first: who is judged by them before the new ACL is
 * there loses everything, so that this is longer than a busy Controller may rest in the middle of a batch.
 */
export const SETTLE_MS = 2_000
/** Longest time from the first message of a change to its judgement: a change for all devices takes as long as their Client ACLs are on the way. */
export const MAX_SETTLE_MS = 5_000

/** Judges once per change, which comes as several messages. */
export class Settler {
  readonly #clock: Clock
  readonly #judge: () => void
  #beganAtMs: number | undefined
  #timer: Timer | undefined

  constructor(clock: Clock, judge: () => void) {
    this.#clock = clock
    this.#judge = judge
  }

  /** A part of a change has come. */
  soon(): void {
    const nowMs = this.#clock.monotonic()
    this.#beganAtMs ??= nowMs
    this.#timer?.cancel()
    this.#timer = this.#clock.timer(Math.min(SETTLE_MS, this.#beganAtMs + MAX_SETTLE_MS - nowMs), () => this.now())
  }

  /** The change is complete. */
  now(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#beganAtMs = undefined
    this.#judge()
  }
}
