import Type, { type Static, type TSchema } from 'typebox'
import { HostPort, Millis, Name, Namespace, oneOf, RelayName, Revision, strict, TimeText, Uid } from './common.ts'
import { AccessLogRecord } from './control.ts'
import { ConnectorSpec } from './crd/connector.ts'
import { GroupSpec } from './crd/group.ts'
import { RemoteNetworkSpec } from './crd/remote-network.ts'
import { ResourceSpec } from './crd/resource.ts'
import { MAX_ACCESS } from './limit.ts'

/** Where a declaration comes from; `createdAt` breaks ties between overlapping Resources. */
export const DeclaredMetadata = Type.Object(
  { namespace: Namespace, name: Name, createdAt: TimeText, generation: Type.Integer({ minimum: 0 }) },
  { ...strict, description: 'Identity of the declaring object.' },
)
export type DeclaredMetadata = Static<typeof DeclaredMetadata>

/** Body of `PUT /v1/networks/{uid}`: the RemoteNetwork without what only the operator needs. */
export const NetworkBody = Type.Object(
  {
    metadata: DeclaredMetadata,
    spec: Type.Pick(RemoteNetworkSpec, ['displayName', 'acl', 'guardExceptions'], strict),
  },
  strict,
)
export type NetworkBody = Static<typeof NetworkBody>

/** Body of `PUT /v1/connectors/{uid}`: a slot for one Connector identity. */
export const SlotBody = Type.Object({ metadata: DeclaredMetadata, network: Uid, spec: ConnectorSpec }, strict)
export type SlotBody = Static<typeof SlotBody>

/** Body of `PUT /v1/resources/{uid}`: spec and, resolved by the operator, UIDs of its network and of each `access[].group`, in order. */
export const ResourceBody = Type.Object(
  {
    metadata: DeclaredMetadata,
    network: Uid,
    spec: ResourceSpec,
    groups: Type.Array(Type.Union([Uid, Type.Null()]), {
      maxItems: MAX_ACCESS,
      description: 'UID per access entry; null where no such Group exists.',
    }),
  },
  strict,
)
export type ResourceBody = Static<typeof ResourceBody>

/** Body of `PUT /v1/groups/{uid}`. */
export const GroupBody = Type.Object({ metadata: DeclaredMetadata, spec: GroupSpec }, strict)
export type GroupBody = Static<typeof GroupBody>

/** Body of `PUT /v1/relays/{uid}`: one replica. */
export const RelayBody = Type.Object(
  {
    metadata: DeclaredMetadata,
    index: Type.Integer({ minimum: 0, maximum: 1000 }),
    name: RelayName,
    address: HostPort,
  },
  strict,
)
export type RelayBody = Static<typeof RelayBody>

/** Answer to every PUT and DELETE of a declared row. */
export const WriteResult = Type.Object({
  revision: Revision,
  changed: Type.Boolean({ description: 'False when it was so already.' }),
})
export type WriteResult = Static<typeof WriteResult>

/** Answer of `POST /v1/connectors/{uid}/token`. A token issued earlier and not used is void from then on. */
export const EnrolmentToken = Type.Object({
  token: Type.String({ pattern: '^spe_[A-Za-z0-9_-]{43}$' }),
  id: Type.String({ maxLength: 64 }),
  expiresAtMs: Millis,
})
export type EnrolmentToken = Static<typeof EnrolmentToken>

/** Answer of `GET /v1/relays/{uid}/keys`; `key` is 32 bytes. Acknowledged with `POST /v1/relays/{uid}/keys` {keyIds} once written. */
export const RelayKeys = Type.Object({
  keys: Type.Array(
    Type.Object({ id: Type.String({ maxLength: 64 }), key: Type.String({ minLength: 43, maxLength: 43 }) }),
    { maxItems: 4 },
  ),
})
export type RelayKeys = Static<typeof RelayKeys>
export const RelayKeysAcknowledged = Type.Object(
  { keyIds: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 4 }) },
  strict,
)
export type RelayKeysAcknowledged = Static<typeof RelayKeysAcknowledged>

/** Answer of `GET /v1/why?host=&port=&protocol=` for a destination outside the Client's map. */
export const WhyAnswer = Type.Object({ reason: oneOf(['not_granted', 'no_such_name']), message: Type.String() })
export type WhyAnswer = Static<typeof WhyAnswer>

