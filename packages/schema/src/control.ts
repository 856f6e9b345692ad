import Type, { type Static, type TLiteral, type TObject, type TProperties, type TUnion } from 'typebox'
import { ResourceRule } from './claims.ts'
import {
  CompactJwt,
  ConnectorId,
  DeviceId,
  Host,
  HostPort,
  Jwks,
  Millis,
  oneOf,
  RelayName,
  Revision,
  Uid,
} from './common.ts'
import { MAX_TENANT_RELAYS } from './limit.ts'

const message = <const T extends string, P extends TProperties>(
  type: T,
  members: P,
): TObject<{ type: TLiteral<T> } & P> =>
  Type.Object({ type: Type.Literal(type), ...members }) as unknown as TObject<{ type: TLiteral<T> } & P>
const union = <T extends TObject[]>(...messages: T): TUnion<T> => Type.Union(messages) as unknown as TUnion<T>

/** Seconds between heartbeats on a control channel; dead after {@link HEARTBEAT_MISSES} without one. */
export const HEARTBEAT_SECONDS = 5
export const HEARTBEAT_MISSES = 3
const Heartbeat = message('heartbeat', { nowMs: Millis })
/** Closes a batch: the subscriber has the whole of `revision` and answers with `applied`. */
const Synced = message('synced', { revision: Revision })
/** The other side will close; `code` is for the log, `message` for people, `retry` whether to come back. */
const Goodbye = message('goodbye', {
  code: Type.String({ maxLength: 64 }),
  message: Type.String({ maxLength: 1024 }),
  retry: Type.Boolean(),
})
const Applied = message('applied', { revision: Revision })

/** Client ACLs of a device with a smaller `rev` are refused; kept until tokens that old have expired. */
export const Floor = Type.Object({ device: DeviceId, rev: Revision, untilMs: Millis })
export type Floor = Static<typeof Floor>

export const AccessLogRecord = Type.Object({
  id: Type.String({ maxLength: 64, description: 'Unique; a record sent twice is stored once.' }),
  event: oneOf(['opened', 'closed', 'denied']),
  atMs: Millis,
  session: Type.String({ maxLength: 64 }),
  stream: Type.Integer({ minimum: 0 }),
  device: Type.Optional(DeviceId),
  user: Type.Optional(Type.String({ maxLength: 100 })),
  resource: Type.Optional(Uid),
  host: Host,
  port: Type.Integer({ minimum: 0, maximum: 65535 }),
  protocol: oneOf(['tcp', 'udp', 'icmp']),
  path: Type.String({ maxLength: 200, description: 'relay:<name>.' }),
  bytesUp: Type.Optional(Type.Integer({ minimum: 0 })),
  bytesDown: Type.Optional(Type.Integer({ minimum: 0 })),
  reason: Type.Optional(Type.String({ maxLength: 64, description: 'Reset code: why it was denied or how it ended.' })),
})
export type AccessLogRecord = Static<typeof AccessLogRecord>

export const LiveSession = Type.Object({
  session: Type.String({ maxLength: 64 }),
  device: DeviceId,
  user: Type.String({ maxLength: 100 }),
  path: Type.String({ maxLength: 200 }),
  startedAtMs: Millis,
  streams: Type.Integer({ minimum: 0 }),
})
export type LiveSession = Static<typeof LiveSession>

/** Controller to Connector on `wss /v1/connector`. In a batch: floors first, then the Connector ACL, then Client ACLs, then `synced`. */
export const ToConnector = union(
  message('welcome', { nowMs: Millis, connectorId: ConnectorId, slot: Uid, network: Uid, revision: Revision }),
  Heartbeat,
  message('floors', {
    floors: Type.Array(Floor, { maxItems: 65536 }),
    complete: Type.Boolean({ description: 'Replaces all earlier floors.' }),
  }),
  message('connectorAcl', { jwt: CompactJwt }),
  message('clientAcl', { device: DeviceId, jwt: CompactJwt }),
  message('relays', {
    relays: Type.Array(Type.Object({ name: RelayName, address: HostPort, pass: CompactJwt }), {
      maxItems: MAX_TENANT_RELAYS,
    }),
  }),
  message('certificate', { pem: Type.String({ maxLength: 65536 }) }),
  message('trust', { jwt: CompactJwt }),
  message('accessLogAck', { ids: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 1000 }) }),
  message('closeSession', { session: Type.String({ maxLength: 64 }) }),
  message('drain', { seconds: Type.Integer({ minimum: 0 }) }),
  Synced,
  Goodbye,
)
export type ToConnector = Static<typeof ToConnector>

