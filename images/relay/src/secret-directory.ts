import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, type DirectoryWatch, type Log, watchDirectory } from '@sallyport/runtime'
import { type RelayIdentity, readRelaySecret, type SecretFiles } from './relay-secret.ts'

/** The Relay's mounted Secret: read when it changes, the last good one kept while it is not whole. */
export class SecretDirectory {
  readonly #directory: string
  readonly #log: Log
  readonly #onChange: (identity: RelayIdentity) => void
  readonly #watch: DirectoryWatch
  #identity: RelayIdentity | undefined
  #problem: string | undefined

  /** `onChange` is called with each good Secret but the one that is there at first. */
  constructor(directory: string, deps: { clock: Clock; log: Log; onChange: (identity: RelayIdentity) => void }) {
    this.#directory = directory
    this.#log = deps.log
    this.#onChange = deps.onChange
    this.#watch = watchDirectory(directory, () => this.#changed(), { clock: deps.clock })
    this.#read()
  }

  /** Undefined until there has been a whole Secret. */
  get identity(): RelayIdentity | undefined {
    return this.#identity
  }

  /** What is wrong with the files as they are. */
  get problem(): string | undefined {
    return this.#problem
  }

  close(): void {
    this.#watch.close()
  }

  #changed(): void {
    if (this.#read()) this.#onChange(this.#identity!)
  }

  #read(): boolean {
    const read = readRelaySecret(this.#files())
    if (read.ok) {
      this.#identity = read.identity
      this.#problem = undefined
      const keys = read.identity.keys.map(({ id }) => id)
      this.#log.info({ relay: read.identity.name, keys }, 'the Secret has been read')
      return true
    }
    this.#problem = read.problems.map(({ field, message }) => `${field} ${message}`).join('; ')
    const fallback = this.#identity === undefined ? 'nobody is served until it is' : 'the last good one stays in use'
    this.#log.warn({ directory: this.#directory, problems: read.problems }, `the Secret is not whole: ${fallback}`)
    return false
  }

  #files(): SecretFiles {
    return {
      'relay.json': this.#file('relay.json'),
      'tls.crt': this.#file('tls.crt'),
      'tls.key': this.#file('tls.key'),
    }
  }

  #file(name: string): string | undefined {
    try {
      return readFileSync(join(this.#directory, name), 'utf8')
    } catch {
      return undefined // Reported as missing.
    }
  }
}
