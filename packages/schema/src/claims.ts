import Type, { type Static } from 'typebox'
import {
  Base64Url,
  CompactJwt,
  ConnectorId,
  DeviceId,
  Host,
  HostPort,
  Jwks,
  PublicJwk,
  RelayName,
  Revision,
  TenantName,
  Uid,
} from './common.ts'
import { Protocols } from './crd/protocols.ts'
import { OnControllerLoss } from './crd/remote-network.ts'

/** JOSE `typ` of each token (RFC 8725, section 3.11): one never stands in for another. */
export const TokenType = {
  clientAcl: 'client-acl+jwt',
  connection: 'connection+jwt',
  connectorAcl: 'connector-acl+jwt',
  relayPass: 'relay-pass+jwt',
  connectorAssertion: 'connector-assertion+jwt',
  enrolmentProof: 'enrolment-proof+jwt',
  accessToken: 'at+jwt',
  dpop: 'dpop+jwt',
  trust: 'trust+jwt',
} as const
export type TokenType = (typeof TokenType)[keyof typeof TokenType]

/** Issuer of a tenant's tokens. */
export const tenantIssuer = (tenant: string): string => `sallyport://${tenant}`
/** Issuer of relay passes, which name no tenant. */
export const PASS_ISSUER = 'sallyport'
/** Audience of the Client ACL and the Connector ACL of a Remote Network. */
export const networkAudience = (network: string): string => `network:${network}`
/** Audience of a connection token: the device. */
export const deviceAudience = (device: string): string => `device:${device}`
/** Audience of a Connector's assertion towards the Controller. */
export const CONTROLLER_AUDIENCE = 'sallyport-controller'
/** Audience of an assertion or a pass towards a Relay. */
export const relayAudience = (relay: string): string => `relay:${relay}`

