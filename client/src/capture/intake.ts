import type { Socket } from 'node:net'

/** What an application has sent so far, read piece by piece, with a limit and a deadline. */
export class Intake {
  readonly socket: Socket
  #bytes: Buffer = Buffer.alloc(0)
  #wake: (() => void) | undefined
  #ended = false

  constructor(socket: Socket, timeoutMs: number) {
    this.socket = socket
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('close', this.#onEnd)
    socket.setTimeout(timeoutMs, () => socket.destroy())
  }

  /** Calls `read` with all bytes whenever there are more, until its answer is not undefined; undefined when the application has gone. */
  async until<T>(read: (bytes: Buffer) => T | undefined): Promise<T | undefined> {
    for (;;) {
      const value = this.#bytes.length === 0 ? undefined : read(this.#bytes)
      if (value !== undefined) return value
      if (this.#ended) return undefined
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
  }

  /** Forgets the first `length` bytes. */
  take(length: number): void {
    this.#bytes = this.#bytes.subarray(length)
  }

  /** Reads no more for now: whatever else the application sends waits in the kernel. */
  pause(): void {
    this.socket.setTimeout(0)
    this.socket.pause()
  }

  /** Gives up the socket; the answer is what was read and not taken. */
  release(): Buffer {
    const { socket } = this
    socket.off('data', this.#onData)
    socket.off('end', this.#onEnd)
    socket.off('close', this.#onEnd)
    this.pause()
    return this.#bytes
  }

  #onData = (chunk: Buffer): void => {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    this.#wake?.()
  }

  #onEnd = (): void => {
    this.#ended = true
    this.#wake?.()
  }
}
