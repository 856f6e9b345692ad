import type { ResetCode } from './code.ts'
import { ReceiveCredit } from './credit.ts'
import { Fifo } from './fifo.ts'
import type { StreamHandler } from './handler.ts'
import type { OpenRequest } from './hello.ts'
import type { KeptFrame } from './kept.ts'
import { FLOOR_CREDIT, MAX_BODY_BYTES, WRITE_HIGH_WATER } from './limit.ts'

/** What a stream asks of its session. */
export type StreamOwner = {
  accepted(stream: SessionStream): void
  sendable(stream: SessionStream): void
  consumed(stream: SessionStream, bytes: number): void
  resetLocally(stream: SessionStream, code: ResetCode): void
  sendDatagram(stream: SessionStream, bytes: Uint8Array): boolean
}

/** One stream of a session. Its owner sets `handler` before anything can arrive for it. */
export class SessionStream {
  readonly id: number
  readonly request: OpenRequest
  handler: StreamHandler = SILENT

  /** `opening` until OPENED is received (Client) or queued (Connector). */
  state: 'opening' | 'open' | 'closed' = 'opening'
  /** Bytes of DATA sent for the first time, and received. */
  bytesSent = 0
  bytesReceived = 0

  // The rest belongs to the session.
  readonly credit: ReceiveCredit
  /** OPEN (Client) or OPENED (Connector) has been sent. */
  announced = false
  sendCredit = FLOOR_CREDIT
  pendingBytes = 0
  finQueued = false
  finSent = false
  finReceived = false
  scheduled = false
  creditQueued = false
  keptFirst: KeptFrame | undefined
  keptLast: KeptFrame | undefined
  readonly #owner: StreamOwner
  readonly #pending = new Fifo<Uint8Array>()
  #writerWaits = false

  constructor(id: number, request: OpenRequest, owner: StreamOwner) {
    this.id = id
    this.request = request
    this.#owner = owner
    this.credit = new ReceiveCredit()
  }

  /** Connector: says OPENED. */
  accept(): void {
    if (this.state !== 'opening') return
    this.state = 'open'
    this.#owner.accepted(this)
  }

  /** Queues bytes, which belong to the session from here on. False: wait for `drained`. */
  write(bytes: Uint8Array): boolean {
    if (this.finQueued) throw new TypeError('write after end')
    if (this.state === 'closed' || bytes.length === 0) return true
    this.#pending.push(bytes)
    this.pendingBytes += bytes.length
    this.#owner.sendable(this)
    if (this.pendingBytes < WRITE_HIGH_WATER) return true
    this.#writerWaits = true
    return false
  }

  /** Queues FIN behind what was written. */
  end(): void {
    if (this.finQueued || this.state === 'closed') return
    this.finQueued = true
    this.#owner.sendable(this)
  }

  /** Ends the stream both ways at once; bytes that wait are dropped. */
  reset(code: ResetCode): void {
    if (this.state !== 'closed') this.#owner.resetLocally(this, code)
  }

  /** Says that `bytes` of what `data` gave have been dealt with, so that the peer may send as many more. */
  consumed(bytes: number): void {
    this.#owner.consumed(this, bytes)
  }

  /** Sends one datagram, or drops it: false. */
  sendDatagram(bytes: Uint8Array): boolean {
    return this.state === 'open' && this.#owner.sendDatagram(this, bytes)
  }

  /** Whether DATA or FIN could be sent, kept frames permitting. */
  get hasSendable(): boolean {
    if (this.state !== 'open' || this.finSent) return false
    return this.pendingBytes > 0 ? this.sendCredit > 0 : this.finQueued
  }

  /** Takes the body of the next DATA from what waits. */
  takeBody(): { parts: Uint8Array[]; length: number } {
    const length = Math.min(this.pendingBytes, this.sendCredit, MAX_BODY_BYTES)
    const parts: Uint8Array[] = []
    let left = length
    while (left > 0) {
      const first = this.#pending.peek()!
      if (first.length <= left) {
        parts.push(first)
        left -= first.length
        this.#pending.shift()
      } else {
        parts.push(first.subarray(0, left))
        this.#pending.replaceFirst(first.subarray(left))
        left = 0
      }
    }
    this.pendingBytes -= length
    this.sendCredit -= length
    this.bytesSent += length
    return { parts, length }
  }

  /** Tells a waiting writer that there is room. */
  tellDrained(): void {
    if (!this.#writerWaits || this.pendingBytes > WRITE_HIGH_WATER / 2) return
    this.#writerWaits = false
    this.handler.drained()
  }

  /** Forgets what waits. */
  discard(): void {
    this.#pending.clear()
    this.pendingBytes = 0
    this.#writerWaits = false
  }
}

const SILENT: StreamHandler = { data() {}, fin() {}, reset() {}, drained() {} }
