import Type, { type Static, type TLiteral, type TObject, type TProperties, type TUnion } from 'typebox'
import { Host, HostPort, Millis, oneOf, Port, Uid } from './common.ts'

/** Version of the messages below: a daemon that speaks another one is replaced. */
export const LOCAL_PROTOCOL = 1
/** Longest line on the local socket in bytes. */
export const MAX_LOCAL_LINE_BYTES = 1024 * 1024

const message = <const T extends string, P extends TProperties>(
  type: T,
  members: P,
): TObject<{ type: TLiteral<T> } & P> =>
  Type.Object({ type: Type.Literal(type), ...members }) as unknown as TObject<{ type: TLiteral<T> } & P>
const union = <T extends TObject[]>(...messages: T): TUnion<T> => Type.Union(messages) as unknown as TUnion<T>

/** Where a verb wants connections to be taken in. */
export const CaptureRequest = Type.Union([
  Type.Object({
    kind: Type.Literal('proxy'),
    listen: Type.Array(HostPort, { minItems: 1, maxItems: 8 }),
    direct: Type.Boolean({ description: 'Destinations that are no Resource go out untouched.' }),
  }),
  Type.Object({
    kind: Type.Literal('forward'),
    listen: HostPort,
    host: Host,
    port: Port,
  }),
])
export type CaptureRequest = Static<typeof CaptureRequest>

/** Verb to daemon: one line of JSON, the first of a connection always `hello`. */
export const ToDaemon = union(
  message('hello', { protocol: Type.Integer(), version: Type.String({ maxLength: 50 }) }),
  message('login', { url: Type.String({ maxLength: 4096 }) }),
  message('logout', {}),
  message('status', {}),
  message('resources', {}),
  message('why', { host: Host, port: Port }),
  message('capture', { capture: CaptureRequest }),
  message('connect', { host: Host, port: Port }),
  message('admin', {
    method: oneOf(['GET', 'POST', 'DELETE']),
    path: Type.String({ maxLength: 1024, pattern: '^/v1/(admin|sources)/[A-Za-z0-9/_.?=&%-]+$' }),
  }),
  message('stop', {}),
)
export type ToDaemon = Static<typeof ToDaemon>

export const ClientSessionStatus = Type.Object({
  network: Type.String({ maxLength: 256 }),
  connector: Type.String({ maxLength: 64 }),
  path: Type.String({ maxLength: 200 }),
  streams: Type.Integer({ minimum: 0 }),
  startedAtMs: Millis,
})
export type ClientSessionStatus = Static<typeof ClientSessionStatus>

export const CaptureStatus = Type.Object({
  kind: oneOf(['proxy', 'forward']),
  listen: Type.Array(Type.String({ maxLength: 300 }), { maxItems: 8 }),
  to: Type.Optional(Type.String({ maxLength: 300 })),
  open: Type.Integer({ minimum: 0 }),
})
export type CaptureStatus = Static<typeof CaptureStatus>

/** What `sallyport status` shows. */
export const ClientStatus = Type.Object({
  state: oneOf(['loggedOut', 'connecting', 'connected', 'loginRequired'], {
    description: 'connecting: logged in, the Controller cannot be reached just now; what is known goes on.',
  }),
  detail: Type.Optional(Type.String({ maxLength: 1024, description: 'Why it is so, for people.' })),
  version: Type.String({ maxLength: 50 }),
  controller: Type.Optional(Type.String({ maxLength: 2048 })),
  tenant: Type.Optional(Type.String({ maxLength: 63 })),
  user: Type.Optional(Type.String({ maxLength: 254 })),
  admin: Type.Optional(Type.Boolean()),
  device: Type.Optional(Type.String({ maxLength: 64 })),
  loginEndsAtMs: Type.Optional(Millis),
  clockOffsetMs: Type.Optional(Type.Integer()),
  revision: Type.Optional(Type.Integer({ minimum: 0 })),
  warnings: Type.Array(Type.String({ maxLength: 1024 }), { maxItems: 64 }),
  networks: Type.Array(
    Type.Object({
      uid: Uid,
      name: Type.String({ maxLength: 256 }),
      resources: Type.Integer({ minimum: 0 }),
      connectors: Type.Integer({ minimum: 0 }),
      aclEndsAtMs: Type.Optional(Millis),
      problem: Type.Optional(Type.String({ maxLength: 1024 })),
    }),
    { maxItems: 4096 },
  ),
  sessions: Type.Array(ClientSessionStatus, { maxItems: 4096 }),
  captures: Type.Array(CaptureStatus, { maxItems: 1024 }),
})
export type ClientStatus = Static<typeof ClientStatus>

