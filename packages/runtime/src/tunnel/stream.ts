import { Duplex } from 'node:stream'
import type { OpenRequest, ResetCode, SessionStream, StreamHandler } from '@sallyport/wire'
import { Backlog } from './backlog.ts'
import { StreamResetError } from './error.ts'

/** Bytes that Node buffers on each side of a stream, beside the stream's own window. */
const BUFFER_BYTES = 64 * 1024

/**
 * One stream of a session as a Duplex with half close. Destroyed with a StreamResetError it says RESET with that code,
 * with anything else `closed`; a RESET of the peer destroys it with a StreamResetError.
 */
export class TunnelStream extends Duplex implements StreamHandler {
  readonly #stream: SessionStream
  readonly #backlog = new Backlog()
  #unread = 0
  #wanted = false
  #finished = false
  #afterDrain: (() => void) | undefined

  constructor(stream: SessionStream) {
    super({ allowHalfOpen: true, highWaterMark: BUFFER_BYTES })
    this.#stream = stream
    stream.handler = this
    // A peer may cut a stream that nobody listens to; that must not end the process.
    this.on('error', ignore)
  }

  get request(): OpenRequest {
    return this.#stream.request
  }

  /** Bytes of payload sent and received. */
  get counts(): { sent: number; received: number } {
    return { sent: this.#stream.bytesSent, received: this.#stream.bytesReceived }
  }

  data(bytes: Uint8Array): void {
    const direct = this.#backlog.bytes === 0 && (this.#wanted || this.readableLength === 0)
    if (direct) this.#give(pinsMuch(bytes) ? Buffer.from(bytes) : bytes)
    else this.#backlog.add(bytes)
  }

  fin(): void {
    this.#finished = true
    if (this.#backlog.bytes === 0) this.push(null)
  }

  reset(code: ResetCode): void {
    this.destroy(new StreamResetError(code))
  }

  drained(): void {
    const done = this.#afterDrain
    this.#afterDrain = undefined
    done?.()
  }

  override _read(): void {
    this.#consume()
    const block = this.#backlog.shift()
    if (block === undefined) {
      this.#wanted = true
      return
    }
    this.#give(block)
    if (this.#finished && this.#backlog.bytes === 0) this.push(null)
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#stream.write(chunk)) done()
    else this.#afterDrain = done
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    let room = true
    for (const { chunk } of chunks) room = this.#stream.write(chunk)
    if (room) done()
    else this.#afterDrain = done
  }

  override _final(done: () => void): void {
    this.#stream.end()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const stream = this.#stream
    this.#afterDrain = undefined
    this.#unread += this.#backlog.bytes
    this.#consume()
    stream.handler = OVER
    if (!(stream.finQueued && stream.finReceived)) {
      stream.reset(error instanceof StreamResetError ? error.code : 'closed')
    }
    done(error)
  }

  #give(bytes: Uint8Array): void {
    this.#wanted = false
    this.#unread += bytes.length
    if (this.push(bytes)) this.#consume()
  }

  #consume(): void {
    if (this.#unread === 0) return
    const bytes = this.#unread
    this.#unread = 0
    this.#stream.consumed(bytes)
  }
}

function ignore(): void {}

/** Whether a piece keeps a chunk of the carrier alive that is many times its size. */
function pinsMuch(bytes: Uint8Array): boolean {
  return bytes.length < 1024 && bytes.buffer.byteLength > 8 * bytes.length
}

/** For streams whose Duplex is gone while their last bytes are on their way. */
const OVER: StreamHandler = { data() {}, fin() {}, reset() {}, drained() {} }
