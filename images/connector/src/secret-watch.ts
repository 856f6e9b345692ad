import { type Clock, type DirectoryWatch, sleep, watchDirectory } from '@sallyport/runtime'
import { readSecretDirectory, type SecretFiles } from './state/secret-directory.ts'

/** The mounted Secret: what is in it, and when it changes. */
export class SecretWatch {
  readonly #directory: string
  readonly #clock: Clock
  readonly #watch: DirectoryWatch
  readonly #waiting = new Set<() => void>()

  constructor(directory: string, clock: Clock, onChange: () => void) {
    this.#directory = directory
    this.#clock = clock
    this.#watch = watchDirectory(
      directory,
      () => {
        for (const wake of this.#waiting) wake()
        onChange()
      },
      { clock },
    )
  }

  read(): Promise<SecretFiles> {
    return readSecretDirectory(this.#directory)
  }

  /** Resolves after `delayMs`, at once when the Secret changes; rejects when `signal` aborts. */
  async pause(delayMs: number, signal: AbortSignal): Promise<void> {
    const changed = new AbortController()
    const wake = () => changed.abort()
    this.#waiting.add(wake)
    try {
      await sleep(this.#clock, delayMs, AbortSignal.any([signal, changed.signal]))
    } catch {
      signal.throwIfAborted()
    } finally {
      this.#waiting.delete(wake)
    }
  }

  close(): void {
    this.#watch.close()
  }
}
