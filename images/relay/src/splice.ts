import type { Socket } from 'node:net'
import { HALF_CLOSED_TIMEOUT_MS } from './limit.ts'
import { readInto } from './read-into.ts'
import { RING_LENGTH, type Ring, type RingPool } from './ring-pool.ts'

/** What libuv reads at a time into buffers of its own. */
const FULL_READ_BYTES = 64 * 1024
/** Full reads after which a direction counts as bulk. */
const BULK_AFTER_READS = 2
/** Bytes that wait to be written, beyond which the other side is not read. */
const HIGH_WATER_BYTES = 256 * 1024
/** Buffer of a direction that was bulk and is quiet. */
const QUIET_BUFFER_BYTES = 4 * 1024

export type SpliceOptions = {
  /** Bytes of the Client that the Connector has already. */
  handedOver: number
  rings: RingPool
  /** The first bytes of the Client after the Connector's answer. */
  onClientAnswer: () => void
  /** Both sockets are closed. */
  onEnd: () => void
}

/** A Client's and a Connector's socket joined, with half close; a cut of one side cuts the other. Nothing is read of what passes. */
export class Splice {
  readonly #up: Direction
  readonly #down: Direction
  #quietSinceMs: number | undefined

  /** Both sockets stand still and are of allowHalfOpen; `answer` are the Connector's first bytes. */
  constructor(client: Socket, connector: Socket, answer: Buffer, options: SpliceOptions) {
    const { handedOver, rings, onClientAnswer, onEnd } = options
    this.#up = new Direction(client, connector, rings)
    this.#down = new Direction(connector, client, rings)
    this.#up.bytes = handedOver
    client.once('data', onClientAnswer)
    const onClose = () => {
      if (!client.closed || !connector.closed) return
      this.#up.release()
      this.#down.release()
      onEnd()
    }
    client.on('close', onClose)
    connector.on('close', onClose)
    this.#down.push(answer)
    this.#up.start()
    this.#down.start()
  }

  /** Bytes from the Client to the Connector. */
  get up(): number {
    return this.#up.bytes
  }

  /** Bytes from the Connector to the Client. */
  get down(): number {
    return this.#down.bytes
  }

  /** Gives back what a quiet tunnel does not need, and cuts one that was left half closed. */
  sweep(nowMs: number): void {
    const quiet = [this.#up.sweep(), this.#down.sweep()].every(Boolean)
    this.#quietSinceMs = quiet ? (this.#quietSinceMs ?? nowMs) : undefined
    const halfClosed = this.#up.ended !== this.#down.ended
    if (halfClosed && quiet && nowMs - this.#quietSinceMs! >= HALF_CLOSED_TIMEOUT_MS) this.cut()
  }

  /** Resets both sides. */
  cut(): void {
    this.#up.cut()
    this.#down.cut()
  }
}

/** One direction: ordinary reads at first, large ones into buffers that are used again once it turns out to carry bulk. */
class Direction {
  bytes = 0
  ended = false
  readonly #from: Socket
  readonly #to: Socket
  readonly #rings: RingPool
  #paused = false
  #fullReads = 0
  #sweptBytes = 0
  #ring: Ring | undefined
  #slot = 0
  #unwritten = 0
  #quiet: Buffer | undefined

  constructor(from: Socket, to: Socket, rings: RingPool) {
    this.#from = from
    this.#to = to
    this.#rings = rings
  }

  start(): void {
    const from = this.#from
    const to = this.#to
    from.on('data', this.#onData)
    from.once('end', () => {
      this.ended = true
      if (!to.destroyed) to.end()
    })
    from.once('close', hadError => {
      if (hadError || !from.readableEnded) cut(to)
    })
    to.on('drain', this.#onDrain)
    from.resume()
  }

  push(chunk: Buffer): void {
    this.bytes += chunk.length
    this.#to.write(chunk)
  }

  cut(): void {
    cut(this.#from)
  }

  /** True when nothing has come since the last time. */
  sweep(): boolean {
    const quiet = this.bytes === this.#sweptBytes
    this.#sweptBytes = this.bytes
    const spare = this.#ring !== undefined || (this.#quiet?.length ?? 0) > QUIET_BUFFER_BYTES
    if (quiet && spare && this.#unwritten === 0 && !this.#from.destroyed) this.#calm()
    return quiet
  }

  /** Both sockets are closed: nothing is read or written any more. */
  release(): void {
    if (this.#ring !== undefined) this.#rings.giveBack(this.#ring)
    this.#ring = undefined
  }

  readonly #onData = (chunk: Buffer): void => {
    this.bytes += chunk.length
    const to = this.#to
    if (to.destroyed) return
    to.write(chunk)
    if (to.writableLength >= HIGH_WATER_BYTES) {
      this.#paused = true
      this.#from.pause()
    } else if (chunk.length >= FULL_READ_BYTES && ++this.#fullReads >= BULK_AFTER_READS) {
      this.#promote()
    }
  }

  readonly #onDrain = (): void => {
    // A direction that reads into buffers is resumed by the end of their writes.
    if (!this.#paused || this.#unwritten > 0) return
    this.#paused = false
    this.#from.resume()
  }

  #promote(): void {
    this.#fullReads = 0
    if (this.#from.destroyed || this.#from.readableLength > 0) return
    this.#ring = this.#rings.borrow()
    if (this.#ring === undefined) return
    if (!readInto(this.#from, { next: this.#next, take: this.#take })) this.release()
  }

  readonly #next = (): Buffer => this.#quiet ?? this.#ring![this.#slot]!

  /**
   * A buffer is its writer's until written. Writes end in order, so those not yet ended lie in the slots before the next
   * one, and reading stops when they lie in all. A write that the kernel took whole leaves its slot, still in the cache, to the next read.
   */
  readonly #take = (length: number, buffer: Buffer): boolean => {
    this.bytes += length
    const to = this.#to
    if (to.destroyed) return true
    const bytes = buffer.subarray(0, length)
    this.#unwritten++
    if (this.#quiet === undefined) {
      to.write(bytes, this.#onWritten)
      if (to.writableLength > 0) this.#slot = (this.#slot + 1) % RING_LENGTH
    } else {
      to.write(Buffer.from(bytes), this.#onWritten)
      if (length === this.#quiet.length) this.#wake()
    }
    this.#paused = this.#unwritten >= RING_LENGTH
    return !this.#paused
  }

  readonly #onWritten = (): void => {
    this.#unwritten--
    if (!this.#paused || this.#from.destroyed) return
    this.#paused = false
    this.#from.resume()
  }

  /** Goes on with a small buffer of its own. */
  #calm(): void {
    this.#quiet = Buffer.allocUnsafeSlow(QUIET_BUFFER_BYTES)
    if (readInto(this.#from, { next: this.#next, take: this.#take })) this.release()
    else this.#quiet = undefined
  }

  /** Bulk again. */
  #wake(): void {
    this.#ring = this.#rings.borrow()
    this.#slot = 0
    this.#quiet = this.#ring === undefined ? Buffer.allocUnsafeSlow(FULL_READ_BYTES) : undefined
  }
}

function cut(socket: Socket): void {
  if (!socket.destroyed) socket.resetAndDestroy()
}
