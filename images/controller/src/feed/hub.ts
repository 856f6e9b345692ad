import type { Clock, Supervisor } from '@sallyport/runtime'
import type { AclEntry, Floor, Programming } from '@sallyport/schema'
import { Issuer, type IssuerDeps } from '../issue/issuer.ts'
import { aclLifeSeconds } from '../issue/life.ts'
import type { TenantKeys } from '../key/tenant-key.ts'
import { Access } from '../state/access.ts'
import { Presence } from '../state/presence.ts'
import type { ConnectorKey, Declared, HeldDevice } from '../state/row.ts'
import type { TenantState } from '../state/tenant-state.ts'
import type { Change, Commit, Store } from '../store/index.ts'
import type { ClientFeed } from './client-feed.ts'
import type { ConnectorFeed } from './connector-feed.ts'
import type { OperatorFeed } from './operator-feed.ts'
import { ProgrammingTracker } from './programming.ts'

/** Time for which floors outlive the longest token that they may have to refuse. */
const FLOOR_MARGIN_MS = 120_000
/** Wait before the revision up to which floors are stored is written. */
const FLOORED_MS = 200

export type HubDeps = {
  store: Store
  state: TenantState
  keys: TenantKeys
  clock: Clock
  supervisor: Supervisor
  random: IssuerDeps['random']
  defaultAclSeconds: number
  /** Life of tokens that an earlier process may have signed is unknown until this has passed. */
  flooredRevision: number
}

