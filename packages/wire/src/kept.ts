import type { Budget } from './budget.ts'
import { WireError } from './error.ts'
import { Fifo } from './fifo.ts'
import { FrameType } from './frame.ts'
import { KEPT_FRAME_OVERHEAD, MAX_KEPT_BYTES, MAX_UNACKNOWLEDGED_BYTES, MIN_KEPT_BYTES } from './limit.ts'
import type { SessionStream } from './stream.ts'

/** A sequenced frame that was sent and is not acknowledged. */
export type KeptFrame = {
  type: FrameType
  readonly id: number
  /** Absent when the frame is of no stream that is kept. */
  readonly stream: SessionStream | undefined
  parts: readonly Uint8Array[]
  length: number
  /** The next kept frame of the same stream. */
  next: KeptFrame | undefined
}

/** Sequenced frames of one direction, from the first that is not acknowledged on. */
export class KeptFrames {
  readonly #budget: Budget
  readonly #frames = new Fifo<KeptFrame>()
  #acknowledged = 0
  #cost = 0

  constructor(budget: Budget) {
    this.#budget = budget
  }

  /** Frames sent in the session. */
  get sent(): number {
    return this.#acknowledged + this.#frames.length
  }

  get acknowledged(): number {
    return this.#acknowledged
  }

  /** Cost of what is kept, in bytes. */
  get cost(): number {
    return this.#cost
  }

  /** Whether DATA or OPEN may be sent. */
  get hasRoom(): boolean {
    return this.#cost < MIN_KEPT_BYTES || (this.#cost < MAX_KEPT_BYTES && this.#budget.available > 0)
  }

  /** Keeps a frame that is being sent. Throws WireError `ack_overdue` when the peer acknowledges nothing. */
  keep(frame: KeptFrame): void {
    this.#frames.push(frame)
    this.#charge(frame.length + KEPT_FRAME_OVERHEAD)
    if (this.#cost > MAX_UNACKNOWLEDGED_BYTES) {
      throw new WireError('ack_overdue', `${this.#frames.length} frames wait for an acknowledgement`)
    }
    const { stream } = frame
    if (stream === undefined) return
    if (stream.keptLast === undefined) stream.keptFirst = frame
    else stream.keptLast.next = frame
    stream.keptLast = frame
  }

  /** The kept frame that follows the first `position` frames of the session. */
  after(position: number): KeptFrame | undefined {
    return this.#frames.at(position - this.#acknowledged)
  }

  /** Forgets the first `received` frames of the session. Throws WireError. */
  acknowledge(received: number): void {
    if (received < this.#acknowledged) {
      throw new WireError('ack_backwards', `${received} frames acknowledged after ${this.#acknowledged}`)
    }
    if (received > this.sent) {
      throw new WireError('ack_beyond_sent', `${received} frames acknowledged, ${this.sent} sent`)
    }
    while (this.#acknowledged < received) {
      const frame = this.#frames.shift()!
      this.#acknowledged++
      this.#charge(-frame.length - KEPT_FRAME_OVERHEAD)
      const { stream } = frame
      if (stream === undefined || stream.keptFirst !== frame) continue
      stream.keptFirst = frame.next
      if (frame.next === undefined) stream.keptLast = undefined
    }
  }

  /**
   * Drops what is kept of a stream that is reset; its frames still count. They are sent again as empty DATA, a FIN
   * too: it would end a stream in good order whose bytes are missing.
   */
  dropBodies(stream: SessionStream): void {
    for (let frame = stream.keptFirst; frame !== undefined; frame = frame.next) {
      if (frame.type === FrameType.Fin) frame.type = FrameType.Data
      if (frame.type !== FrameType.Data) continue
      this.#charge(-frame.length)
      frame.parts = []
      frame.length = 0
    }
    stream.keptFirst = undefined
    stream.keptLast = undefined
  }

  /** Forgets everything, for ever. */
  clear(): void {
    this.#charge(-this.#cost)
    this.#frames.clear()
  }

  #charge(bytes: number): void {
    this.#cost += bytes
    if (bytes > 0) this.#budget.take(bytes)
    else this.#budget.giveBack(-bytes)
  }
}
