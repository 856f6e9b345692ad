import type { LiveSession } from '@sallyport/schema'
import type { ConnectorKey } from './row.ts'

/** Time of the Controller's own running for which a slot stays occupied after its Connector was seen last. */
export const SEEN_MS = 15_000
/** Time after the Controller's start for which a slot stays occupied that was so when it stopped; longer than the longest back-off. */
export const AFTER_START_MS = 60_000

/** What is known of a Connector while its control channel is up, and a while longer. */
export type ConnectorPresence = {
  connected: boolean
  /** Monotonic. */
  seenAtMs: number
  ready: boolean
  relays: { name: string; registered: boolean; error?: string }[]
  sessions: Map<string, LiveSession>
  appliedRevision: number | undefined
  clockOffsetMs: number | undefined
}

/** Who is there. Times are monotonic: only the Controller's own running time counts. */
export class Presence {
  readonly connectors = new Map<string, ConnectorPresence>()
  readonly #startedAtMs: number
  readonly #startOccupied = new Set<string>()

  constructor(startedAtMs: number, occupiedAtStart: Iterable<string>) {
    this.#startedAtMs = startedAtMs
    for (const connectorId of occupiedAtStart) this.#startOccupied.add(connectorId)
  }

  of(connectorId: string): ConnectorPresence | undefined {
    return this.connectors.get(connectorId)
  }

  /** Notes that the Connector has been heard of. */
  seen(connectorId: string, monotonicMs: number): ConnectorPresence {
    this.#startOccupied.delete(connectorId)
    const known = this.connectors.get(connectorId)
    if (known !== undefined) {
      known.seenAtMs = monotonicMs
      return known
    }
    const made: ConnectorPresence = {
      connected: false,
      seenAtMs: monotonicMs,
      ready: false,
      relays: [],
      sessions: new Map(),
      appliedRevision: undefined,
      clockOffsetMs: undefined,
    }
    this.connectors.set(connectorId, made)
    return made
  }

  forget(connectorId: string): void {
    this.connectors.delete(connectorId)
    this.#startOccupied.delete(connectorId)
  }

  /** Whether the Connector is there, or may be: it holds its slot against an enrolment, unless it drains. */
  alive(connectorId: string, monotonicMs: number): boolean {
    if (this.#startOccupied.has(connectorId) && monotonicMs - this.#startedAtMs < AFTER_START_MS) return true
    const presence = this.connectors.get(connectorId)
    return presence !== undefined && (presence.connected || monotonicMs - presence.seenAtMs < SEEN_MS)
  }

  /** Whether one of a slot's keys occupies it. */
  occupied(keys: readonly ConnectorKey[], monotonicMs: number): boolean {
    return keys.some(key => key.drainingAtMs === undefined && this.alive(key.connectorId, monotonicMs))
  }

  /** Whether any Connector is registered at the Relay named `relay`. */
  registeredAt(relay: string): boolean {
    for (const { connected, relays } of this.connectors.values())
      if (connected && relays.some(({ name, registered }) => name === relay && registered)) return true
    return false
  }
}
