import { MAX_CAPABILITY_HANDSHAKES, MAX_CAPABILITY_HANDSHAKES_PER_MINUTE } from '@sallyport/wire'
import { MAX_SERIALS } from './limit.ts'

const WINDOW_MS = 60_000

type Use = { inFlight: number; startedAtMs: number[] }

/** Counts the handshakes that are made with each capability, by its serial. */
export class CapabilityLimit {
  readonly #uses = new Map<bigint, Use>()

  /** Serials that are remembered. */
  get size(): number {
    return this.#uses.size
  }

  /** True when one more handshake may begin, which is counted until its `end`. */
  begin(serial: bigint, nowMs: number): boolean {
    const use = this.#uses.get(serial) ?? { inFlight: 0, startedAtMs: [] }
    use.startedAtMs = use.startedAtMs.filter(atMs => nowMs - atMs < WINDOW_MS)
    if (use.inFlight >= MAX_CAPABILITY_HANDSHAKES) return false
    if (use.startedAtMs.length >= MAX_CAPABILITY_HANDSHAKES_PER_MINUTE) return false
    if (!this.#uses.has(serial)) {
      if (this.#uses.size >= MAX_SERIALS) this.sweep(nowMs)
      if (this.#uses.size >= MAX_SERIALS) return false
      this.#uses.set(serial, use)
    }
    use.inFlight++
    use.startedAtMs.push(nowMs)
    return true
  }

  /** A handshake that has begun is over, well or badly. */
  end(serial: bigint): void {
    const use = this.#uses.get(serial)
    if (use !== undefined) use.inFlight--
  }

  /** Forgets serials that nothing is counted for any more. */
  sweep(nowMs: number): void {
    for (const [serial, { inFlight, startedAtMs }] of this.#uses) {
      if (inFlight === 0 && startedAtMs.every(atMs => nowMs - atMs >= WINDOW_MS)) this.#uses.delete(serial)
    }
  }
}
