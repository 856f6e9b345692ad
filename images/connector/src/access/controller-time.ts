import type { Clock } from '@sallyport/runtime'

/** Time as the Controller has it: the local clock and the offset that was measured last. */
export class ControllerTime {
  readonly #clock: Clock
  #offsetMs: number

  constructor(clock: Clock, offsetMs = 0) {
    this.#clock = clock
    this.#offsetMs = offsetMs
  }

  get offsetMs(): number {
    return this.#offsetMs
  }

  now(): number {
    return this.#clock.now() + this.#offsetMs
  }

  /** Takes a new measurement; undefined leaves the last one. */
  measured(offsetMs: number | undefined): void {
    if (offsetMs !== undefined) this.#offsetMs = offsetMs
  }
}
