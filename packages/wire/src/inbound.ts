import { Acknowledgement } from './acknowledgement.ts'
import { type GoawayCode, goawayCodeOf, type ResetCode, resetCodeOf } from './code.ts'
import { WireError } from './error.ts'
import { type FrameSink, FrameType, isSequenced } from './frame.ts'
import { HEADER_BYTES, MAX_SEND_CREDIT } from './limit.ts'
import type { SessionStream } from './stream.ts'

/** What the receiving side tells its session. */
export type InboundOwner = {
  readonly nowMs: number
  /** The live stream `id`; undefined when it was opened and is over. Throws WireError `unknown_stream` otherwise. */
  streamOf(id: number): SessionStream | undefined
  ready(body: Uint8Array): void
  acl(body: Uint8Array): void
  open(id: number, body: Uint8Array): void
  opened(stream: SessionStream): void
  credited(stream: SessionStream): void
  finReceived(stream: SessionStream): void
  resetByPeer(stream: SessionStream, code: ResetCode): void
  datagram(id: number, bytes: Uint8Array): void
  acknowledged(received: number): void
  ping(body: Uint8Array): void
  pong(id: number): void
  goaway(code: GoawayCode): void
}

/** A DATA frame of which a carrier brought only the beginning. */
type Interrupted = { id: number; length: number; arrived: number }

/** The receiving side of a session: counts sequenced frames and hands each frame to whom it is for. */
export class Inbound implements FrameSink {
  readonly acknowledgement = new Acknowledgement()
  readonly #owner: InboundOwner
  #interrupted: Interrupted | undefined
  #inData = false
  #id = 0
  #length = 0
  #arrived = 0
  #skip = 0
  #stream: SessionStream | undefined

  constructor(owner: InboundOwner) {
    this.#owner = owner
  }

  /** Remembers what had arrived of a DATA frame whose end the carrier did not bring. */
  endCarrier(): void {
    if (!this.#inData) return
    const before = this.#interrupted?.arrived ?? 0
    this.#interrupted = { id: this.#id, length: this.#length, arrived: Math.max(this.#arrived, before) }
    this.#inData = false
    this.#stream = undefined
  }

  beginData(id: number, length: number): void {
    this.#inData = true
    this.#id = id
    this.#length = length
    this.#arrived = 0
    this.#skip = 0
    const stream = this.#owner.streamOf(id)
    this.#stream = stream
    if (this.#interrupted !== undefined) this.#continue(this.#interrupted, id, length)
    else if (stream !== undefined) charge(stream, length)
  }

  data(piece: Uint8Array): void {
    this.#arrived += piece.length
    const stream = this.#stream
    if (stream === undefined || stream.state === 'closed') return
    if (this.#skip >= piece.length) {
      this.#skip -= piece.length
      return
    }
    const fresh = this.#skip === 0 ? piece : piece.subarray(this.#skip)
    this.#skip = 0
    stream.bytesReceived += fresh.length
    stream.handler.data(fresh)
  }

  endData(): void {
    this.#inData = false
    this.#interrupted = undefined
    this.#stream = undefined
    this.acknowledgement.count(this.#length + HEADER_BYTES, this.#owner.nowMs)
  }

  frame(type: FrameType, id: number, body: Uint8Array): void {
    if (isSequenced(type)) {
      if (this.#interrupted !== undefined) throw mismatch()
      this.acknowledgement.count(body.length + HEADER_BYTES, this.#owner.nowMs)
    }
    switch (type) {
      case FrameType.Hello:
        throw new WireError('unexpected_frame', 'HELLO inside a session')
      case FrameType.Ready:
        this.#owner.ready(body)
        break
      case FrameType.Acl:
        this.#owner.acl(body)
        break
      case FrameType.Open:
        this.#owner.open(id, body)
        break
      case FrameType.Opened:
        this.#opened(this.#owner.streamOf(id))
        break
      case FrameType.Reset:
        this.#reset(this.#owner.streamOf(id), body)
        break
      case FrameType.Fin:
        this.#fin(this.#owner.streamOf(id))
        break
      case FrameType.Credit:
        this.#credit(this.#owner.streamOf(id), body)
        break
      case FrameType.Ack:
        this.#owner.acknowledged(readU64(body))
        break
      case FrameType.Ping:
        this.#owner.ping(body)
        break
      case FrameType.Pong:
        this.#owner.pong(readU64(body))
        break
      case FrameType.Goaway:
        this.#owner.goaway(goawayCodeOf(readU16(body)))
        break
      case FrameType.Datagram:
        this.#owner.datagram(id, body)
        break
      case FrameType.Data:
        throw new TypeError('DATA comes in pieces')
    }
  }

  #continue(interrupted: Interrupted, id: number, length: number): void {
    if (id !== interrupted.id) throw mismatch()
    // The sender has dropped the body: a RESET follows.
    if (length === 0) return
    if (length !== interrupted.length) throw mismatch()
    this.#skip = interrupted.arrived
  }

  #opened(stream: SessionStream | undefined): void {
    if (stream === undefined) return
    if (stream.state !== 'opening') throw new WireError('unexpected_frame', 'OPENED twice')
    this.#owner.opened(stream)
  }

  #reset(stream: SessionStream | undefined, body: Uint8Array): void {
    if (stream !== undefined) this.#owner.resetByPeer(stream, resetCodeOf(readU16(body)))
  }

  #fin(stream: SessionStream | undefined): void {
    if (stream === undefined) return
    checkFlowing(stream, 'FIN')
    stream.finReceived = true
    this.#owner.finReceived(stream)
  }

  #credit(stream: SessionStream | undefined, body: Uint8Array): void {
    if (stream === undefined) return
    const credit = stream.sendCredit + readU32(body)
    if (credit > MAX_SEND_CREDIT) throw new WireError('credit_overflow', `credit of ${credit} bytes`)
    stream.sendCredit = credit
    this.#owner.credited(stream)
  }
}

function charge(stream: SessionStream, length: number): void {
  checkFlowing(stream, 'DATA')
  const { credit } = stream
  if (length > credit.granted) {
    throw new WireError('credit_overrun', `DATA of ${length} bytes within a credit of ${credit.granted}`)
  }
  credit.granted -= length
  credit.unconsumed += length
}

function checkFlowing(stream: SessionStream, frame: string): void {
  if (stream.state !== 'open' || !stream.announced) {
    throw new WireError('data_before_opened', `${frame} on a stream that is not open`)
  }
  if (stream.finReceived) throw new WireError('data_after_fin', `${frame} after FIN`)
}

function mismatch(): WireError {
  return new WireError('resume_mismatch', 'the frame that was interrupted does not come again')
}

function readU16(body: Uint8Array): number {
  return (body[0]! << 8) | body[1]!
}

function readU32(body: Uint8Array): number {
  return ((body[0]! << 24) | (body[1]! << 16) | (body[2]! << 8) | body[3]!) >>> 0
}

function readU64(body: Uint8Array): number {
  const number = readU32(body) * 2 ** 32 + readU32(body.subarray(4))
  if (!Number.isSafeInteger(number)) throw new WireError('bad_number', 'u64 above 2^53')
  return number
}