/** What one commit touches. */
type Impact = {
  devices: Set<string>
  /** Devices from which the change may have taken something. */
  reduced: Set<string>
  networks: Set<string>
  topology: Set<string>
  rows: Set<string>
  gone: Declared[]
  programming: Set<string>
  relays: boolean
  expelled: ConnectorKey[]
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
  readonly #startedAtMs: number
  #applied: Promise<void> = Promise.resolve()
  #flooring = false

  constructor(deps: HubDeps) {
    const { state, clock, keys, random, defaultAclSeconds } = deps
    this.#deps = deps
    this.state = state
    this.keys = keys
    this.#startedAtMs = clock.now()
    this.access = new Access(state)
    const occupied = [...state.connectorKeys.values()].filter(key => key.occupied).map(key => key.connectorId)
    this.presence = new Presence(clock.monotonic(), occupied)
    const { access, presence } = this
    this.issuer = new Issuer({ state, access, presence, keys, random, clock, defaultAclSeconds })
    if (deps.flooredRevision < state.revision) this.#floorEveryone()
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

  /** Milliseconds for which a floor set now must be kept in a network. */
  floorMs(): number {
    return this.issuer.longestAclSeconds() * 1000 + FLOOR_MARGIN_MS
  }

  /** Sends a row to its operator, if it says something else than it did. */
  rowChanged(uid: string): void {
    const row = this.state.declared.get(uid)
    if (row !== undefined) for (const feed of this.operators) feed.rowChanged(row)
  }

  /** Connection tokens of a network say something else from now on. */
  topologyChanged(network: string): void {
    this.issuer.topologyChanged(network)
    const nowMs = this.#deps.clock.now()
    for (const [id, feeds] of this.clients) {
      const device = this.state.devices.get(id)
      if (device === undefined || !this.access.networks(device, nowMs).includes(network)) continue
      for (const feed of feeds) feed.changed()
    }
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
    const impact: Impact = {
      devices: new Set(),
      reduced: new Set(),
      networks: new Set(),
      topology: new Set(),
      rows: new Set(),
      gone: [],
      programming: new Set(),
      relays: false,
      expelled: [],
    }
    for (const change of changes) await this.#take(change, impact)
    this.state.revision = Math.max(this.state.revision, revision)
    for (const device of impact.devices) this.access.touch(device)
    const floors = this.#floors(impact)
    this.#tell(impact, floors)
    this.#storeFloors(floors)
  }

  async #take(change: Change, impact: Impact): Promise<void> {
    const { state } = this
    switch (change.kind) {
      case 'network':
      case 'resource':
      case 'group':
      case 'relay':
      case 'connector':
        return this.#takeDeclared(change.uid, impact)
      case 'slot':
        return this.#takeSlot(change.uid, impact)
      case 'relayKeys':
        await state.readRelayKeys(change.uid)
        impact.rows.add(change.uid)
        for (const { uid } of state.all('network')) impact.topology.add(uid)
        return
      case 'user': {
        await state.readUser(change.id)
        this.access.personChanged(change.id)
        for (const { row } of state.devicesOf(change.id)) touch(impact, row.id, true)
        return
      }
      case 'device':
        await state.readDevice(change.id)
        return touch(impact, change.id, true)
      case 'login':
        await state.readDevice(change.device)
        return touch(impact, change.device, true)
      case 'keys':
        return this.trustChanged()
    }
  }

  async #takeDeclared(uid: string, impact: Impact): Promise<void> {
    const { state } = this
    const before = state.declared.get(uid)
    await state.readDeclared(uid)
    const after = state.declared.get(uid)
    const row = after ?? before
    if (row === undefined) return
    const { users, networks, mayReduce } = this.access.declaredChanged(before, after)
    for (const user of users) for (const { row } of state.devicesOf(user)) touch(impact, row.id, mayReduce)
    for (const network of networks) impact.networks.add(network)
    if (after === undefined) impact.gone.push(row)
    else impact.rows.add(uid)
    switch (row.kind) {
      case 'network':
        return
      case 'resource':
        impact.programming.add(uid)
        for (const declared of [before, after])
          if (declared?.kind === 'resource')
            for (const group of declared.body.groups) if (group !== null) impact.programming.add(group)
        return
      case 'group':
        impact.programming.add(uid)
        for (const network of this.access.networksOfGroup(uid)) impact.networks.add(network)
        return
      case 'relay':
        impact.relays = true
        await state.readRelayKeys(uid)
        for (const { uid: network } of state.all('network')) impact.topology.add(network)
        return
      case 'connector':
        return this.#takeSlot(uid, impact)
    }
  }

  async #takeSlot(uid: string, impact: Impact): Promise<void> {
    const before = this.state.keysOf(uid)
    await this.state.readSlot(uid)
    const blocked = this.state.slots.get(uid)?.row.blocked === 1
    for (const key of before) {
      const kept = this.state.connectorKeys.get(key.connectorId)
      if (kept === undefined || blocked || kept.network !== key.network) impact.expelled.push(key)
      if (kept === undefined) this.presence.forget(key.connectorId)
      impact.topology.add(key.network)
    }
    for (const key of this.state.keysOf(uid)) {
      const feed = this.connectors.get(key.connectorId)
      if (feed !== undefined) feed.key = key
      impact.topology.add(key.network)
    }
    impact.rows.add(uid)
  }

  /** Floors for devices whose outstanding Client ACLs say more than they may from now on. */
  #floors(impact: Impact): Map<string, Floor[]> {
    const { clock } = this.#deps
    const nowMs = clock.now()
    const untilMs = nowMs + this.floorMs()
    const rev = this.state.revision
    const byNetwork = new Map<string, Floor[]>()
    // Until the last token that an earlier process signed has expired, what is outstanding is not known.
    const unknown = nowMs < this.#startedAtMs + this.floorMs()
    for (const id of impact.reduced) {
      const device = this.state.devices.get(id)
      const outstanding = this.issuer.outstanding(id, nowMs)
      const reduced = new Set<string>()
      for (const [network, entries] of outstanding) {
        const now = device === undefined ? [] : this.access.entries(device, network, nowMs)
        if (isReduced(says(entries, nowMs), says(now, nowMs))) reduced.add(network)
      }
      if (unknown) for (const { uid } of this.state.all('network')) if (!outstanding.has(uid)) reduced.add(uid)
      for (const network of reduced) {
        const floor = { device: id, rev, untilMs }
        this.state.addFloor({ tenant: this.state.tenant, network, ...floor })
        byNetwork.set(network, [...(byNetwork.get(network) ?? []), floor])
      }
    }
    return byNetwork
  }

  #tell(impact: Impact, floors: Map<string, Floor[]>): void {
    for (const key of impact.expelled) this.#expel(key)
    for (const [connectorId, feed] of this.connectors) {
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

  /** After a crash between a commit and its floors: every Client ACL signed so far may say too much. */
  #floorEveryone(): void {
    const untilMs = this.#deps.clock.now() + this.floorMs()
    const floors = new Map<string, Floor[]>()
    for (const { uid: network } of this.state.all('network')) {
      const all = [...this.state.devices.keys()].map(device => ({ device, rev: this.state.revision, untilMs }))
      floors.set(network, all)
      for (const floor of all) this.state.addFloor({ tenant: this.state.tenant, network, ...floor })
    }
    this.#storeFloors(floors)
  }

  #storeFloors(floors: Map<string, Floor[]>): void {
    const { store, supervisor, clock } = this.#deps
    const { tenant } = this.state
    const rows = [...floors].flatMap(([network, list]) => list.map(floor => ({ tenant, network, ...floor })))
    const write = store.withTransaction(tenant, async ({ db }) => {
      for (const row of rows)
        await db
          .insertInto('floors')
          .values(row)
          .onConflict(conflict =>
            conflict.columns(['tenant', 'network', 'device']).doUpdateSet({ rev: row.rev, untilMs: row.untilMs }),
          )
          .execute()
    })
    if (rows.length > 0) supervisor.run('store floors', write)
    if (this.#flooring) return
    this.#flooring = true
    clock.timer(FLOORED_MS, () => {
      this.#flooring = false
      supervisor.run('store floored revision', this.storeFloored())
    })
  }

  /** Notes that the floors of every revision so far are stored. */
  async storeFloored(): Promise<void> {
    await this.caughtUp()
    const { revision, tenant } = this.state
    await this.#deps.store.db
      .updateTable('tenants')
      .set({ flooredRevision: revision })
      .where('name', '=', tenant)
      .where('flooredRevision', '<', revision)
      .execute()
  }

  /** Life of Client ACLs of a network. */
  aclSeconds(network: string): number {
    return aclLifeSeconds(this.state.of('network', network)?.body, this.#deps.defaultAclSeconds)
  }

  device(id: string): HeldDevice | undefined {
    return this.state.devices.get(id)
  }
}

function touch(impact: Impact, device: string, mayReduce: boolean): void {
  impact.devices.add(device)
  if (mayReduce) impact.reduced.add(device)
}

/** What entries say at `nowMs`: each Resource and its end in seconds. */
function says(entries: readonly AclEntry[], nowMs: number): Map<string, number> {
  const ends = entries.map(([uid, , end]): [string, number] => [uid, end ?? Number.POSITIVE_INFINITY])
  return new Map(ends.filter(([, end]) => nowMs < end * 1000))
}

/** Whether something of `before` is missing in `after` or ends earlier there. */
function isReduced(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): boolean {
  for (const [uid, end] of before) if ((after.get(uid) ?? 0) < end) return true
  return false
}