/** Connector to Controller. */
export const FromConnector = union(
  message('hello', {
    version: Type.String({ maxLength: 50 }),
    host: Type.String({ maxLength: 253 }),
    revision: Revision,
    nowMs: Millis,
  }),
  message('heartbeat', {
    nowMs: Millis,
    ready: Type.Boolean(),
    relays: Type.Array(
      Type.Object({
        name: RelayName,
        registered: Type.Boolean(),
        error: Type.Optional(Type.String({ maxLength: 500 })),
      }),
      { maxItems: MAX_TENANT_RELAYS },
    ),
  }),
  Applied,
  message('sessions', {
    complete: Type.Boolean({ description: 'All there are; else these were opened.' }),
    sessions: Type.Array(LiveSession, { maxItems: 20_000 }),
  }),
  message('sessionClosed', { session: Type.String({ maxLength: 64 }), reason: Type.String({ maxLength: 64 }) }),
  message('accessLog', { records: Type.Array(AccessLogRecord, { maxItems: 500 }) }),
  message('draining', {}),
)
export type FromConnector = Static<typeof FromConnector>

export const ClientResource = Type.Object({
  uid: Uid,
  network: Uid,
  name: Type.String({ maxLength: 256 }),
  createdAt: Type.String({ maxLength: 40 }),
  rule: ResourceRule,
  endMs: Type.Optional(Millis),
  openURL: Type.Optional(Type.String({ maxLength: 2048 })),
})
export type ClientResource = Static<typeof ClientResource>

/** Controller to Client on `wss /v1/client`. */
export const ToClient = union(
  message('welcome', {
    nowMs: Millis,
    tenant: Type.String({ maxLength: 63 }),
    issuer: Type.String({ maxLength: 100 }),
    device: DeviceId,
    user: Type.Object({
      id: Type.String({ maxLength: 100 }),
      email: Type.String({ maxLength: 254 }),
      admin: Type.Boolean(),
    }),
    loginEndsAtMs: Millis,
    revision: Revision,
    warnings: Type.Array(Type.String({ maxLength: 500 }), { maxItems: 16 }),
  }),
  Heartbeat,
  message('trust', { tenantCa: Type.String({ maxLength: 65536 }), clientAclJwks: Jwks }),
  message('certificate', { pem: Type.String({ maxLength: 65536 }) }),
  message('resources', { revision: Revision, resources: Type.Array(ClientResource, { maxItems: 65536 }) }),
  message('network', { network: Uid, name: Type.String({ maxLength: 256 }), acl: CompactJwt, connection: CompactJwt }),
  message('networkGone', { network: Uid }),
  message('loginRequired', { reason: Type.String({ maxLength: 500 }) }),
  Synced,
  Goodbye,
)
export type ToClient = Static<typeof ToClient>

/** Client to Controller. */
export const FromClient = union(
  message('hello', {
    version: Type.String({ maxLength: 50 }),
    platform: Type.String({ maxLength: 50 }),
    host: Type.String({ maxLength: 253 }),
    revision: Revision,
    nowMs: Millis,
  }),
  Heartbeat,
  Applied,
)
export type FromClient = Static<typeof FromClient>

/** Kinds of declared rows. */
export const DECLARED_KINDS = ['network', 'connector', 'resource', 'group', 'relay'] as const
export const DeclaredKind = oneOf(DECLARED_KINDS)
export type DeclaredKind = (typeof DECLARED_KINDS)[number]

/** State of a Connector slot. `occupied`: a key with a live control channel, or seen just now. */
export const SlotState = Type.Object({
  tokenId: Type.Optional(Type.String({ maxLength: 64, description: 'Enrolment token issued last.' })),
  tokenState: oneOf(['none', 'live', 'used', 'expired']),
  tokenExpiresAtMs: Type.Optional(Millis),
  connectorId: Type.Optional(ConnectorId),
  version: Type.Optional(Type.String({ maxLength: 50 })),
  connected: Type.Boolean({ description: 'Has a control channel.' }),
  registered: Type.Boolean({ description: 'Is registered at a Relay.' }),
  ready: Type.Boolean(),
  draining: Type.Boolean(),
  conflictAtMs: Type.Optional(
    Type.Integer({ description: 'Someone tried to enrol into the occupied slot; absent when it is over.' }),
  ),
})
export type SlotState = Static<typeof SlotState>