export const AdminUser = Type.Object({
  id: Type.String(),
  email: Type.String(),
  provider: Type.String(),
  blocked: Type.Boolean(),
  admin: Type.Boolean(),
  devices: Type.Integer(),
  lastLoginAtMs: Type.Optional(Millis),
})
export type AdminUser = Static<typeof AdminUser>
export const AdminDevice = Type.Object({
  id: Type.String(),
  user: Type.String(),
  email: Type.String(),
  host: Type.String(),
  platform: Type.String(),
  version: Type.String(),
  blocked: Type.Boolean(),
  connected: Type.Boolean(),
  loginEndsAtMs: Type.Optional(Millis),
})
export type AdminDevice = Static<typeof AdminDevice>
export const AdminSession = Type.Object({
  id: Type.String(),
  connector: Type.String(),
  device: Type.String(),
  user: Type.String(),
  email: Type.String(),
  path: Type.String(),
  startedAtMs: Millis,
})
export type AdminSession = Static<typeof AdminSession>
export const AdminConnector = Type.Object({
  id: Type.String(),
  name: Type.String(),
  network: Type.String(),
  connectorId: Type.Optional(Type.String()),
  version: Type.Optional(Type.String()),
  connected: Type.Boolean(),
  ready: Type.Boolean(),
  blocked: Type.Boolean(),
  clockOffsetMs: Type.Optional(Type.Integer()),
  appliedRevision: Type.Optional(Revision),
  sessions: Type.Integer(),
})
export type AdminConnector = Static<typeof AdminConnector>

/** Answer of the admin lists; `next` is the `after` of the next page, absent on the last one. */
const page = <T extends TSchema>(item: T) =>
  Type.Object({ items: Type.Array(item), next: Type.Optional(Type.String({ maxLength: 200 })) })
export const AdminUsers = page(AdminUser)
export type AdminUsers = Static<typeof AdminUsers>
export const AdminDevices = page(AdminDevice)
export type AdminDevices = Static<typeof AdminDevices>
export const AdminSessions = page(AdminSession)
export type AdminSessions = Static<typeof AdminSessions>
export const AdminConnectors = page(AdminConnector)
export type AdminConnectors = Static<typeof AdminConnectors>

/** A record of the access log with who reported it. */
export const AccessLogEntry = Type.Object({
  network: Type.String(),
  connector: Type.String(),
  email: Type.Optional(Type.String()),
  record: AccessLogRecord,
})
export type AccessLogEntry = Static<typeof AccessLogEntry>
export const AccessLogPage = page(AccessLogEntry)
export type AccessLogPage = Static<typeof AccessLogPage>

const LONG_VALUE = 'One of more than 4 KiB: `bytes` and `digest` of its canonical JSON (SHA-256, base64url).'

/** A row of the audit log; `hash` covers the row and `previousHash`, which in the first that is kept is that of the last one dropped. */
export const AuditEntry = Type.Object({
  seq: Type.Integer({ minimum: 1 }),
  atMs: Millis,
  actor: Type.String(),
  action: Type.String(),
  target: Type.String(),
  before: Type.Optional(Type.Unknown({ description: `How it was. ${LONG_VALUE}` })),
  after: Type.Optional(Type.Unknown({ description: `How it is since. ${LONG_VALUE}` })),
  previousHash: Type.String({
    description: 'Hash of the row before, in the first row that is kept of the last one dropped.',
  }),
  hash: Type.String(),
})
export type AuditEntry = Static<typeof AuditEntry>
export const AuditPage = page(AuditEntry)
export type AuditPage = Static<typeof AuditPage>

/** Answer of `POST /v1/admin/{users,devices,sessions,connectors}/{id}/{block,unblock,cut}`. */
export const AdminResult = Type.Object({
  changed: Type.Boolean({ description: 'False when it was so already.' }),
  cut: Type.Integer({ minimum: 0, description: 'Logins or sessions that were ended.' }),
})
export type AdminResult = Static<typeof AdminResult>

/** Answer of `DELETE /v1/sources/{source}`. */
export const SourceRemoved = Type.Object({ revision: Revision, removed: Type.Integer({ minimum: 0 }) })
export type SourceRemoved = Static<typeof SourceRemoved>

/** Body of every failed request. */
export const ErrorBody = Type.Object({
  error: Type.String({ description: 'Code; closed list in docs/reference/errors.md.' }),
  message: Type.String({ description: 'What was seen and what was wanted, in a sentence.' }),
  fields: Type.Optional(Type.Array(Type.Object({ field: Type.String(), message: Type.String() }))),
})
export type ErrorBody = Static<typeof ErrorBody>
