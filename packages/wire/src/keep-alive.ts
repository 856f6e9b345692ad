import { PING_INTERVAL_MS, PONG_TIMEOUT_MS } from './limit.ts'

/** Says when to PING, whether the carrier is silent, and how long a round trip takes. */
export class KeepAlive {
  #nextPingAtMs = Number.POSITIVE_INFINITY
  #pongUntilMs = Number.POSITIVE_INFINITY
  #sentAtMs = 0
  #id = 0
  #roundTripMs: number | undefined

  /** Shortest round trip on this carrier; undefined before the first PONG. */
  get roundTripMs(): number | undefined {
    return this.#roundTripMs
  }

  get deadlineMs(): number {
    return Math.min(this.#nextPingAtMs, this.#pongUntilMs)
  }

  start(nowMs: number): void {
    this.#nextPingAtMs = nowMs
    this.#pongUntilMs = Number.POSITIVE_INFINITY
    this.#roundTripMs = undefined
  }

  stop(): void {
    this.#nextPingAtMs = Number.POSITIVE_INFINITY
    this.#pongUntilMs = Number.POSITIVE_INFINITY
  }

  /** Takes note that bytes have come: a PONG may wait behind much else on a slow path, whose carrier is not dead. */
  heard(nowMs: number): void {
    if (this.#pongUntilMs !== Number.POSITIVE_INFINITY) this.#pongUntilMs = nowMs + PONG_TIMEOUT_MS
  }

  /** Returns the id of the PING to send, or `dead`. */
  tick(nowMs: number): number | 'dead' | undefined {
    if (nowMs >= this.#pongUntilMs) {
      this.stop()
      return 'dead'
    }
    if (nowMs < this.#nextPingAtMs) return undefined
    this.#sentAtMs = nowMs
    this.#nextPingAtMs = Number.POSITIVE_INFINITY
    this.#pongUntilMs = nowMs + PONG_TIMEOUT_MS
    return ++this.#id
  }

  /** Takes the number of a PONG. Returns the round trip in ms, or undefined when it answers no PING that waits. */
  pong(id: number, nowMs: number): number | undefined {
    if (id !== this.#id || this.#pongUntilMs === Number.POSITIVE_INFINITY) return undefined
    const tripMs = nowMs - this.#sentAtMs
    this.#roundTripMs = Math.min(tripMs, this.#roundTripMs ?? tripMs)
    this.#pongUntilMs = Number.POSITIVE_INFINITY
    this.#nextPingAtMs = this.#sentAtMs + PING_INTERVAL_MS
    return tripMs
  }
}
