import { relayKeyFromText } from '@sallyport/trust'
import type { Sealer } from '../key/store-key.ts'
import {
  type ConnectorKeyRow,
  type DeclaredStoreRow,
  type FloorRow,
  type LoginRow,
  readJson,
  type Store,
  type UserRow,
} from '../store/index.ts'
import type { ConnectorKey, Declared, DeclaredOf, HeldDevice, HeldRelayKey, Person, SlotState } from './row.ts'

/** What a tenant's rows say, in memory; read from the store at start and again, row by row, after each commit. */
export class TenantState {
  readonly tenant: string
  revision = 0
  readonly declared = new Map<string, Declared>()
  readonly slots = new Map<string, SlotState>()
  readonly connectorKeys = new Map<string, ConnectorKey>()
  readonly relayKeys = new Map<string, HeldRelayKey[]>()
  readonly people = new Map<string, Person>()
  readonly devices = new Map<string, HeldDevice>()
  /** By network, then device. */
  readonly floors = new Map<string, Map<string, FloorRow>>()
  readonly #devicesOf = new Map<string, Set<string>>()
  readonly #store: Store
  readonly #sealer: Sealer

  constructor(store: Store, sealer: Sealer, tenant: string) {
    this.#store = store
    this.#sealer = sealer
    this.tenant = tenant
  }

  /** Reads everything; answers the revision up to which all floors had been stored. */
  async load(): Promise<{ flooredRevision: number }> {
    const { tenant } = this
    const { db } = this.#store
    const { revision, flooredRevision } = await db
      .selectFrom('tenants')
      .select(['revision', 'flooredRevision'])
      .where('name', '=', tenant)
      .executeTakeFirstOrThrow()
    this.revision = revision
    const all = <T extends 'declared' | 'connectorKeys' | 'users' | 'devices' | 'floors'>(table: T) =>
      db
        .selectFrom(table as 'declared')
        .selectAll()
        .where('tenant', '=', tenant)
        .execute()
    for (const row of await all('declared')) this.declared.set(row.uid, declaredOf(row))
    for (const { kind, uid } of this.declared.values()) {
      if (kind === 'connector') await this.readSlot(uid)
      if (kind === 'relay') await this.readRelayKeys(uid)
    }
    for (const row of await db.selectFrom('users').selectAll().where('tenant', '=', tenant).execute())
      this.people.set(row.id, personOf(row))
    await this.#loadDevices()
    for (const row of await db.selectFrom('floors').selectAll().where('tenant', '=', tenant).execute())
      this.addFloor(row)
    return { flooredRevision }
  }

  /** Row of `kind` with that UID. */
  of<K extends Declared['kind']>(kind: K, uid: string): DeclaredOf<K> | undefined {
    const row = this.declared.get(uid)
    return row?.kind === kind ? (row as DeclaredOf<K>) : undefined // Its kind has just been compared.
  }

  /** All rows of `kind`. */
  *all<K extends Declared['kind']>(kind: K): Generator<DeclaredOf<K>> {
    for (const row of this.declared.values()) if (row.kind === kind) yield row as DeclaredOf<K>
  }

  /** Keys bound to a slot, the draining ones last. */
  keysOf(slot: string): ConnectorKey[] {
    return [...this.connectorKeys.values()]
      .filter(key => key.slot === slot)
      .sort((a, b) => Number(a.drainingAtMs !== undefined) - Number(b.drainingAtMs !== undefined))
  }

