import type { DeclaredKind, Programming } from '@sallyport/schema'
import type { ColumnType, Selectable } from 'kysely'

/** Column that a row gets at its making and keeps. */
type Fixed<T> = ColumnType<T, T, never>
/** 0 or 1: the only boolean that SQLite and PostgreSQL bind alike. */
export type Flag = 0 | 1
/** JSON text of a T; see `readJson`. */
export type JsonText = string

/** A tenant and the counter of its changes. `flooredRevision`: all floors up to this revision are in `floors`. */
type TenantTable = { name: Fixed<string>; revision: number; flooredRevision: number; createdAtMs: Fixed<number> }

/** Signing key of a tenant; `sealedKey` is PKCS#8 encrypted with the store key. Used to sign from `activeAtMs` on, trusted until `retiredAtMs`. */
type SigningKeyTable = {
  tenant: Fixed<string>
  purpose: Fixed<string>
  kid: Fixed<string>
  sealedKey: string
  publicJwk: JsonText
  createdAtMs: Fixed<number>
  activeAtMs: number
  retiredAtMs: number | null
}

/** Certificate authority of a tenant. */
type AuthorityTable = {
  tenant: Fixed<string>
  id: Fixed<string>
  certificate: string
  sealedKey: string
  createdAtMs: Fixed<number>
  retiredAtMs: number | null
}

/**
 * What an operator declared. `digest` is that of the PUT body; `network` that of a Connector or Resource; `bytes` what a Resource takes of those of
 * its network, else 0; `programming` see {@link Programming}.
 */
type DeclaredTable = {
  tenant: Fixed<string>
  uid: Fixed<string>
  kind: Fixed<DeclaredKind>
  source: Fixed<string>
  digest: string
  body: JsonText
  network: string | null
  bytes: number
  revision: number
  programming: Programming | null
}

/** What the Controller itself knows about a slot beside its declaration. */
type SlotTable = { tenant: Fixed<string>; uid: Fixed<string>; blocked: Flag; conflictAtMs: number | null }

/** Key bound to a slot. `drainingAtMs`: it said so; the slot is vacant, the key valid until it goes. `gone` keys are deleted. */
type ConnectorKeyTable = {
  tenant: Fixed<string>
  connectorId: Fixed<string>
  slot: Fixed<string>
  publicJwk: Fixed<JsonText>
  jkt: Fixed<string>
  pin: Fixed<string>
  enrolledAtMs: Fixed<number>
  version: string
  host: string
  drainingAtMs: number | null
  occupied: Flag
}

/** One-time token, stored hashed. `usedBy`: the Connector ID that it bound. */
type EnrolmentTokenTable = {
  tenant: Fixed<string>
  id: Fixed<string>
  slot: Fixed<string>
  hash: Fixed<string>
  createdAtMs: Fixed<number>
  expiresAtMs: number
  usedAtMs: number | null
  usedBy: string | null
}

/** Capability key of a Relay, sealed. Used from `activeAtMs` (set at acknowledgement), dropped at `dropAtMs` (set by its successor's). */
type RelayKeyTable = {
  tenant: Fixed<string>
  relay: Fixed<string>
  id: Fixed<string>
  sealedKey: Fixed<string>
  createdAtMs: Fixed<number>
  acknowledgedAtMs: number | null
  activeAtMs: number | null
  dropAtMs: number | null
}

/** A person: (tenant, provider, subject), bound at the first login. `groups` are the provider's own, as of the last login. */
type UserTable = {
  tenant: Fixed<string>
  id: Fixed<string>
  provider: Fixed<string>
  subject: Fixed<string>
  email: string
  emailVerified: Flag
  groups: JsonText
  blocked: Flag
  createdAtMs: Fixed<number>
  lastLoginAtMs: number | null
}

