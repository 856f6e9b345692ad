import type { Programming } from '@sallyport/schema'

type Watch = {
  revision: number
  networks: ReadonlySet<string>
  waiting: Set<string>
  state: Programming
  acknowledged: boolean
}

/**
 * Follows for each Resource and Group whether the Connectors that were connected when it changed have acknowledged it. Each method answers the
 * rows whose state is another from then on.
 */
export class ProgrammingTracker {
  readonly #watched = new Map<string, Watch>()

  /** A row changed with `revision`; `connected` are the Connectors then connected of its networks. `unused`: nothing names it. */
  changed(
    uid: string,
    revision: number,
    networks: ReadonlySet<string>,
    { connected, unused }: { connected: readonly string[]; unused: boolean },
  ): Programming {
    const state = unused ? 'unused' : connected.length > 0 ? 'pending' : 'noConnector'
    if (state === 'unused') this.#watched.delete(uid)
    else this.#watched.set(uid, { revision, networks, waiting: new Set(connected), state, acknowledged: false })
    return state
  }

  removed(uid: string): void {
    this.#watched.delete(uid)
  }

  /** A Connector has everything up to `revision`. */
  acknowledged(connector: string, network: string, revision: number): Map<string, Programming> {
    const changed = new Map<string, Programming>()
    for (const [uid, watch] of this.#watched) {
      if (watch.revision > revision || !watch.networks.has(network)) continue
      watch.waiting.delete(connector)
      watch.acknowledged = true
      if (watch.waiting.size > 0) continue
      this.#watched.delete(uid)
      changed.set(uid, 'programmed')
    }
    return changed
  }

  /** A Connector is gone before it has acknowledged: it counts no more. */
  disconnected(connector: string): Map<string, Programming> {
    const changed = new Map<string, Programming>()
    for (const [uid, watch] of this.#watched) {
      if (!watch.waiting.delete(connector) || watch.waiting.size > 0 || watch.state === 'noConnector') continue
      if (watch.acknowledged) this.#watched.delete(uid)
      watch.state = watch.acknowledged ? 'programmed' : 'noConnector'
      changed.set(uid, watch.state)
    }
    return changed
  }
}
