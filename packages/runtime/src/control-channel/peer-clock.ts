/** Samples that an estimate rests on. */
const SAMPLES = 12
/** Disagreement of a sample with the estimate after which one of the clocks must have been set. */
const STEP_MS = 2_000

/**
 * Estimates how far the clock of the other side is ahead. A time that it states has travelled for an unknown while, so the difference on
 * arrival is the offset less that while: the largest of the last samples is the one that travelled fastest, and half of the smallest round
 * trip makes up for its journey.
 */
export class PeerClock {
  #samples: number[] = []
  #roundTripMs: number | undefined

  /** Takes the time that the other side stated and the local time of arrival. */
  sample(peerNowMs: number, nowMs: number): void {
    const offset = peerNowMs - nowMs
    const estimate = this.offsetMs
    if (estimate !== undefined && Math.abs(offset - estimate) > STEP_MS) this.#samples = []
    this.#samples.push(offset)
    if (this.#samples.length > SAMPLES) this.#samples.shift()
  }

  /** Takes the time from a PING to its PONG. */
  roundTrip(ms: number): void {
    this.#roundTripMs = Math.min(this.#roundTripMs ?? ms, ms)
  }

  /** Milliseconds to add to the local clock; undefined before the first sample. */
  get offsetMs(): number | undefined {
    if (this.#samples.length === 0) return undefined
    return Math.round(Math.max(...this.#samples) + (this.#roundTripMs ?? 0) / 2)
  }

  get roundTripMs(): number | undefined {
    return this.#roundTripMs
  }
}
