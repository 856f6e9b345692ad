import type { Duplex } from 'node:stream'

/** Longest line in bytes; the same limit as in the schema of the messages. */
const MAX_LINE_BYTES = 1024 * 1024 * 16

/** Lines of JSON on a stream, both ways, until the stream is handed over. */
export class JsonLines {
  readonly stream: Duplex
  #rest: Buffer = Buffer.alloc(0)
  #onLine: (value: unknown) => void
  #onEnd: () => void
  #released = false
  #ended = false

  /** `onLine` gets each line parsed, undefined for one that is not JSON. `onEnd` is called once. */
  constructor(stream: Duplex, onLine: (value: unknown) => void, onEnd: () => void) {
    this.stream = stream
    this.#onLine = onLine
    this.#onEnd = onEnd
    stream.on('data', this.#onData)
    stream.on('end', this.#over)
    stream.on('close', this.#over)
    stream.on('error', this.#failed)
  }

  /** Writes one line; nothing when the stream has ended. */
  send(value: object): void {
    if (this.stream.writable) this.stream.write(`${JSON.stringify(value)}\n`)
  }

  /** Sends a last line and ends. */
  end(value?: object): void {
    if (value !== undefined) this.send(value)
    this.stream.end()
  }

  /** Stops reading lines; the answer is what came behind the last one. */
  release(): Buffer {
    this.#released = true
    this.stream.off('data', this.#onData)
    this.stream.off('end', this.#over)
    this.stream.off('close', this.#over)
    this.stream.off('error', this.#failed)
    this.stream.pause()
    return this.#rest
  }

  #onData = (chunk: Buffer): void => {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    for (let at = this.#rest.indexOf(10); at >= 0 && !this.#released; at = this.#rest.indexOf(10)) {
      const line = this.#rest.subarray(0, at).toString()
      this.#rest = this.#rest.subarray(at + 1)
      this.#onLine(parseJson(line))
    }
    if (!this.#released && this.#rest.length > MAX_LINE_BYTES) this.stream.destroy()
  }

  #over = (): void => {
    if (this.#ended) return
    this.#ended = true
    this.#onEnd()
    // Half-open sockets close when this side has ended as well.
    this.stream.end()
  }

  // `close` follows.
  #failed = (): void => undefined
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
