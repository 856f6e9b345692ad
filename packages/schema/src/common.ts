import Type, { type Static, type TSchemaOptions, type TUnsafe } from 'typebox'
import { MAX_EMAIL, MAX_HOST, MAX_NAME, MAX_NAMESPACE, MAX_RELAY_NAME } from './limit.ts'

/** A closed set of strings, as one `enum` (what a structural CRD schema and OpenAPI want). */
export function oneOf<const T extends readonly string[]>(values: T, options: TSchemaOptions = {}): TUnsafe<T[number]> {
  return Type.Unsafe<T[number]>({ type: 'string', enum: [...values], ...options })
}

/** Object schema that refuses members it does not know: CRDs, REST and configuration. */
export const strict = { additionalProperties: false } as const

export const Name = Type.String({
  minLength: 1,
  maxLength: MAX_NAME,
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
  description: `Name of an object: lower-case letters, digits and dashes, at most ${MAX_NAME} characters.`,
})
export const Namespace = Type.String({
  minLength: 1,
  maxLength: MAX_NAMESPACE,
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
  description: 'Namespace of an object.',
})
export const Uid = Type.String({
  pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
  maxLength: 36,
  description: 'UID of an object: a UUID in lower case.',
})
export const TenantName = Type.String({
  minLength: 1,
  maxLength: MAX_NAME,
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
  description: 'Name of a tenant.',
})
export const SourceName = Type.String({
  minLength: 1,
  maxLength: 100,
  pattern: '^[a-z0-9]([-a-z0-9./]*[a-z0-9])?$',
  description: 'Name of the operator whose declarations these are.',
})
export const Email = Type.String({
  minLength: 3,
  maxLength: MAX_EMAIL,
  // Spelt out: what \s stands for differs between the API server and JavaScript.
  pattern: '^[^@ \\t\\n\\f\\r]{1,64}@[^@ \\t\\n\\f\\r]{1,253}$',
  description: 'E-mail address.',
})
export const Host = Type.String({ minLength: 1, maxLength: MAX_HOST, description: 'DNS name or IP address.' })
export const Port = Type.Integer({ minimum: 1, maximum: 65535, description: 'TCP or UDP port.' })
export const RelayName = Type.String({
  minLength: 1,
  maxLength: MAX_RELAY_NAME,
  pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$',
  description: 'Name of a Relay: the DNS name that its serving certificate carries.',
})
/** `host:port`; an IPv6 address stands in brackets. */
export const HostPort = Type.String({
  minLength: 3,
  maxLength: MAX_HOST + 6,
  pattern: '^(\\[[0-9a-fA-F:.]+\\]|[A-Za-z0-9.-]+):[0-9]{1,5}$',
  description: 'Address as host:port.',
})
/** Connector ID: base32 (RFC 4648, lower case, unpadded) of the first 20 bytes of SHA-256(SubjectPublicKeyInfo). */
export const ConnectorId = Type.String({
  pattern: '^[a-z2-7]{32}$',
  description: 'Connector ID: hash of its public key.',
})
/** Device ID: made as the Connector ID is, from the device's public key. */
export const DeviceId = Type.String({ pattern: '^[a-z2-7]{32}$', description: 'Device ID: hash of its public key.' })
export const Base64Url = Type.String({
  pattern: '^[A-Za-z0-9_-]*$',
  maxLength: 65536,
  description: 'base64url without padding.',
})
/** Compact JWS. */
export const CompactJwt = Type.String({
  pattern: '^[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+$',
  maxLength: 4 * 1024 * 1024,
  description: 'Compact JWS (RFC 7515).',
})
export const Millis = Type.Integer({ minimum: 0, description: 'Milliseconds since the epoch.' })
export const Revision = Type.Integer({ minimum: 0, description: "Revision of the tenant's state." })
/** Narrower than RFC 3339: leap seconds and offsets of a day are times that not everyone can read. */
export const TimeText = Type.String({
  format: 'date-time',
  pattern:
    '^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[-+]([01][0-9]|2[0-3]):[0-5][0-9])$',
  maxLength: 40,
  description: 'Point in time, RFC 3339.',
})

/** Public P-256 key as a JWK (RFC 7517). */
export const PublicJwk = Type.Object(
  {
    kty: Type.Literal('EC'),
    crv: Type.Literal('P-256'),
    x: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' }),
    y: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' }),
    kid: Type.Optional(Type.String({ maxLength: 100 })),
    alg: Type.Optional(Type.Literal('ES256')),
    use: Type.Optional(Type.Literal('sig')),
  },
  { description: 'Public P-256 key.' },
)
export type PublicJwk = Static<typeof PublicJwk>
/** Most keys that are trusted for one purpose at a time. */
export const MAX_JWKS_KEYS = 16
/** Key set for one purpose. */
export const Jwks = Type.Object({ keys: Type.Array(PublicJwk, { maxItems: MAX_JWKS_KEYS }) })
export type Jwks = Static<typeof Jwks>

declare const brand: unique symbol
type Brand<T, B extends string> = T & { readonly [brand]: B }
/** UID of a Resource. */
export type ResourceId = Brand<string, 'ResourceId'>
/** UID of a RemoteNetwork. */
export type NetworkId = Brand<string, 'NetworkId'>
/** UID of a Group. */
export type GroupId = Brand<string, 'GroupId'>
/** UID of a Connector slot (the Connector object). */
export type SlotId = Brand<string, 'SlotId'>
/** UID of a Relay replica's row. */
export type RelayId = Brand<string, 'RelayId'>
export type ConnectorId = Brand<string, 'ConnectorId'>
export type DeviceId = Brand<string, 'DeviceId'>
export type TenantName = Brand<string, 'TenantName'>
export type UserId = Brand<string, 'UserId'>
