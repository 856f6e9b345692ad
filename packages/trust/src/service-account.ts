import { parser, ServiceAccountClaims } from '@sallyport/schema'
import { JOSEError } from 'jose/errors'
import { createLocalJWKSet } from 'jose/jwks/local'
import { compactVerify } from 'jose/jws/compact/verify'
import { TrustError, type TrustErrorCode } from './error.ts'
import { type ClockCheck, judgeClaims } from './jws.ts'

/** Algorithms that API servers and CI systems sign with. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'ES256', 'ES384', 'ES512']
const MAX_CHARACTERS = 16 * 1024

const claims = parser(ServiceAccountClaims)

/** Who must have issued a ServiceAccount token, to whom and for whom; all three exactly. `jwks` is the issuer's key set (RFC 7517). */
export type ServiceAccountCheck = ClockCheck & { jwks: unknown; issuer: string; subject: string; audience: string }

/**
 * Verifies a ServiceAccount token (or another workload's OIDC token). It must be for `audience` alone: what is for several could be
 * passed on by one of them. Throws TrustError.
 */
export async function verifyServiceAccountToken(
  token: string,
  check: ServiceAccountCheck,
): Promise<ServiceAccountClaims> {
  const { issuer, subject, audience } = check
  const payload = await verifySignature(token, check.jwks)
  const { nowMs, leewaySeconds } = check
  const clock = leewaySeconds === undefined ? { nowMs } : { nowMs, leewaySeconds }
  const verified = judgeClaims(payload, { ...clock, type: 'ServiceAccount token', issuer, audience, claims })
  if (verified.sub !== subject) throw new TrustError('wrong_subject', 'token of another ServiceAccount')
  const audiences = [verified.aud].flat()
  if (audiences.length !== 1 || audiences[0] !== audience) {
    throw new TrustError('wrong_audience', 'ServiceAccount token for another audience')
  }
  return verified
}

async function verifySignature(token: string, jwks: unknown): Promise<Uint8Array> {
  if (typeof token !== 'string' || token.length > MAX_CHARACTERS) throw new TrustError('malformed', 'not a JWT')
  try {
    const keys = createLocalJWKSet(jwks as Parameters<typeof createLocalJWKSet>[0]) // It checks the form of its argument.
    return (await compactVerify(token, keys, { algorithms: ALGORITHMS })).payload
  } catch (cause) {
    // Any other failure comes from a key or signature that WebCrypto does not take.
    const code = cause instanceof JOSEError ? (codes[cause.code] ?? 'malformed') : 'malformed'
    throw new TrustError(code, 'ServiceAccount token is not signed by its issuer', { cause })
  }
}

const codes: Record<string, TrustErrorCode> = {
  ERR_JOSE_ALG_NOT_ALLOWED: 'wrong_algorithm',
  ERR_JOSE_NOT_SUPPORTED: 'wrong_algorithm',
  ERR_JWKS_NO_MATCHING_KEY: 'unknown_key',
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: 'unknown_key',
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'bad_signature',
}
