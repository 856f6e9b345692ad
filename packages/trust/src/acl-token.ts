import {
  type AclEntry,
  ClientAclClaims,
  ConnectionClaims,
  ConnectorAclClaims,
  type DeviceId,
  deviceAudience,
  type NetworkId,
  networkAudience,
  parser,
  TokenType,
  TrustUpdateClaims,
  tenantIssuer,
} from '@sallyport/schema'
import { TrustError } from './error.ts'
import { type ClockCheck, signWithKey, verifyWithKeys } from './jws.ts'
import { type Life, timesOf } from './life.ts'
import type { SigningKey, VerifyKeys } from './signing-key.ts'

const clientAclClaims = parser(ClientAclClaims)
const connectionClaims = parser(ConnectionClaims)
const connectorAclClaims = parser(ConnectorAclClaims)
const trustUpdateClaims = parser(TrustUpdateClaims)

/** Who verifies a tenant's token: its keys, its issuer and the Remote Network that it must be for. */
export type NetworkCheck = ClockCheck & { keys: VerifyKeys; issuer: string; network: NetworkId }

/** What a Client ACL says, in the terms of its issuer. `jkt` is the thumbprint of the device key. */
export type ClientAclContent = {
  tenant: string
  user: string
  device: DeviceId
  jkt: string
  network: NetworkId
  rev: number
  res: AclEntry[]
}

/** Signs a Client ACL. */
export function issueClientAcl(key: SigningKey<'clientAcl'>, content: ClientAclContent, life: Life): string {
  const { tenant, user, device, jkt, network, rev, res } = content
  const names = { iss: tenantIssuer(tenant), sub: user, aud: networkAudience(network) }
  return signWithKey(TokenType.clientAcl, { ...names, ...timesOf(life), device, cnf: { jkt }, rev, res }, key)
}

/** Verifies a Client ACL; with `jkt` also that it is bound to that key. Throws TrustError. */
export function verifyClientAcl(token: string, check: NetworkCheck & { jkt?: string }): ClientAclClaims {
  const claims = verifyWithKeys(token, check.keys, {
    ...check,
    type: TokenType.clientAcl,
    audience: networkAudience(check.network),
    claims: clientAclClaims,
  })
  requireKey(TokenType.clientAcl, claims.cnf.jkt, check.jkt)
  return claims
}

/** What a connection token says, in the terms of its issuer. */
export type ConnectionContent = {
  tenant: string
  user: string
  device: DeviceId
  jkt: string
  network: NetworkId
  rev: number
  connectors: ConnectionClaims['connectors']
}

/** Signs a connection token. */
export function issueConnectionToken(key: SigningKey<'clientAcl'>, content: ConnectionContent, life: Life): string {
  const { tenant, user, device, jkt, network, rev, connectors } = content
  const names = { iss: tenantIssuer(tenant), sub: user, aud: deviceAudience(device) }
  const claims = { ...names, ...timesOf(life), cnf: { jkt }, network, rev, connectors }
  return signWithKey(TokenType.connection, claims, key)
}

/** Verifies a connection token for a device; with `jkt` also that it is bound to that key. Throws TrustError. */
export function verifyConnectionToken(
  token: string,
  check: ClockCheck & { keys: VerifyKeys; issuer: string; device: DeviceId; jkt?: string },
): ConnectionClaims {
  const claims = verifyWithKeys(token, check.keys, {
    ...check,
    type: TokenType.connection,
    audience: deviceAudience(check.device),
    claims: connectionClaims,
  })
  requireKey(TokenType.connection, claims.cnf.jkt, check.jkt)
  return claims
}

/** What a Connector ACL says, in the terms of its issuer. */
export type ConnectorAclContent = { tenant: string; network: NetworkId } & Pick<
  ConnectorAclClaims,
  'rev' | 'guardExceptions' | 'onControllerLoss' | 'resources'
>

/** Signs a Connector ACL. */
export function issueConnectorAcl(key: SigningKey<'connectorAcl'>, content: ConnectorAclContent, life: Life): string {
  const { tenant, network, rev, guardExceptions, onControllerLoss, resources } = content
  const names = { iss: tenantIssuer(tenant), aud: networkAudience(network) }
  const claims = { ...names, ...timesOf(life), rev, guardExceptions, onControllerLoss, resources }
  return signWithKey(TokenType.connectorAcl, claims, key)
}

/** Verifies a Connector ACL. Throws TrustError. */
export function verifyConnectorAcl(token: string, check: NetworkCheck): ConnectorAclClaims {
  return verifyWithKeys(token, check.keys, {
    ...check,
    type: TokenType.connectorAcl,
    audience: networkAudience(check.network),
    claims: connectorAclClaims,
  })
}

/** What a trust update says, in the terms of its issuer. */
export type TrustUpdateContent = { tenant: string; network: NetworkId } & Pick<
  TrustUpdateClaims,
  'rev' | 'tenantCa' | 'jwks'
>

/** Signs what the Connectors of a network are to trust from now on. */
export function issueTrustUpdate(key: SigningKey<'connectorAcl'>, content: TrustUpdateContent, life: Life): string {
  const { tenant, network, rev, tenantCa, jwks } = content
  const names = { iss: tenantIssuer(tenant), aud: networkAudience(network) }
  return signWithKey(TokenType.trust, { ...names, ...timesOf(life), rev, tenantCa, jwks }, key)
}

/** Verifies a trust update against the Connector ACL keys trusted so far. Throws TrustError. */
export function verifyTrustUpdate(token: string, check: NetworkCheck): TrustUpdateClaims {
  return verifyWithKeys(token, check.keys, {
    ...check,
    type: TokenType.trust,
    audience: networkAudience(check.network),
    claims: trustUpdateClaims,
  })
}

function requireKey(type: string, bound: string, proved: string | undefined): void {
  if (proved !== undefined && bound !== proved) throw new TrustError('wrong_key', `${type} is bound to another key`)
}
