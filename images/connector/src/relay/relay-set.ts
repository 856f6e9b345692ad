import { type RelayEntry, RelayLink, type RelayLinkOptions } from './relay-link.ts'

/** State of the registration at one Relay, as the heartbeat tells it. */
export type RelayReport = { name: string; registered: boolean; error?: string }

const MAX_ERROR = 500

/** All Relays that the Controller has named. */
export class RelaySet {
  readonly #options: RelayLinkOptions
  readonly #links = new Map<string, RelayLink>()
  #entries: RelayEntry[] = []

  constructor(options: RelayLinkOptions) {
    this.#options = options
  }

  /** What was named last, to be kept for a start without the Controller. */
  get entries(): readonly RelayEntry[] {
    return this.#entries
  }

  get registered(): number {
    return [...this.#links.values()].filter(link => link.registered).length
  }

  get idleSockets(): number {
    return [...this.#links.values()].reduce((sum, link) => sum + link.idleSockets, 0)
  }

  get reports(): RelayReport[] {
    return [...this.#links.values()].map(({ name, registered, error }) => ({
      name,
      registered,
      ...(error === undefined ? {} : { error: error.slice(0, MAX_ERROR) }),
    }))
  }

  /** Takes the whole list: new ones are registered at, others left. Resolves when those have been left. */
  async update(entries: readonly RelayEntry[]): Promise<void> {
    this.#entries = [...entries]
    const named = new Set(entries.map(({ name }) => name))
    for (const entry of entries) {
      const link = this.#links.get(entry.name)
      if (link === undefined) this.#links.set(entry.name, new RelayLink(entry, this.#options))
      else link.update(entry)
    }
    const gone = [...this.#links.values()].filter(({ name }) => !named.has(name))
    for (const { name } of gone) this.#links.delete(name)
    await Promise.all(gone.map(link => link.close()))
  }

  /** Leaves every Relay. */
  async close(): Promise<void> {
    const links = [...this.#links.values()]
    this.#links.clear()
    await Promise.all(links.map(link => link.close()))
  }
}
