import type { KeyObject } from 'node:crypto'
import { Jwks, type PublicJwk, parser } from '@sallyport/schema'
import { TrustError } from './error.ts'
import { generateKeyPair, keyPairFromPem, publicJwk, publicKeyFromJwk, thumbprintOf } from './key.ts'
import type { Rotation } from './rotation.ts'
import { trusted } from './rotation.ts'

/** What a signing key may sign: (1) Client ACLs and connection tokens, (2) Connector ACLs and trust, (3) relay passes, (4) access tokens. */
export const KEY_PURPOSES = ['clientAcl', 'connectorAcl', 'relayPass', 'accessToken'] as const
export type KeyPurpose = (typeof KEY_PURPOSES)[number]

/** A tenant's ES256 key for one purpose. `kid` is its RFC 7638 thumbprint. */
export type SigningKey<P extends KeyPurpose = KeyPurpose> = {
  purpose: P
  kid: string
  privateKey: KeyObject
  publicKey: KeyObject
}

/** Public keys by key id, imported once. */
export type VerifyKeys = ReadonlyMap<string, KeyObject>

const jwksParser = parser(Jwks)

/** Makes a signing key, or takes one up again from its PEM (PKCS#8). Throws TrustError `malformed`. */
export function signingKey<P extends KeyPurpose>(purpose: P, pem?: string): SigningKey<P> {
  const pair = pem === undefined ? generateKeyPair() : keyPairFromPem(pem)
  return { purpose, kid: thumbprintOf(pair.publicKey), ...pair }
}

/** JWKS of all keys of a rotation, the announced one among them, so that verifiers know it before its first use. */
export function jwksOf(keys: Rotation<SigningKey>): Jwks {
  return { keys: trusted(keys).map(signingJwk) }
}

/** Imports a JWKS for verification. Keys without `kid` get their thumbprint. Throws TrustError `malformed`. */
export function verifyKeys(...sets: unknown[]): VerifyKeys {
  const keys = new Map<string, KeyObject>()
  for (const set of sets) {
    if (!jwksParser.check(set)) throw new TrustError('malformed', 'not a set of P-256 public keys')
    for (const jwk of set.keys) keys.set(jwk.kid ?? thumbprintOf(jwk), publicKeyFromJwk(jwk))
  }
  return keys
}

function signingJwk({ kid, publicKey }: SigningKey): PublicJwk {
  return { ...publicJwk(publicKey), kid, alg: 'ES256', use: 'sig' }
}
