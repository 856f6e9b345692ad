import type { Clock, Supervisor } from '@sallyport/runtime'
import type { Programming } from '@sallyport/schema'
import { Issuer, type IssuerDeps } from '../issue/issuer.ts'
import type { TenantKeys } from '../key/tenant-key.ts'
import { Access } from '../state/access.ts'
import { Presence } from '../state/presence.ts'
import type { ConnectorKey, Declared } from '../state/row.ts'
import type { TenantState } from '../state/tenant-state.ts'
import type { Commit, Store } from '../store/index.ts'
import type { ClientFeed } from './client-feed.ts'
import type { ConnectorFeed } from './connector-feed.ts'
import { FloorBook, type Floors } from './floor.ts'
import { type Impact, takeChanges } from './impact.ts'
import type { OperatorFeed } from './operator-feed.ts'
import { ProgrammingTracker } from './programming.ts'

/** Devices whose connection tokens are signed again before anything else gets its turn. */
const TOKENS_A_TURN = 20

export type HubDeps = {
  store: Store
  state: TenantState
  keys: TenantKeys
  clock: Clock
  supervisor: Supervisor
  random: IssuerDeps['random']
  defaultAclSeconds: number
  certificates: IssuerDeps['certificates']
  /** Revision up to which all floors had been stored. */
  flooredRevision: number
}

/** One tenant's live side: applies each commit to the state in memory, then tells everyone whom it touches. */
export class Hub {
  readonly state: TenantState
  readonly access: Access
  readonly presence: Presence
  readonly issuer: Issuer
  readonly keys: TenantKeys
  readonly connectors = new Map<string, ConnectorFeed>()
  readonly clients = new Map<string, Set<ClientFeed>>()
  readonly operators = new Set<OperatorFeed>()
  readonly #deps: HubDeps
  readonly #programming = new ProgrammingTracker()
  readonly floors: FloorBook
  /** Devices by network whose connection tokens have to be signed again. */
  readonly #stale = new Map<string, string[]>()
  #applied: Promise<void> = Promise.resolve()

  constructor(deps: HubDeps) {
    const { state, clock, keys, random, defaultAclSeconds, certificates } = deps
    this.#deps = deps
    this.state = state
    this.keys = keys
    this.access = new Access(state)
    const occupied = [...state.connectorKeys.values()].filter(key => key.occupied).map(key => key.connectorId)
    this.presence = new Presence(clock.monotonic(), occupied)
    const { access, presence } = this
    this.issuer = new Issuer({ state, access, presence, keys, random, clock, defaultAclSeconds, certificates })
    const { store, supervisor } = deps
    this.floors = new FloorBook({ store, state, access, issuer: this.issuer, clock, supervisor })
    if (deps.flooredRevision < state.revision) this.floors.reduceEveryone()
    for (const row of state.declared.values())
      if (row.programming === 'pending' || row.programming === 'noConnector') this.#follow(row)
  }

  /** Takes a commit in; commits are applied one after the other. */
  commit(commit: Commit): void {
    const applied = this.#applied.then(() => this.#apply(commit))
    this.#deps.supervisor.run(`commit ${commit.tenant}`, applied)
    this.#applied = applied.catch(() => undefined) // Its failure is the supervisor's.
  }

  /** Resolves when every commit so far has been applied. */
  caughtUp(): Promise<void> {
    return this.#applied
  }

  /** Sends a row to its operator, if it says something else than it did. */
  rowChanged(uid: string): void {
    const row = this.state.declared.get(uid)
    if (row !== undefined) for (const feed of this.operators) feed.rowChanged(row)
  }

  /** Connection tokens of a network say something else from now on. */
  topologyChanged(network: string): void {
    this.issuer.topologyChanged(network)
    const known = this.#stale.get(network)
    this.#stale.set(network, [...this.clients.keys()])
    if (known === undefined) this.#renewTokens(network)
  }