const Times = { iat: Type.Integer(), exp: Type.Integer(), nbf: Type.Optional(Type.Integer()) }
const Confirmation = Type.Object({ jkt: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' }) })

/** One Resource in a Client ACL: UID (16 bytes), rule digest (16 bytes), optional end in seconds since the epoch. */
export const AclEntry = Type.Union([
  Type.Tuple([Type.String({ minLength: 22, maxLength: 22 }), Type.String({ minLength: 22, maxLength: 22 })]),
  Type.Tuple([
    Type.String({ minLength: 22, maxLength: 22 }),
    Type.String({ minLength: 22, maxLength: 22 }),
    Type.Integer(),
  ]),
])
export type AclEntry = Static<typeof AclEntry>

/** What a device may reach in one Remote Network. `aud` is {@link networkAudience}. */
export const ClientAclClaims = Type.Object({
  iss: Type.String(),
  sub: Type.String({ maxLength: 100, description: 'User.' }),
  aud: Type.String(),
  ...Times,
  device: DeviceId,
  cnf: Confirmation,
  rev: Revision,
  res: Type.Array(AclEntry, { maxItems: 65536 }),
})
export type ClientAclClaims = Static<typeof ClientAclClaims>

/** A rule of a Resource: all that decides whether a destination belongs to it. */
export const ResourceRule = Type.Object({
  address: Host,
  aliases: Type.Array(Host, { maxItems: 64 }),
  protocols: Protocols,
})
export type ResourceRule = Static<typeof ResourceRule>

/** What a Connector may forward. `aud` is {@link networkAudience}. */
export const ConnectorAclClaims = Type.Object({
  iss: Type.String(),
  aud: Type.String(),
  ...Times,
  rev: Revision,
  guardExceptions: Type.Array(Type.String({ maxLength: 64 }), { maxItems: 1024 }),
  onControllerLoss: OnControllerLoss,
  resources: Type.Array(Type.Object({ uid: Uid, createdAt: Type.String({ maxLength: 40 }), rule: ResourceRule }), {
    maxItems: 65536,
  }),
})
export type ConnectorAclClaims = Static<typeof ConnectorAclClaims>

/** Where a Client finds the Connectors of one Remote Network. `aud` is {@link deviceAudience}. */
export const ConnectionClaims = Type.Object({
  iss: Type.String(),
  sub: Type.String({ maxLength: 100 }),
  aud: Type.String(),
  ...Times,
  cnf: Confirmation,
  network: Uid,
  rev: Revision,
  connectors: Type.Array(
    Type.Object({
      id: ConnectorId,
      pin: { ...Base64Url, description: 'SHA-256 of the SubjectPublicKeyInfo.' },
      relays: Type.Array(
        Type.Object({
          name: RelayName,
          address: HostPort,
          capabilities: Type.Array(Type.String({ maxLength: 110 }), { maxItems: 16 }),
        }),
        { maxItems: 64 },
      ),
    }),
    { maxItems: 128 },
  ),
})
export type ConnectionClaims = Static<typeof ConnectionClaims>

/** Lets a Connector register at one Relay; `aud` is {@link relayAudience}, `iss` {@link PASS_ISSUER}. */
export const RelayPassClaims = Type.Object({
  iss: Type.Literal(PASS_ISSUER),
  sub: ConnectorId,
  aud: Type.String(),
  ...Times,
  cnf: Confirmation,
})
export type RelayPassClaims = Static<typeof RelayPassClaims>

/**
 * A Connector's proof of its key (RFC 7523), valid 60 s. Towards a Relay it carries the Relay's nonce and the TLS exporter, so that it
 * cannot be passed on.
 */
export const ConnectorAssertionClaims = Type.Object({
  iss: ConnectorId,
  sub: ConnectorId,
  aud: Type.String(),
  ...Times,
  jti: Type.String({ maxLength: 64 }),
  nonce: Type.Optional(Type.String({ maxLength: 64 })),
  exporter: Type.Optional(Type.String({ maxLength: 64 })),
})
export type ConnectorAssertionClaims = Static<typeof ConnectorAssertionClaims>

/** Access token of a login, bound to the device key (RFC 9449). `aud` is {@link CONTROLLER_AUDIENCE}. */
export const AccessTokenClaims = Type.Object({
  iss: Type.String(),
  sub: Type.String({ maxLength: 100, description: 'User.' }),
  aud: Type.String(),
  ...Times,
  jti: Type.String({ maxLength: 64 }),
  cnf: Confirmation,
  device: DeviceId,
  login: Type.String({ maxLength: 64 }),
})
export type AccessTokenClaims = Static<typeof AccessTokenClaims>

/** Proof of the device key for one request (RFC 9449, section 4.2); `ath` with requests that carry an access token. */
export const DpopClaims = Type.Object({
  htm: Type.String({ maxLength: 16 }),
  htu: Type.String({ maxLength: 2048 }),
  iat: Type.Integer(),
  nbf: Type.Optional(Type.Integer()),
  exp: Type.Optional(Type.Integer()),
  jti: Type.String({ minLength: 1, maxLength: 64 }),
  ath: Type.Optional(Type.String({ maxLength: 64 })),
})
export type DpopClaims = Static<typeof DpopClaims>

/** What a Connector trusts; pushed later on as a {@link TokenType.trust} token signed by a Connector ACL key trusted already. */
export const ConnectorTrust = Type.Object({
  tenant: TenantName,
  issuer: Type.String({ maxLength: 100 }),
  network: Uid,
  controllerUrl: Type.String({ maxLength: 2048 }),
  installationCa: Type.String({ maxLength: 65536, description: 'PEM; serving certificates of Controller and Relays.' }),
  publicCa: Type.Optional(
    Type.Boolean({
      description:
        "Whether the Controller's certificate is vouched for by a public CA instead, as where an Ingress ends its TLS.",
    }),
  ),
  tenantCa: Type.String({ maxLength: 65536, description: 'PEM; certificates of devices and Connectors.' }),
  jwks: Type.Object({ clientAcl: Jwks, connectorAcl: Jwks }),
})
export type ConnectorTrust = Static<typeof ConnectorTrust>

/** Claims of a trust update: `aud` is {@link networkAudience}. */
export const TrustUpdateClaims = Type.Object({
  iss: Type.String(),
  aud: Type.String(),
  ...Times,
  rev: Revision,
  tenantCa: Type.String({ maxLength: 65536 }),
  jwks: Type.Object({ clientAcl: Jwks, connectorAcl: Jwks }),
})
export type TrustUpdateClaims = Static<typeof TrustUpdateClaims>

/** Operator's or workload's token, as the API server issues it to a ServiceAccount. */
export const ServiceAccountClaims = Type.Object({
  iss: Type.String({ maxLength: 2048 }),
  sub: Type.String({ maxLength: 512 }),
  aud: Type.Union([Type.String({ maxLength: 2048 }), Type.Array(Type.String({ maxLength: 2048 }), { maxItems: 16 })]),
  exp: Type.Integer(),
  nbf: Type.Optional(Type.Integer()),
  iat: Type.Integer(),
})
export type ServiceAccountClaims = Static<typeof ServiceAccountClaims>

export const EnrolRequest = Type.Object(
  {
    token: Type.String({ pattern: '^spe_[A-Za-z0-9_-]{43}$' }),
    publicKey: PublicJwk,
    proof: {
      ...CompactJwt,
      maxLength: 4096,
      description: 'Assertion signed with the key, type enrolment-proof+jwt, jti = SHA-256 of the token.',
    },
    version: Type.String({ maxLength: 50 }),
    host: Type.String({ maxLength: 253 }),
  },
  { additionalProperties: false },
)
export type EnrolRequest = Static<typeof EnrolRequest>
export const EnrolResponse = Type.Object({
  connectorId: ConnectorId,
  slot: Uid,
  network: Uid,
  certificate: Type.String({ description: 'PEM.' }),
})
export type EnrolResponse = Static<typeof EnrolResponse>

/** `relay.json` in a Relay's Secret, beside `tls.crt` and `tls.key`. `keys` open capabilities: two live at a time. */
export const RelaySecret = Type.Object({
  name: RelayName,
  keys: Type.Array(
    Type.Object({
      id: Type.String({ maxLength: 64 }),
      key: Type.String({ minLength: 43, maxLength: 43, description: '32 bytes.' }),
    }),
    { maxItems: 4 },
  ),
  passJwks: Jwks,
})
export type RelaySecret = Static<typeof RelaySecret>
