import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { type ConnectorId, type DeviceId, PublicJwk, parser } from '@sallyport/schema'
import { encodeBase32 } from '@sallyport/wire'
import { sha256, toBase64Url } from './bytes.ts'
import { TrustError } from './error.ts'

/** A P-256 key and its public half. */
export type KeyPair = { privateKey: KeyObject; publicKey: KeyObject }

const CURVE = 'prime256v1'
const ID_BYTES = 20
const jwkParser = parser(PublicJwk)

/** Makes a P-256 key. */
export function generateKeyPair(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: CURVE })
}

/** Reads a P-256 private key from PEM (PKCS#8). Throws TrustError `malformed`. */
export function keyPairFromPem(pem: string): KeyPair {
  const privateKey = attempt('private key', () => createPrivateKey(pem))
  return { privateKey: requireP256(privateKey), publicKey: createPublicKey(privateKey) }
}

/** Writes a private key as PEM (PKCS#8). */
export function privateKeyToPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** Reads a P-256 public key from a JWK, whose further members count for nothing. Throws TrustError `malformed`. */
export function publicKeyFromJwk(jwk: unknown): KeyObject {
  if (!jwkParser.check(jwk)) throw new TrustError('malformed', 'not a P-256 public key as a JWK')
  const { kty, crv, x, y } = jwk
  return requireP256(attempt('JWK', () => createPublicKey({ key: { kty, crv, x, y }, format: 'jwk' })))
}

/** Reads a P-256 public key from its SubjectPublicKeyInfo (DER). Throws TrustError `malformed`. */
export function publicKeyFromSpki(spki: Uint8Array): KeyObject {
  const key = Buffer.from(spki)
  return requireP256(attempt('SubjectPublicKeyInfo', () => createPublicKey({ key, format: 'der', type: 'spki' })))
}

/** Writes a public key as a JWK with nothing but its key. */
export function publicJwk(key: KeyObject): PublicJwk {
  const { x, y } = publicHalf(key).export({ format: 'jwk' })
  if (x === undefined || y === undefined) throw new TypeError('not a P-256 key')
  return { kty: 'EC', crv: 'P-256', x, y }
}

/** SubjectPublicKeyInfo of a key, DER. */
export function spkiOf(key: KeyObject): Uint8Array {
  return publicHalf(key).export({ type: 'spki', format: 'der' })
}

/** Pin of a key: SHA-256 of its SubjectPublicKeyInfo, base64url. */
export function pinOf(key: KeyObject | Uint8Array): string {
  return toBase64Url(sha256(key instanceof Uint8Array ? key : spkiOf(key)))
}

/** JWK thumbprint (RFC 7638) of a key, base64url: `cnf.jkt` of tokens that are bound to it. */
export function thumbprintOf(key: KeyObject | PublicJwk): string {
  const { crv, kty, x, y } = 'kty' in key ? key : publicJwk(key)
  return toBase64Url(sha256(JSON.stringify({ crv, kty, x, y })))
}

/** Connector ID: first 20 bytes of SHA-256(SubjectPublicKeyInfo), base32. */
export function connectorIdOf(key: KeyObject | Uint8Array): ConnectorId {
  return hashIdOf(key) as ConnectorId
}

/** Device ID: made as a Connector ID is. */
export function deviceIdOf(key: KeyObject | Uint8Array): DeviceId {
  return hashIdOf(key) as DeviceId
}

function hashIdOf(key: KeyObject | Uint8Array): string {
  return encodeBase32(sha256(key instanceof Uint8Array ? key : spkiOf(key)).subarray(0, ID_BYTES))
}

function publicHalf(key: KeyObject): KeyObject {
  return key.type === 'private' ? createPublicKey(key) : key
}

function requireP256(key: KeyObject): KeyObject {
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === CURVE) return key
  throw new TrustError('malformed', `key of type ${key.asymmetricKeyType}, want P-256`)
}

function attempt<T>(what: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new TrustError('malformed', `not a ${what}`, { cause })
  }
}
