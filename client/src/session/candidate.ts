import { createHash } from 'node:crypto'
import type { ConnectionClaims } from '@sallyport/schema'

/** One way to a Connector: through one of its Relays. */
export type Candidate = {
  connector: string
  pin: string
  relay: string
  address: string
  capabilities: readonly string[]
}

/** What spoils a way for a while. */
export type Spoiled = { connectors: ReadonlySet<string>; relays: ReadonlySet<string> }

/**
 * Puts the ways into the network in the order in which they are tried. Each Client ranks Connectors and Relays by a hash of its own, so that
 * all of them together spread evenly and one keeps its choice; neighbours in the order differ in Connector and Relay where they can, so that
 * one that is dead costs one try. What was found dead lately comes last.
 */
export function orderCandidates(
  connectors: ConnectionClaims['connectors'],
  self: string,
  spoiled: Spoiled,
): Candidate[] {
  const ranked = [...connectors].sort(
    (a, b) =>
      Number(spoiled.connectors.has(a.id)) - Number(spoiled.connectors.has(b.id)) ||
      compare(rank(self, a.id), rank(self, b.id)),
  )
  const rows = ranked.map(({ id, pin, relays }) =>
    relays
      .map(({ name, address, capabilities }) => ({ connector: id, pin, relay: name, address, capabilities }))
      .sort(
        (a, b) =>
          Number(spoiled.relays.has(a.relay)) - Number(spoiled.relays.has(b.relay)) ||
          compare(rank(self, a.relay), rank(self, b.relay)),
      ),
  )
  const ways: Candidate[] = []
  const longest = Math.max(0, ...rows.map(row => row.length))
  for (let turn = 0; turn < longest; turn++) {
    rows.forEach((row, index) => {
      // Shifted, so that the second Connector is first tried through another Relay than the first one.
      const way = turn < row.length ? row[(turn + index) % row.length] : undefined
      if (way !== undefined) ways.push(way)
    })
  }
  const isSpoiled = ({ connector, relay }: Candidate) => spoiled.connectors.has(connector) || spoiled.relays.has(relay)
  return [...ways.filter(way => !isSpoiled(way)), ...ways.filter(isSpoiled)]
}

const rank = (self: string, id: string) => createHash('sha256').update(`${self}\0${id}`).digest('hex')
const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