  /** A few Clients a turn, so that a revocation never waits until a thousand tokens are signed. */
  #renewTokens(network: string): void {
    const stale = this.#stale.get(network) ?? []
    const nowMs = this.#deps.clock.now()
    for (const id of stale.splice(0, TOKENS_A_TURN)) {
      const device = this.state.devices.get(id)
      if (device === undefined || !this.access.networks(device, nowMs).includes(network)) continue
      for (const feed of this.clients.get(id) ?? []) feed.changed()
    }
    if (stale.length === 0) this.#stale.delete(network)
    else this.#deps.clock.timer(0, () => this.#renewTokens(network))
  }

  /** Relays' registrations have changed. */
  relayRowsChanged(): void {
    for (const { uid } of this.state.all('relay')) this.rowChanged(uid)
  }

  /** Signing keys or authorities have changed. */
  trustChanged(): void {
    for (const feed of this.connectors.values()) feed.trustChanged()
    for (const feeds of this.clients.values()) for (const feed of feeds) feed.trustChanged()
    for (const feed of this.operators) feed.trustChanged()
  }

  acknowledged(connectorId: string, revision: number): void {
    const key = this.state.connectorKeys.get(connectorId)
    if (key !== undefined) this.#setProgramming(this.#programming.acknowledged(connectorId, key.network, revision))
  }

  connectorGone(connectorId: string): void {
    this.#setProgramming(this.#programming.disconnected(connectorId))
  }

  async #apply({ revision, changes }: Commit): Promise<void> {
    const impact = await takeChanges(this, changes)
    this.state.revision = Math.max(this.state.revision, revision)
    this.#tell(impact, this.floors.reduce(impact.reduced))
  }

  #tell(impact: Impact, floors: Floors): void {
    if (impact.trust) this.trustChanged()
    for (const key of impact.expelled) this.#expel(key)
    for (const [connectorId, feed] of this.connectors) {
      feed.key = this.state.connectorKeys.get(connectorId) ?? feed.key
      const { network } = feed.key
      if (impact.networks.has(network) || floors.has(network) || this.#touchesSessions(connectorId, impact.devices))
        feed.networkChanged(floors.get(network) ?? [], impact.devices)
      if (impact.relays) feed.relaysChanged()
    }
    for (const uid of impact.programming) {
      const row = this.state.declared.get(uid)
      if (row === undefined) this.#programming.removed(uid)
      else this.#program(row, impact.rows.has(uid))
    }
    for (const device of impact.devices) for (const feed of this.clients.get(device) ?? []) feed.changed()
    for (const network of impact.networks) if (this.state.of('network', network)) impact.rows.add(network)
    for (const network of impact.topology) this.topologyChanged(network)
    for (const row of impact.gone) for (const feed of this.operators) feed.rowGone(row)
    for (const uid of impact.rows) this.rowChanged(uid)
  }

  #touchesSessions(connectorId: string, devices: ReadonlySet<string>): boolean {
    for (const { device } of this.presence.of(connectorId)?.sessions.values() ?? [])
      if (devices.has(device)) return true
    return false
  }

  #expel(key: ConnectorKey): void {
    const feed = this.connectors.get(key.connectorId)
    if (feed === undefined) return
    const blocked = this.state.slots.get(key.slot)?.row.blocked === 1
    if (blocked) feed.expel('connector_blocked', 'an admin has blocked this Connector', { blocked })
    else feed.expel('unknown_connector', 'the slot no longer has this Connector key')
  }

  /** Follows a row's way to the Connectors; `changed` is false where only its use has changed. */
  #program(row: Declared, changed: boolean): void {
    if (row.kind !== 'resource' && row.kind !== 'group') return
    const unused = row.kind === 'group' && this.access.networksOfGroup(row.uid).size === 0
    if (!changed && row.programming !== undefined && unused === (row.programming === 'unused')) return
    this.#setProgramming(new Map([[row.uid, this.#follow(row)]]))
  }

  #follow(row: Declared): Programming {
    const networks = row.kind === 'resource' ? new Set([row.body.network]) : this.access.networksOfGroup(row.uid)
    const connected = [...this.connectors.values()].filter(({ key }) => networks.has(key.network))
    return this.#programming.changed(row.uid, row.revision, networks, {
      connected: connected.map(({ key }) => key.connectorId),
      unused: row.kind === 'group' && networks.size === 0,
    })
  }

  #setProgramming(states: ReadonlyMap<string, Programming>): void {
    const { store, supervisor } = this.#deps
    const { tenant } = this.state
    for (const [uid, programming] of states) {
      const row = this.state.declared.get(uid)
      if (row === undefined || row.programming === programming) continue
      row.programming = programming
      const write = store.db
        .updateTable('declared')
        .set({ programming })
        .where('tenant', '=', tenant)
        .where('uid', '=', uid)
        .where('revision', '=', row.revision)
        .execute()
      supervisor.run('store programming', write)
      this.rowChanged(uid)
    }
  }
}
