import { AclSender } from './acl-transfer.ts'
import type { Budget } from './budget.ts'
import { type ResetCode, resetCodes } from './code.ts'
import type { SessionCredit } from './credit.ts'
import { Fifo } from './fifo.ts'
import { FrameType } from './frame.ts'
import { FrameWriter } from './frame-writer.ts'
import { encodeJson } from './hello.ts'
import { type KeptFrame, KeptFrames } from './kept.ts'
import { MAX_BODY_BYTES, MAX_PENDING_DATAGRAM_BYTES } from './limit.ts'
import type { SessionStream } from './stream.ts'
import { Unsequenced } from './unsequenced.ts'

/** What the sending side asks of its session. */
export type OutboundOwner = {
  readonly credit: SessionCredit
  readonly roundTripMs: number | undefined
  finSent(stream: SessionStream): void
}

/**
 * The sending side of a session. Order on a carrier: HELLO or READY, PING and PONG, ACK, GOAWAY, the ACL; then frames
 * that are sent again; RESET; CREDIT; OPENED; OPEN; datagrams; lone FINs; DATA of the streams in turn.
 */
export class Outbound {
  readonly kept: KeptFrames
  readonly acl = new AclSender()
  readonly unsequenced = new Unsequenced()
  readonly #owner: OutboundOwner
  readonly #writer = new FrameWriter()

  /** Sequenced frames, the ACL and datagrams may go: the greetings are done. */
  open = false
  /** Sequenced frames of the session that are on their way on this carrier or known to have arrived. */
  #position = 0
  readonly #resets = new Fifo<{ id: number; code: ResetCode }>()
  readonly #credits = new Fifo<SessionStream>()
  readonly #accepts = new Fifo<SessionStream>()
  readonly #opens = new Fifo<SessionStream>()
  readonly #fins = new Fifo<SessionStream>()
  readonly #turns = new Fifo<SessionStream>()
  #datagrams = new Fifo<{ stream: SessionStream; bytes: Uint8Array }>()
  #datagramBytes = 0

  constructor(owner: OutboundOwner, keptBudget: Budget) {
    this.#owner = owner
    this.kept = new KeptFrames(keptBudget)
  }

  /** Begins on a new carrier, after whose greetings the peer has the first `received` frames. */
  beginCarrier(received: number): void {
    this.kept.acknowledge(received)
    this.#position = received
  }

  /** Forgets what belonged to the carrier. */
  endCarrier(): void {
    this.open = false
    this.unsequenced.endCarrier()
    this.acl.stop()
    this.#datagrams.clear()
    this.#datagramBytes = 0
  }

  acknowledged(received: number): void {
    this.kept.acknowledge(received)
    this.#position = Math.max(this.#position, received)
  }

  reset(id: number, code: ResetCode): void {
    this.#resets.push({ id, code })
  }

  announce(stream: SessionStream): void {
    this.#opens.push(stream)
  }

  accept(stream: SessionStream): void {
    this.#accepts.push(stream)
  }

  grant(stream: SessionStream): void {
    if (stream.creditQueued) return
    stream.creditQueued = true
    this.#credits.push(stream)
  }

  /** Gives the stream its turn, if it has something to send. FIN alone waits for no room and so for no other stream. */
  schedule(stream: SessionStream): void {
    if (stream.scheduled || !stream.announced || !stream.hasSendable) return
    stream.scheduled = true
    if (stream.pendingBytes > 0) this.#turns.push(stream)
    else this.#fins.push(stream)
  }

  /** Whether DATA or OPEN waits that kept frames may have held up. */
  get waitsForRoom(): boolean {
    return this.#turns.length + this.#opens.length > 0
  }

  /** Frames about streams that wait for the carrier, for a limit on a peer that asks and does not read. */
  get waiting(): number {
    return this.#resets.length + this.#credits.length + this.#accepts.length + this.#fins.length
  }

