import { type FrameType, writeHeader } from './frame.ts'
import { HEADER_BYTES } from './limit.ts'

const SLAB_BYTES = 16 * 1024
const COPY_BELOW = 512

/**
 * Gathers frames as chunks for one vectored write: headers and small bodies share slabs, larger bodies are passed on
 * as they are.
 */
export class FrameWriter {
  #slab = new Uint8Array(SLAB_BYTES)
  #start = 0
  #at = 0
  #chunks: Uint8Array[] = []
  #length = 0

  /** Bytes gathered since the last `take`. */
  get length(): number {
    return this.#length
  }

  header(type: FrameType, stream: number, length: number): void {
    this.#reserve(HEADER_BYTES)
    writeHeader(this.#slab, this.#at, type, stream, length)
    this.#advance(HEADER_BYTES)
  }

  u16(value: number): void {
    this.#reserve(2)
    this.#slab[this.#at] = value >>> 8
    this.#slab[this.#at + 1] = value
    this.#advance(2)
  }

  u32(value: number): void {
    this.#reserve(4)
    this.#slab[this.#at] = value >>> 24
    this.#slab[this.#at + 1] = value >>> 16
    this.#slab[this.#at + 2] = value >>> 8
    this.#slab[this.#at + 3] = value
    this.#advance(4)
  }

  u64(value: number): void {
    this.u32(Math.floor(value / 2 ** 32))
    this.u32(value >>> 0)
  }

  bytes(body: Uint8Array): void {
    if (body.length < COPY_BELOW) {
      this.#reserve(body.length)
      this.#slab.set(body, this.#at)
      this.#advance(body.length)
      return
    }
    this.#cut()
    this.#chunks.push(body)
    this.#length += body.length
  }

  /** Gives what was gathered, and begins anew. */
  take(): Uint8Array[] {
    this.#cut()
    const chunks = this.#chunks
    this.#chunks = []
    this.#length = 0
    return chunks
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= SLAB_BYTES) return
    this.#cut()
    this.#slab = new Uint8Array(SLAB_BYTES)
    this.#start = 0
    this.#at = 0
  }

  #advance(bytes: number): void {
    this.#at += bytes
    this.#length += bytes
  }

  #cut(): void {
    if (this.#at > this.#start) this.#chunks.push(this.#slab.subarray(this.#start, this.#at))
    this.#start = this.#at
  }
}
