import type { Clock, Timer } from '@sallyport/runtime'
import type { OnControllerLoss } from '@sallyport/schema'

/** Counts the time without the Controller, and says when the network wants no more served (`onControllerLoss`). */
export class ControllerLoss {
  readonly #clock: Clock
  readonly #onExpired: () => void
  #lostAtMs: number | undefined
  #timer: Timer | undefined
  #expired = false

  constructor(clock: Clock, onExpired: () => void) {
    this.#clock = clock
    this.#onExpired = onExpired
  }

  /** The Controller has been away for longer than the network allows. */
  get expired(): boolean {
    return this.#expired
  }

  /** The Controller is away, from the first call on; the wish of the network counts anew at each. */
  lost({ mode, seconds }: OnControllerLoss): void {
    this.#lostAtMs ??= this.#clock.monotonic()
    this.#timer?.cancel()
    if (this.#expired || mode !== 'closeAfter' || seconds === undefined) return
    const leftMs = this.#lostAtMs + seconds * 1000 - this.#clock.monotonic()
    this.#timer = this.#clock.timer(Math.max(0, leftMs), () => {
      this.#expired = true
      this.#onExpired()
    })
  }

  /** The Controller is back, and its state is known. */
  regained(): void {
    this.#timer?.cancel()
    this.#lostAtMs = undefined
    this.#expired = false
  }
}
