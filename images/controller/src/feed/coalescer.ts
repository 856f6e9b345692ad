import type { Clock, Timer } from '@sallyport/runtime'

/** Shortest time between two pushes to one subscriber. */
export const COALESCE_MS = 100

/** Runs `push` at the first poke at once, and for those that follow within {@link COALESCE_MS} once more at its end. */
export class Coalescer {
  readonly #clock: Clock
  readonly #push: () => void
  #quietUntilMs = Number.NEGATIVE_INFINITY
  #timer: Timer | undefined
  #stopped = false

  constructor(clock: Clock, push: () => void) {
    this.#clock = clock
    this.#push = push
  }

  poke(): void {
    if (this.#stopped || this.#timer !== undefined) return
    const waitMs = this.#quietUntilMs - this.#clock.monotonic()
    if (waitMs <= 0) {
      this.runNow()
      return
    }
    this.#timer = this.#clock.timer(waitMs, () => {
      this.#timer = undefined
      this.runNow()
    })
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  /** Pushes without a wait; what has been poked for is done by it. */
  runNow(): void {
    if (this.#stopped) return
    this.#timer?.cancel()
    this.#timer = undefined
    this.#quietUntilMs = this.#clock.monotonic() + COALESCE_MS
    this.#push()
  }
}

/** One timer that can be set again; the earliest wish wins until it has fired. */
export class Alarm {
  readonly #clock: Clock
  readonly #ring: () => void
  #timer: Timer | undefined

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  /** Sets it to the earliest of `timesMs` (since the epoch), instead of what it was set to. */
  set(timesMs: Iterable<number | undefined>): void {
    this.#timer?.cancel()
    this.#timer = undefined
    let earliest = Number.POSITIVE_INFINITY
    for (const time of timesMs) earliest = Math.min(earliest, time ?? earliest)
    if (earliest === Number.POSITIVE_INFINITY) return
    this.#timer = this.#clock.timer(Math.max(0, earliest - this.#clock.now()), () => {
      this.#timer = undefined
      this.#ring()
    })
  }

  stop(): void {
    this.#timer?.cancel()
  }
}
