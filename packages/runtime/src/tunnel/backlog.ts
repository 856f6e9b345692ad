/** Pieces from this size on are kept as they are; smaller ones are copied together. */
const OWN_BLOCK_BYTES = 4 * 1024
const BLOCK_BYTES = 8 * 1024

/**
 * Received bytes that nobody reads yet, in few blocks however small their pieces: a peer pays credit for bytes, not
 * for the objects that hold them nor for the chunks of which they are a part.
 */
export class Backlog {
  #blocks: Buffer[] = []
  #first = 0
  #bytes = 0
  /** Used bytes of the last block, which still takes more; undefined when it does not. */
  #open: number | undefined

  /** Bytes held. */
  get bytes(): number {
    return this.#bytes
  }

  add(piece: Uint8Array): void {
    this.#bytes += piece.length
    if (piece.length >= OWN_BLOCK_BYTES) {
      this.#seal()
      this.#blocks.push(Buffer.from(piece.buffer, piece.byteOffset, piece.length))
      return
    }
    if (this.#open === undefined || this.#open + piece.length > BLOCK_BYTES) {
      this.#seal()
      this.#blocks.push(Buffer.allocUnsafeSlow(BLOCK_BYTES))
      this.#open = 0
    }
    this.#blocks.at(-1)!.set(piece, this.#open)
    this.#open += piece.length
  }

  /** Takes the first block. */
  shift(): Buffer | undefined {
    if (this.#first === this.#blocks.length) return undefined
    if (this.#first === this.#blocks.length - 1) this.#seal()
    const block = this.#blocks[this.#first++]!
    if (this.#first === this.#blocks.length) {
      this.#blocks = []
      this.#first = 0
    }
    this.#bytes -= block.length
    return block
  }

  #seal(): void {
    if (this.#open !== undefined) this.#blocks.push(this.#blocks.pop()!.subarray(0, this.#open))
    this.#open = undefined
  }
}