/** State of a Relay replica: its live capability keys, those acknowledged as written, whether a Connector is registered at it. */
export const RelayState = Type.Object({
  keyIds: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 4 }),
  acknowledgedKeyIds: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 4 }),
  registered: Type.Boolean(),
})
export type RelayState = Static<typeof RelayState>

/** Whether the Connectors that were connected when it changed have acknowledged a Resource or Group. */
export const Programming = oneOf(['pending', 'programmed', 'noConnector', 'unused'])
export type Programming = Static<typeof Programming>

/** The Controller's row of a declared object, as its operator sees it. `digest` is that of the PUT body (see `bodyDigest`). */
export const DeclaredRow = Type.Object({
  kind: DeclaredKind,
  uid: Uid,
  digest: Type.String({ maxLength: 64 }),
  revision: Revision,
  programming: Type.Optional(Programming),
  slot: Type.Optional(SlotState),
  relay: Type.Optional(RelayState),
})
export type DeclaredRow = Static<typeof DeclaredRow>

/** What the operator needs for `trust.json` and the Relays' Secrets. */
export const OperatorTrust = Type.Object({
  tenant: Type.String({ maxLength: 63 }),
  issuer: Type.String({ maxLength: 100 }),
  tenantCa: Type.String({ maxLength: 65536 }),
  jwks: Type.Object({ clientAcl: Jwks, connectorAcl: Jwks, relayPass: Jwks }),
})
export type OperatorTrust = Static<typeof OperatorTrust>

/** Controller to operator on `wss /v1/operator`: trust, then all rows of its source in pages, then changes as they happen. */
export const ToOperator = union(
  message('welcome', { nowMs: Millis, source: Type.String({ maxLength: 100 }), revision: Revision }),
  Heartbeat,
  message('trust', { trust: OperatorTrust }),
  message('snapshot', {
    rows: Type.Array(DeclaredRow, { maxItems: 1000 }),
    complete: Type.Boolean({ description: 'Last page.' }),
  }),
  message('row', { row: DeclaredRow }),
  message('gone', { kind: DeclaredKind, uid: Uid }),
  Goodbye,
)
export type ToOperator = Static<typeof ToOperator>
export const FromOperator = union(
  message('hello', { version: Type.String({ maxLength: 50 }), nowMs: Millis }),
  Heartbeat,
)
export type FromOperator = Static<typeof FromOperator>

/** Relay to Connector on the Relay's `wss /v1/connector`. */
export const RelayToConnector = union(
  message('challenge', { nonce: Type.String({ maxLength: 64 }) }),
  message('registered', { nowMs: Millis }),
  message('slots', {
    keys: Type.Array(Type.String({ pattern: '^[a-z2-7]{26}$', description: '128 bit in base32.' }), { maxItems: 64 }),
  }),
  message('want', {
    idle: Type.Integer({
      minimum: 0,
      maximum: 64,
      description: 'Idle data sockets that the Relay would like to have.',
    }),
  }),
  Heartbeat,
  message('draining', {}),
  message('refused', { code: Type.String({ maxLength: 64 }), message: Type.String({ maxLength: 500 }) }),
)
export type RelayToConnector = Static<typeof RelayToConnector>
/** Connector to Relay. */
export const ConnectorToRelay = union(
  message('register', { pass: { ...CompactJwt, maxLength: 8192 }, assertion: { ...CompactJwt, maxLength: 8192 } }),
  message('needSlots', { count: Type.Integer({ minimum: 1, maximum: 64 }) }),
  Heartbeat,
)
export type ConnectorToRelay = Static<typeof ConnectorToRelay>
/** Label of the TLS exporter (RFC 8446, section 7.5) that binds a registration to its connection; 32 bytes, no context. */
export const RELAY_EXPORTER_LABEL = 'EXPORTER-sallyport-relay-registration'
