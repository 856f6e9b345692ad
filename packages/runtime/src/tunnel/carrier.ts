import type { Duplex } from 'node:stream'
import { type SessionEnd, WireError } from '@sallyport/wire'
import type { Clock, Timer } from '../clock.ts'

/** Bytes handed to the carrier and not yet taken by the kernel, beyond which the session waits. */
const HIGH_WATER_BYTES = 512 * 1024
/** Bytes asked of the session at a time. */
const BATCH_BYTES = 256 * 1024
/** Time that a peer has to close its side after the session's end was written. */
export const LINGER_MS = 1_000

/** Moves bytes between one end of a session and the carrier that it is attached to, once a tick. */
export class Carrier {
  readonly #end: SessionEnd
  readonly #socket: Duplex
  readonly #clock: Clock
  readonly #onLost: (error: Error | undefined) => void
  #error: Error | undefined
  #scheduled = false
  #gone = false
  #closing = false
  #timer: Timer | undefined
  #timerAtMs = Number.POSITIVE_INFINITY

  /** `onLost` is called once, after the session was detached; with the error if it was not the session's own end. */
  constructor(end: SessionEnd, socket: Duplex, clock: Clock, onLost: (error: Error | undefined) => void) {
    this.#end = end
    this.#socket = socket
    this.#clock = clock
    this.#onLost = onLost
    socket.on('data', this.#receive)
    socket.on('error', error => {
      this.#error ??= error
    })
    socket.on('end', () => socket.destroy())
    socket.on('close', this.#lose)
  }

  /** Asks for a flush at the end of the tick. */
  readonly wake = (): void => {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#flush)
  }

  /** Takes bytes that came before the carrier was bound. */
  receive(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#receive(bytes)
  }

  /** Gives the carrier up for another, without a word to the owner. */
  release(): void {
    if (this.#gone) return
    this.#part()
    this.#socket.destroy()
  }

  /** Gives the carrier up. */
  destroy(error?: Error): void {
    this.#error ??= error
    this.#socket.destroy()
    this.#lose()
  }

  readonly #receive = (bytes: Uint8Array): void => {
    if (this.#gone) return
    try {
      this.#end.receive(bytes, this.#clock.monotonic())
    } catch (error) {
      this.#fail(error)
    }
    this.#arm()
  }

  readonly #flush = (): void => {
    this.#scheduled = false
    if (this.#gone) return
    try {
      this.#write()
    } catch (error) {
      this.#fail(error)
    }
    if (this.#end.closed) this.#finish()
    else this.#arm()
  }

  #write(): void {
    const socket = this.#socket
    const nowMs = this.#clock.monotonic()
    for (let room = this.#room; room > 0; room = this.#room) {
      const chunks = this.#end.output(Math.min(room, BATCH_BYTES), nowMs)
      const last = chunks.length - 1
      if (last < 0) return
      socket.cork()
      for (let index = 0; index < last; index++) socket.write(chunks[index])
      socket.write(chunks[last], this.wake)
      socket.uncork()
    }
  }

  get #room(): number {
    return HIGH_WATER_BYTES - this.#socket.writableLength
  }

  #fail(error: unknown): void {
    if (!(error instanceof WireError)) throw error
    this.#error ??= error
    this.#end.close('protocol_error', 'protocol_error')
    this.wake()
  }

  /** Writes the last of a session that is over, and waits for the peer a little. */
  #finish(): void {
    if (this.#closing) return
    this.#closing = true
    this.#timer?.cancel()
    this.#socket.end()
    this.#timer = this.#clock.timer(LINGER_MS, () => this.#socket.destroy())
  }

  #arm(): void {
    if (this.#gone || this.#closing) return
    const atMs = this.#end.nextDeadlineMs
    if (atMs >= this.#timerAtMs) return
    this.#timer?.cancel()
    this.#timerAtMs = atMs
    this.#timer = this.#clock.timer(Math.max(0, atMs - this.#clock.monotonic()), this.#tick)
  }

  readonly #tick = (): void => {
    this.#timerAtMs = Number.POSITIVE_INFINITY
    if (this.#gone) return
    this.#end.tick(this.#clock.monotonic())
    this.#arm()
  }

  readonly #lose = (): void => {
    if (this.#gone) return
    this.#part()
    this.#onLost(this.#error)
  }

  #part(): void {
    this.#gone = true
    this.#timer?.cancel()
    this.#end.detach(this.#clock.monotonic())
  }
}
