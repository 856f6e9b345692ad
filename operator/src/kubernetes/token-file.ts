import { readFile } from 'node:fs/promises'
import type { Clock } from '@sallyport/runtime'

/** How long a token is used until it is read again. The kubelet renews it long before its end. */
const TOKEN_MS = 1_000

/** A projected ServiceAccount token, which whoever asks has as it was within the last second. */
export class TokenFile {
  readonly #path: string
  readonly #clock: Clock
  #held: { token: Promise<string>; untilMs: number } | undefined

  constructor(path: string, clock: Clock) {
    this.#path = path
    this.#clock = clock
  }

  /** Throws Error when the file cannot be read. */
  read(): Promise<string> {
    const nowMs = this.#clock.monotonic()
    if (this.#held === undefined || nowMs >= this.#held.untilMs) {
      const token = readFile(this.#path, 'utf8').then(text => text.trim())
      this.#held = { token, untilMs: nowMs + TOKEN_MS }
    }
    return this.#held.token
  }
}
