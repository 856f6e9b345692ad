import { ACK_BYTES, ACK_DELAY_MS } from './limit.ts'

/** Counts received sequenced frames and says when an ACK is due. */
export class Acknowledgement {
  #received = 0
  #bytes = 0
  #dueAtMs = Number.POSITIVE_INFINITY

  /** Sequenced frames received in the session. */
  get received(): number {
    return this.#received
  }

  get dueAtMs(): number {
    return this.#dueAtMs
  }

  /** Counts one frame. */
  count(bytes: number, nowMs: number): void {
    this.#received++
    this.#bytes += bytes
    if (this.#bytes >= ACK_BYTES) this.#dueAtMs = nowMs
    else if (this.#dueAtMs === Number.POSITIVE_INFINITY) this.#dueAtMs = nowMs + ACK_DELAY_MS
  }

  /** Says that the peer has been told the count. */
  told(): void {
    this.#bytes = 0
    this.#dueAtMs = Number.POSITIVE_INFINITY
  }
}