/** One Resource as `sallyport resources` shows it. */
export const LocalResource = Type.Object({
  name: Type.String({ maxLength: 256 }),
  network: Type.String({ maxLength: 256 }),
  address: Host,
  aliases: Type.Array(Host, { maxItems: 64 }),
  ports: Type.String({ maxLength: 4096, description: 'TCP ports, readable.' }),
  usable: Type.Boolean({ description: 'False when it stands in no verified Client ACL.' }),
  endMs: Type.Optional(Millis),
  openURL: Type.Optional(Type.String({ maxLength: 2048 })),
})
export type LocalResource = Static<typeof LocalResource>

/** The checks of `sallyport why`, in the order in which they are made. */
export const WHY_CHECKS = [
  'login',
  'name',
  'granted',
  'port',
  'end',
  'controller',
  'relay',
  'connector',
  'authorised',
  'address',
  'resource',
] as const
/** Why a destination is not reached; `reachable` when it is. */
export const WHY_REASONS = [
  'reachable',
  'not_logged_in',
  'no_such_name',
  'not_granted',
  'port_not_granted',
  'expired',
  'controller_down',
  'relay_down',
  'connector_down',
  'denied',
  'guarded_address',
  'name_not_found',
  'refused',
  'timeout',
  'unreachable',
  'failed',
] as const
export type WhyReason = (typeof WHY_REASONS)[number]
export const WhyStep = Type.Object({
  check: oneOf(WHY_CHECKS),
  ok: Type.Boolean(),
  detail: Type.String({ maxLength: 2048 }),
})
export type WhyStep = Static<typeof WhyStep>
export const WhyReport = Type.Object({
  host: Host,
  port: Port,
  steps: Type.Array(WhyStep, { maxItems: 32 }),
  verdict: oneOf(['reachable', 'refused']),
  reason: oneOf(WHY_REASONS),
  hint: Type.Optional(Type.String({ maxLength: 1024, description: 'What to do about it.' })),
})
export type WhyReport = Static<typeof WhyReport>

/** Daemon to verb: one line of JSON each. `connected` ends the lines: what follows is the connection itself. */
export const FromDaemon = union(
  message('hello', { protocol: Type.Integer(), version: Type.String({ maxLength: 50 }), pid: Type.Integer() }),
  message('browse', { url: Type.String({ maxLength: 8192 }) }),
  message('loggedIn', { status: ClientStatus }),
  message('loggedOut', {}),
  message('status', { status: ClientStatus }),
  message('resources', {
    resources: Type.Array(LocalResource, { maxItems: 65536 }),
    warnings: Type.Array(Type.String({ maxLength: 1024 }), { maxItems: 64 }),
  }),
  message('why', { report: WhyReport }),
  message('capturing', { capture: CaptureStatus }),
  message('connected', {}),
  message('admin', { status: Type.Integer(), body: Type.Unknown() }),
  message('stopping', {}),
  message('error', {
    code: Type.String({ maxLength: 64 }),
    message: Type.String({ maxLength: 2048 }),
    hint: Type.Optional(Type.String({ maxLength: 2048 })),
  }),
)
export type FromDaemon = Static<typeof FromDaemon>