  datagram(stream: SessionStream, bytes: Uint8Array): boolean {
    if (!this.open || bytes.length > MAX_BODY_BYTES) return false
    if (this.#datagramBytes + bytes.length > MAX_PENDING_DATAGRAM_BYTES) return false
    this.#datagrams.push({ stream, bytes })
    this.#datagramBytes += bytes.length
    return true
  }

  /** Forgets everything but a GOAWAY and what was to be sent before it. */
  end(): void {
    this.open = false
    this.#resets.clear()
    this.#credits.clear()
    this.#accepts.clear()
    this.#opens.clear()
    this.#fins.clear()
    this.#turns.clear()
    this.#datagrams.clear()
    this.acl.stop()
    this.kept.clear()
  }

  /** Frames ready to be written, about `maxBytes` of them (one frame more at most). Throws WireError `ack_overdue`. */
  output(maxBytes: number, nowMs: number): Uint8Array[] {
    this.unsequenced.write(this.#writer)
    this.#sendAcl(maxBytes)
    if (this.open && this.#sendAgain(maxBytes)) {
      this.#sendResets(maxBytes)
      this.#sendCredits(maxBytes, nowMs)
      this.#sendAccepts(maxBytes, nowMs)
      this.#sendOpens(maxBytes, nowMs)
      this.#sendDatagrams(maxBytes)
      this.#sendFins(maxBytes)
      this.#sendTurns(maxBytes)
    }
    return this.#writer.take()
  }

  /** Sends kept frames that the peer lacks. Returns whether none is left. */
  #sendAgain(maxBytes: number): boolean {
    while (this.#position < this.kept.sent) {
      if (this.#writer.length >= maxBytes) return false
      const frame = this.kept.after(this.#position)!
      this.#position++
      this.#write(frame)
    }
    return true
  }

  #sendResets(maxBytes: number): void {
    while (this.#resets.length > 0 && this.#writer.length < maxBytes) {
      const { id, code } = this.#resets.shift()!
      const number = resetCodes[code].number
      this.#send(FrameType.Reset, id, undefined, [Uint8Array.of(number >>> 8, number & 255)], 2)
    }
  }

  #sendCredits(maxBytes: number, nowMs: number): void {
    while (this.#credits.length > 0 && this.#writer.length < maxBytes) {
      const stream = this.#credits.shift()!
      stream.creditQueued = false
      if (stream.state === 'closed' || stream.finReceived) continue
      this.#sendCredit(stream, this.#owner.credit.grant(stream.credit, nowMs, this.#owner.roundTripMs))
    }
  }

  #sendAccepts(maxBytes: number, nowMs: number): void {
    while (this.#accepts.length > 0 && this.#writer.length < maxBytes) {
      const stream = this.#accepts.shift()!
      if (stream.state === 'closed') continue
      this.#send(FrameType.Opened, stream.id, stream, NOTHING, 0)
      this.#sendCredit(stream, this.#owner.credit.grantFirst(stream.credit, nowMs))
      stream.announced = true
      this.schedule(stream)
    }
  }

  #sendAcl(maxBytes: number): void {
    while (this.#writer.length < maxBytes) {
      const next = this.acl.next()
      if (next === undefined) return
      this.#writer.header(FrameType.Acl, 0, next.piece.length + 8)
      this.#writer.u32(next.offset)
      this.#writer.u32(next.total)
      this.#writer.bytes(next.piece)
    }
  }

  #sendOpens(maxBytes: number, nowMs: number): void {
    while (this.#opens.length > 0 && this.kept.hasRoom && this.#writer.length < maxBytes) {
      const stream = this.#opens.shift()!
      if (stream.state === 'closed') continue
      stream.announced = true
      const body = encodeJson(stream.request)
      this.#send(FrameType.Open, stream.id, stream, [body], body.length)
      this.#sendCredit(stream, this.#owner.credit.grantFirst(stream.credit, nowMs))
    }
  }

  #sendDatagrams(maxBytes: number): void {
    while (this.#datagrams.length > 0 && this.#writer.length < maxBytes) {
      const { stream, bytes } = this.#datagrams.shift()!
      this.#datagramBytes -= bytes.length
      if (stream.state === 'closed') continue
      this.#writer.header(FrameType.Datagram, stream.id, bytes.length)
      this.#writer.bytes(bytes)
    }
  }

  #sendFins(maxBytes: number): void {
    while (this.#fins.length > 0 && this.#writer.length < maxBytes) {
      const stream = this.#fins.shift()!
      stream.scheduled = false
      if (stream.hasSendable) this.#sendFin(stream)
    }
  }

  #sendTurns(maxBytes: number): void {
    while (this.#turns.length > 0 && this.#writer.length < maxBytes && this.kept.hasRoom) {
      const stream = this.#turns.shift()!
      stream.scheduled = false
      if (!stream.hasSendable) continue
      this.#sendData(stream)
      if (stream.pendingBytes === 0 && stream.hasSendable) this.#sendFin(stream)
      else this.schedule(stream)
    }
  }

  #sendData(stream: SessionStream): void {
    const { parts, length } = stream.takeBody()
    this.#send(FrameType.Data, stream.id, stream, parts, length)
    stream.tellDrained()
  }

  #sendFin(stream: SessionStream): void {
    stream.finSent = true
    this.#send(FrameType.Fin, stream.id, stream, NOTHING, 0)
    this.#owner.finSent(stream)
  }

  #sendCredit(stream: SessionStream, bytes: number): void {
    if (bytes === 0) return
    const body = Uint8Array.of(bytes >>> 24, bytes >>> 16, bytes >>> 8, bytes)
    this.#send(FrameType.Credit, stream.id, stream, [body], 4)
  }

  #send(
    type: FrameType,
    id: number,
    stream: SessionStream | undefined,
    parts: readonly Uint8Array[],
    length: number,
  ): void {
    const frame: KeptFrame = { type, id, stream, parts, length, next: undefined }
    this.kept.keep(frame)
    this.#position++
    this.#write(frame)
  }

  #write(frame: KeptFrame): void {
    this.#writer.header(frame.type, frame.id, frame.length)
    for (const part of frame.parts) this.#writer.bytes(part)
  }
}

const NOTHING: readonly Uint8Array[] = []
