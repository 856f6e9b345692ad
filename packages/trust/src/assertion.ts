import type { KeyObject } from 'node:crypto'
import {
  CONTROLLER_AUDIENCE,
  ConnectorAssertionClaims,
  type ConnectorId,
  parser,
  relayAudience,
  TokenType,
} from '@sallyport/schema'
import { equalSecrets, sha256, toBase64Url } from './bytes.ts'
import { TrustError } from './error.ts'
import { type ClockCheck, signWithJwk, verifyWithJwk } from './jws.ts'
import { connectorIdOf, type KeyPair, publicJwk, thumbprintOf } from './key.ts'
import { timesOf } from './life.ts'
import { type RandomBytes, randomId, systemRandom } from './random.ts'

/** Life of a Connector's assertion. */
export const ASSERTION_LIFE_SECONDS = 60

const assertionClaims = parser(ConnectorAssertionClaims)

/** What an assertion has proved: its signer holds `key`, of which `connectorId` and `jkt` are the hashes. `jti` is for use once. */
export type ProvedConnector = {
  connectorId: ConnectorId
  key: KeyObject
  jkt: string
  jti: string
  expiresAtMs: number
}

/** What binds an assertion to one connection at a Relay: its challenge and the TLS exporter, both base64url. */
export type RelayBinding = { relay: string; nonce: string; exporter: string }

/** A Connector's proof of its key towards the Controller. */
export function createControllerAssertion(keys: KeyPair, nowMs: number, random: RandomBytes = systemRandom): string {
  return create(TokenType.connectorAssertion, keys, { aud: CONTROLLER_AUDIENCE, jti: randomId(random) }, nowMs)
}

/** Verifies an assertion towards the Controller. Throws TrustError. */
export function verifyControllerAssertion(token: string, check: ClockCheck): ProvedConnector {
  return verify(TokenType.connectorAssertion, token, CONTROLLER_AUDIENCE, check).proved
}

/** A Connector's proof of its key towards one Relay, on one connection. */
export function createRelayAssertion(
  keys: KeyPair,
  { relay, nonce, exporter }: RelayBinding,
  nowMs: number,
  random: RandomBytes = systemRandom,
): string {
  const claims = { aud: relayAudience(relay), jti: randomId(random), nonce, exporter }
  return create(TokenType.connectorAssertion, keys, claims, nowMs)
}

/** Verifies an assertion towards the Relay that sent `nonce` on the connection with `exporter`. Throws TrustError. */
export function verifyRelayAssertion(token: string, check: ClockCheck & RelayBinding): ProvedConnector {
  const { proved, claims } = verify(TokenType.connectorAssertion, token, relayAudience(check.relay), check)
  if (!equalSecrets(claims.nonce ?? '', check.nonce)) {
    throw new TrustError('wrong_nonce', 'assertion answers another challenge')
  }
  if (!equalSecrets(claims.exporter ?? '', check.exporter)) {
    throw new TrustError('wrong_connection', 'assertion was made for another TLS connection')
  }
  return proved
}

/** A Connector's proof, for enrolment with `enrolmentToken`, that it holds its key. */
export function createEnrolmentProof(keys: KeyPair, enrolmentToken: string, nowMs: number): string {
  const claims = { aud: CONTROLLER_AUDIENCE, jti: toBase64Url(sha256(enrolmentToken)) }
  return create(TokenType.enrolmentProof, keys, claims, nowMs)
}

/** Verifies a proof for enrolment with `enrolmentToken` and `publicKey`. Throws TrustError. */
export function verifyEnrolmentProof(
  proof: string,
  check: ClockCheck & { enrolmentToken: string; publicKey: KeyObject },
): ProvedConnector {
  const { proved } = verify(TokenType.enrolmentProof, proof, CONTROLLER_AUDIENCE, check)
  if (proved.jkt !== thumbprintOf(check.publicKey)) {
    throw new TrustError('wrong_key', 'enrolment proof is signed with another key')
  }
  if (!equalSecrets(proved.jti, toBase64Url(sha256(check.enrolmentToken)))) {
    throw new TrustError('wrong_nonce', 'enrolment proof was made for another token')
  }
  return proved
}

function create(type: string, keys: KeyPair, claims: object, nowMs: number): string {
  const id = connectorIdOf(keys.publicKey)
  const times = timesOf({ nowMs, lifeSeconds: ASSERTION_LIFE_SECONDS })
  return signWithJwk(type, { iss: id, sub: id, ...times, ...claims }, keys.privateKey, publicJwk(keys.publicKey))
}

function verify(
  type: string,
  token: string,
  audience: string,
  check: ClockCheck,
): { proved: ProvedConnector; claims: ConnectorAssertionClaims } {
  const { nowMs, leewaySeconds } = check
  const clock = leewaySeconds === undefined ? { nowMs } : { nowMs, leewaySeconds }
  const maxLifeSeconds = ASSERTION_LIFE_SECONDS
  const { claims, key } = verifyWithJwk(token, { ...clock, type, audience, maxLifeSeconds, claims: assertionClaims })
  const connectorId = connectorIdOf(key)
  if (claims.iss !== connectorId) throw new TrustError('wrong_issuer', `${type} does not come from its own key`)
  if (claims.sub !== connectorId) throw new TrustError('wrong_subject', `${type} speaks of another Connector`)
  const expiresAtMs = (claims.iat + ASSERTION_LIFE_SECONDS) * 1000
  return { proved: { connectorId, key, jkt: thumbprintOf(key), jti: claims.jti, expiresAtMs }, claims }
}