/** A device key; `id` is the hash of its key. Belongs to the user who logged in on it last. */
type DeviceTable = {
  tenant: Fixed<string>
  id: Fixed<string>
  user: string
  publicJwk: Fixed<JsonText>
  jkt: Fixed<string>
  host: string
  platform: string
  version: string
  blocked: Flag
  createdAtMs: Fixed<number>
  lastSeenAtMs: number
}

/**
 * A person's login on a device. Live while `endedAtMs` is null and `endsAtMs` lies ahead. `refreshHash` is that of the refresh token in
 * use, `previousRefreshHash` of the one before it; `refreshCounter` counts rotations.
 */
type LoginTable = {
  tenant: Fixed<string>
  id: Fixed<string>
  user: Fixed<string>
  device: Fixed<string>
  startedAtMs: Fixed<number>
  endsAtMs: number
  endedAtMs: number | null
  endedReason: string | null
  refreshHash: string
  previousRefreshHash: string | null
  refreshCounter: number
  refreshedAtMs: number
}

/**
 * Short-lived record of a login on its way: authorisation requests, codes, state of the embedded provider. `reference` groups records
 * (a grant, a uid). Records past `expiresAtMs` are deleted by `sweep`.
 */
type LoginRecordTable = {
  tenant: Fixed<string>
  kind: Fixed<string>
  id: Fixed<string>
  reference: string | null
  payload: JsonText
  expiresAtMs: number | null
}

/** Smallest `rev` of a device's Client ACLs that is still valid in a network. */
type FloorTable = {
  tenant: Fixed<string>
  network: Fixed<string>
  device: Fixed<string>
  rev: number
  untilMs: number
}

/** What a Connector reported, by its record's id. */
type AccessLogTable = {
  tenant: Fixed<string>
  id: Fixed<string>
  atMs: Fixed<number>
  event: Fixed<string>
  network: Fixed<string>
  connector: Fixed<string>
  user: Fixed<string | null>
  device: Fixed<string | null>
  resource: Fixed<string | null>
  record: Fixed<JsonText>
}

/** One change: who did what to which thing. `hash` covers the row and `previousHash`. A long `before` or `after` is there by its digest only. */
type AuditTable = {
  tenant: Fixed<string>
  seq: Fixed<number>
  atMs: Fixed<number>
  actor: Fixed<string>
  action: Fixed<string>
  target: Fixed<string>
  before: Fixed<JsonText | null>
  after: Fixed<JsonText | null>
  previousHash: Fixed<string>
  hash: Fixed<string>
}

/** All tables. Every row carries its tenant. */
export type Database = {
  tenants: TenantTable
  signingKeys: SigningKeyTable
  authorities: AuthorityTable
  declared: DeclaredTable
  slots: SlotTable
  connectorKeys: ConnectorKeyTable
  enrolmentTokens: EnrolmentTokenTable
  relayKeys: RelayKeyTable
  users: UserTable
  devices: DeviceTable
  logins: LoginTable
  loginRecords: LoginRecordTable
  floors: FloorTable
  accessLog: AccessLogTable
  audit: AuditTable
}

export type UserRow = Selectable<UserTable>
export type DeviceRow = Selectable<DeviceTable>
export type LoginRow = Selectable<LoginTable>
export type DeclaredStoreRow = Selectable<DeclaredTable>
export type SlotRow = Selectable<SlotTable>
export type ConnectorKeyRow = Selectable<ConnectorKeyTable>
export type EnrolmentTokenRow = Selectable<EnrolmentTokenTable>
export type RelayKeyRow = Selectable<RelayKeyTable>
export type SigningKeyRow = Selectable<SigningKeyTable>
export type AuthorityRow = Selectable<AuthorityTable>
export type FloorRow = Selectable<FloorTable>
export type AccessLogRow = Selectable<AccessLogTable>
export type AuditRow = Selectable<AuditTable>

/** Reads JSON that this process wrote; the database is its own. */
export const readJson = <T>(text: JsonText): T => JSON.parse(text) as T
