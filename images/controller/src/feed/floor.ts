import type { Clock, Supervisor, Timer } from '@sallyport/runtime'
import type { AclEntry, Floor } from '@sallyport/schema'
import type { Issuer } from '../issue/issuer.ts'
import type { Access } from '../state/access.ts'
import type { TenantState } from '../state/tenant-state.ts'
import type { Store } from '../store/index.ts'

/** Time for which floors outlive the longest token that they may have to refuse. */
const MARGIN_MS = 120_000
/** Wait before the revision up to which floors are stored is written. */
const FLOORED_MS = 200

/** Floors set by one commit, by network. */
export type Floors = ReadonlyMap<string, Floor[]>

export type FloorBookDeps = {
  store: Store
  state: TenantState
  access: Access
  issuer: Issuer
  clock: Clock
  supervisor: Supervisor
}

/**
 * Sets floors where outstanding Client ACLs say more than they may. The store knows up to which revision all floors are kept: after a crash
 * between a commit and its floors, everyone gets one.
 */
export class FloorBook {
  readonly #deps: FloorBookDeps
  readonly #startedAtMs: number
  #noting: Timer | undefined

  constructor(deps: FloorBookDeps) {
    this.#deps = deps
    this.#startedAtMs = deps.clock.now()
  }

  /** Milliseconds for which a floor set now is kept. */
  keepMs(): number {
    return this.#deps.issuer.longestAclSeconds() * 1000 + MARGIN_MS
  }

  /** Sets floors for those of `devices` whose outstanding Client ACLs say more than they may from now on. */
  reduce(devices: Iterable<string>): Floors {
    const { state, clock } = this.#deps
    const nowMs = clock.now()
    const byNetwork = new Map<string, Floor[]>()
    for (const device of devices)
      for (const [network, untilMs] of this.#reducedNetworks(device, nowMs)) {
        const floor = this.#add(network, { device, rev: state.revision, untilMs })
        byNetwork.set(network, [...(byNetwork.get(network) ?? []), floor])
      }
    this.#keep(byNetwork)
    return byNetwork
  }

  /** Sets a floor for every device in every network. */
  reduceEveryone(): void {
    const { state, clock } = this.#deps
    const untilMs = clock.now() + this.keepMs()
    const byNetwork = new Map<string, Floor[]>()
    for (const { uid: network } of state.all('network')) {
      const { revision: rev } = state
      byNetwork.set(
        network,
        [...state.devices.keys()].map(device => this.#add(network, { device, rev, untilMs })),
      )
    }
    this.#keep(byNetwork)
  }

  /** Forgets floors that refuse nothing any more. */
  forgetExpired(): void {
    const { state, clock } = this.#deps
    const nowMs = clock.now()
    for (const floors of state.floors.values())
      for (const [device, { untilMs }] of floors) if (nowMs >= untilMs) floors.delete(device)
  }

  /** Notes that the floors of every revision so far are stored. */
  async noteKept(): Promise<void> {
    this.#noting?.cancel()
    this.#noting = undefined
    const { store, state } = this.#deps
    const { revision, tenant } = state
    await store.db
      .updateTable('tenants')
      .set({ flooredRevision: revision })
      .where('name', '=', tenant)
      .where('flooredRevision', '<', revision)
      .execute()
  }

  #add(network: string, floor: Floor): Floor {
    const { state } = this.#deps
    const { device, rev, untilMs } = state.addFloor({ tenant: state.tenant, network, ...floor })
    return { device, rev, untilMs }
  }

  /** Networks in which an outstanding Client ACL says too much, and until when a floor must refuse it. */
  #reducedNetworks(id: string, nowMs: number): Map<string, number> {
    const { state, access, issuer } = this.#deps
    const device = state.devices.get(id)
    const outstanding = issuer.outstanding(id, nowMs)
    const reduced = new Map<string, number>()
    const keptMs = nowMs + this.keepMs()
    for (const [network, { entries, untilMs }] of outstanding) {
      const now = device === undefined ? [] : access.entries(device, network, nowMs)
      if (isReduced(says(entries, nowMs), says(now, nowMs))) reduced.set(network, Math.max(keptMs, untilMs + MARGIN_MS))
    }
    // Until the last token that an earlier process signed has expired, what is outstanding is not known.
    if (nowMs < this.#startedAtMs + this.keepMs())
      for (const { uid } of state.all('network')) if (!outstanding.has(uid)) reduced.set(uid, keptMs)
    return reduced
  }

  #keep(byNetwork: Floors): void {
    const { store, state, supervisor, clock } = this.#deps
    const { tenant } = state
    const rows = [...byNetwork].flatMap(([network, list]) => list.map(floor => ({ tenant, network, ...floor })))
    const write = async () =>
      store.withTransaction(tenant, async ({ db }) => {
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
    if (this.#noting !== undefined) return
    this.#noting = clock.timer(FLOORED_MS, () => {
      this.#noting = undefined
      supervisor.run('note stored floors', () => this.noteKept())
    })
  }
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
