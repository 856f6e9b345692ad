import { appendFile, rename, stat } from 'node:fs/promises'

/** Size from which a file of events gives way to a new one; one former file is kept, as `<path>.1`. */
const MAX_BYTES = 1024 * 1024

/** Events as lines of JSON, at most the last 2 MiB of them. */
export class EventFile {
  readonly #path: string
  readonly #maxBytes: number
  #writing: Promise<void> = Promise.resolve()

  constructor(path: string, maxBytes = MAX_BYTES) {
    this.#path = path
    this.#maxBytes = maxBytes
  }

  /** Resolves when the event is on disk. */
  append(event: object): Promise<void> {
    const write = () => this.#append(`${JSON.stringify(event)}\n`)
    this.#writing = this.#writing.then(write, write)
    return this.#writing
  }

  async #append(line: string): Promise<void> {
    const size = await stat(this.#path).then(
      found => found.size,
      () => 0,
    )
    if (size >= this.#maxBytes) await rename(this.#path, `${this.#path}.1`)
    await appendFile(this.#path, line, { mode: 0o600 })
  }
}
