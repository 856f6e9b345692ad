import { type GoawayCode, goawayCodes } from './code.ts'
import { WireError } from './error.ts'
import { FrameType } from './frame.ts'
import type { FrameWriter } from './frame-writer.ts'
import { encodeJson, type Hello, type Ready } from './hello.ts'
import { MAX_PENDING_PONGS } from './limit.ts'

/** Frames about the carrier and the session as a whole that wait to be sent. They are not kept. */
export class Unsequenced {
  #greeting: { type: FrameType; body: Uint8Array } | undefined
  #ping: number | undefined
  #pongs: Uint8Array[] = []
  #ack: number | undefined
  #goaway: GoawayCode | undefined

  /** Forgets what belonged to the carrier: all but a GOAWAY. */
  endCarrier(): void {
    this.#greeting = undefined
    this.#ping = undefined
    this.#pongs = []
    this.#ack = undefined
  }

  greet(frame: { type: typeof FrameType.Hello; hello: Hello } | { type: typeof FrameType.Ready; ready: Ready }): void {
    const body = encodeJson(frame.type === FrameType.Hello ? frame.hello : frame.ready)
    this.#greeting = { type: frame.type, body }
  }

  ping(id: number): void {
    this.#ping = id
  }

  /** Throws WireError `ping_flood`. */
  pong(body: Uint8Array): void {
    if (this.#pongs.length >= MAX_PENDING_PONGS)
      throw new WireError('ping_flood', 'the peer sends PINGs and reads no PONGs')
    this.#pongs.push(body.slice())
  }

  acknowledge(received: number): void {
    this.#ack = received
  }

  goaway(code: GoawayCode): void {
    this.#goaway = code
  }

  /** Writes all that waits, a greeting first. */
  write(writer: FrameWriter): void {
    if (this.#greeting !== undefined) {
      writer.header(this.#greeting.type, 0, this.#greeting.body.length)
      writer.bytes(this.#greeting.body)
      this.#greeting = undefined
    }
    if (this.#ping !== undefined) {
      writer.header(FrameType.Ping, 0, 8)
      writer.u64(this.#ping)
      this.#ping = undefined
    }
    for (const body of this.#pongs) {
      writer.header(FrameType.Pong, 0, 8)
      writer.bytes(body)
    }
    if (this.#pongs.length > 0) this.#pongs = []
    if (this.#ack !== undefined) {
      writer.header(FrameType.Ack, 0, 8)
      writer.u64(this.#ack)
      this.#ack = undefined
    }
    if (this.#goaway !== undefined) {
      writer.header(FrameType.Goaway, 0, 2)
      writer.u16(goawayCodes[this.#goaway].number)
      this.#goaway = undefined
    }
  }
}