  devicesOf(user: string): HeldDevice[] {
    return [...(this.#devicesOf.get(user) ?? [])].flatMap(id => this.devices.get(id) ?? [])
  }

  /** Adds a floor, and answers what holds from then on: one that replaces another is neither lower nor over sooner. */
  addFloor(floor: FloorRow): FloorRow {
    const ofNetwork = this.floors.get(floor.network) ?? new Map<string, FloorRow>()
    const { rev = 0, untilMs = 0 } = ofNetwork.get(floor.device) ?? {}
    const held = { ...floor, rev: Math.max(rev, floor.rev), untilMs: Math.max(untilMs, floor.untilMs) }
    this.floors.set(floor.network, ofNetwork.set(floor.device, held))
    return held
  }

  async readDeclared(uid: string): Promise<void> {
    const row = await this.#store.db
      .selectFrom('declared')
      .selectAll()
      .where('tenant', '=', this.tenant)
      .where('uid', '=', uid)
      .executeTakeFirst()
    if (row === undefined) this.declared.delete(uid)
    else this.declared.set(uid, declaredOf(row))
  }

  async readSlot(uid: string): Promise<void> {
    const { tenant } = this
    const { db } = this.#store
    for (const key of this.keysOf(uid)) this.connectorKeys.delete(key.connectorId)
    const slot = this.of('connector', uid)
    const row = await db
      .selectFrom('slots')
      .selectAll()
      .where('tenant', '=', tenant)
      .where('uid', '=', uid)
      .executeTakeFirst()
    if (row === undefined || slot === undefined) {
      this.slots.delete(uid)
      return
    }
    const token = await db
      .selectFrom('enrolmentTokens')
      .selectAll()
      .where('tenant', '=', tenant)
      .where('slot', '=', uid)
      .orderBy('createdAtMs', 'desc')
      .limit(1)
      .executeTakeFirst()
    const { id, expiresAtMs, usedAtMs } = token ?? {}
    this.slots.set(uid, {
      row,
      token: id === undefined ? undefined : { id, expiresAtMs: expiresAtMs!, usedAtMs: usedAtMs ?? undefined },
    })
    const keys = await db
      .selectFrom('connectorKeys')
      .selectAll()
      .where('tenant', '=', tenant)
      .where('slot', '=', uid)
      .execute()
    for (const key of keys) this.connectorKeys.set(key.connectorId, connectorKeyOf(key, slot.body.network))
  }

  async readRelayKeys(relay: string): Promise<void> {
    const rows = await this.#store.db
      .selectFrom('relayKeys')
      .selectAll()
      .where('tenant', '=', this.tenant)
      .where('relay', '=', relay)
      .orderBy('createdAtMs')
      .execute()
    if (rows.length === 0) this.relayKeys.delete(relay)
    else
      this.relayKeys.set(
        relay,
        rows.map(row => ({
          key: relayKeyFromText({
            id: row.id,
            key: this.#sealer.openText(relayKeyPurpose(this.tenant, relay, row.id), row.sealedKey),
          }),
          createdAtMs: row.createdAtMs,
          acknowledgedAtMs: row.acknowledgedAtMs ?? undefined,
          activeAtMs: row.activeAtMs ?? undefined,
          dropAtMs: row.dropAtMs ?? undefined,
        })),
      )
  }

  async readUser(id: string): Promise<void> {
    const row = await this.#store.db
      .selectFrom('users')
      .selectAll()
      .where('tenant', '=', this.tenant)
      .where('id', '=', id)
      .executeTakeFirst()
    if (row === undefined) this.people.delete(id)
    else this.people.set(id, personOf(row))
  }

  async readDevice(id: string): Promise<void> {
    const { db } = this.#store
    const row = await db
      .selectFrom('devices')
      .selectAll()
      .where('tenant', '=', this.tenant)
      .where('id', '=', id)
      .executeTakeFirst()
    const known = this.devices.get(id)
    if (known !== undefined) this.#devicesOf.get(known.row.user)?.delete(id)
    if (row === undefined) {
      this.devices.delete(id)
      return
    }
    const login = await db
      .selectFrom('logins')
      .selectAll()
      .where('tenant', '=', this.tenant)
      .where('device', '=', id)
      .where('user', '=', row.user)
      .where('endedAtMs', 'is', null)
      .orderBy('startedAtMs', 'desc')
      .limit(1)
      .executeTakeFirst()
    this.#hold({ row, login })
  }

  async #loadDevices(): Promise<void> {
    const { db } = this.#store
    const rows = await db.selectFrom('devices').selectAll().where('tenant', '=', this.tenant).execute()
    const logins = await db
      .selectFrom('logins')
      .selectAll()
      .where('tenant', '=', this.tenant)
      .where('endedAtMs', 'is', null)
      .orderBy('startedAtMs')
      .execute()
    const last = new Map<string, LoginRow>()
    for (const login of logins) last.set(`${login.device} ${login.user}`, login)
    for (const row of rows) this.#hold({ row, login: last.get(`${row.id} ${row.user}`) })
  }

  #hold(device: HeldDevice): void {
    const { id, user } = device.row
    this.devices.set(id, device)
    const ofUser = this.#devicesOf.get(user) ?? new Set()
    this.#devicesOf.set(user, ofUser.add(id))
  }
}

/** What a relay key is sealed for. */
export const relayKeyPurpose = (tenant: string, relay: string, id: string) => `relay-key:${tenant}:${relay}:${id}`

/** Reads a declared row; its body was checked before it was written. */
export function declaredOf(row: DeclaredStoreRow): Declared {
  const { uid, source, digest, revision, programming, kind } = row
  const common = { uid, source, digest, revision, programming: programming ?? undefined }
  return { ...common, kind, body: readJson<unknown>(row.body) } as Declared // The body was checked for this kind.
}

function personOf(row: UserRow): Person {
  const { id, provider, email, emailVerified, blocked } = row
  const groups = readJson<string[]>(row.groups)
  return { id, provider, email, emailVerified: emailVerified === 1, groups, blocked: blocked === 1 }
}

function connectorKeyOf(row: ConnectorKeyRow, network: string): ConnectorKey {
  const { connectorId, slot, jkt, pin, publicJwk, version, host, drainingAtMs, occupied } = row
  const draining = drainingAtMs ?? undefined
  return {
    connectorId,
    slot,
    network,
    jkt,
    pin,
    publicJwk,
    version,
    host,
    drainingAtMs: draining,
    occupied: occupied === 1,
  }
}
