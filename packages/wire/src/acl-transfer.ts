import { WireError } from './error.ts'
import { ACL_PIECE_BYTES, MAX_ACL_BYTES } from './limit.ts'

/** A Client ACL and its SHA-256 (base64url). */
export type Acl = { bytes: Uint8Array; hash: string }

/** An ACL on its way out, in pieces. */
export class AclSender {
  #bytes: Uint8Array | undefined
  #offset = 0

  start(bytes: Uint8Array): void {
    this.#bytes = bytes
    this.#offset = 0
  }

  stop(): void {
    this.#bytes = undefined
  }

  /** The next piece; undefined when all are out. */
  next(): { offset: number; total: number; piece: Uint8Array } | undefined {
    const bytes = this.#bytes
    if (bytes === undefined) return undefined
    const offset = this.#offset
    const piece = bytes.subarray(offset, offset + ACL_PIECE_BYTES)
    this.#offset += piece.length
    if (this.#offset === bytes.length) this.#bytes = undefined
    return { offset, total: bytes.length, piece }
  }
}

/** An ACL on its way in. A piece at offset 0 begins a new one. Memory follows what has come, not what was announced. */
export class AclReceiver {
  #bytes: Uint8Array | undefined
  #total = 0
  #received = 0

  /** Takes the body of an ACL frame. Returns the ACL when it is whole. Throws WireError. */
  receive(body: Uint8Array): Uint8Array | undefined {
    const view = new DataView(body.buffer, body.byteOffset, body.length)
    const offset = view.getUint32(0)
    const total = view.getUint32(4)
    const piece = body.subarray(8)
    if (total > MAX_ACL_BYTES)
      throw new WireError('acl_too_large', `ACL of ${total} bytes, want at most ${MAX_ACL_BYTES}`)
    if (offset === 0) {
      this.#bytes = new Uint8Array(Math.min(total, piece.length))
      this.#total = total
      this.#received = 0
    }
    const known = this.#bytes !== undefined && this.#total === total
    if (!known || offset !== this.#received || offset + piece.length > total) {
      throw new WireError('acl_piece', `ACL piece of ${piece.length} bytes at ${offset} of ${total}`)
    }
    this.#append(piece)
    if (this.#received < total) return undefined
    const whole = this.#bytes?.subarray(0, total)
    this.#bytes = undefined
    return whole
  }

  reset(): void {
    this.#bytes = undefined
    this.#received = 0
  }

  #append(piece: Uint8Array): void {
    const held = this.#bytes!
    const length = this.#received + piece.length
    if (length > held.length) {
      this.#bytes = new Uint8Array(Math.min(this.#total, Math.max(length, 2 * held.length)))
      this.#bytes.set(held.subarray(0, this.#received))
    }
    this.#bytes!.set(piece, this.#received)
    this.#received = length
  }
}
