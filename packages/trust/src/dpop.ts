import type { KeyObject } from 'node:crypto'
import { DpopClaims, parser, TokenType } from '@sallyport/schema'
import { sha256, toBase64Url } from './bytes.ts'
import { TrustError } from './error.ts'
import { type ClockCheck, signWithJwk, verifyWithJwk } from './jws.ts'
import { type KeyPair, publicJwk, thumbprintOf } from './key.ts'
import { type RandomBytes, randomId, systemRandom } from './random.ts'

/** Age up to which a DPoP proof counts; its `jti` must be remembered for this long and the leeway. */
export const DPOP_LIFE_SECONDS = 60

const claims = parser(DpopClaims)

/** The request that a proof is for. `accessToken` where the request carries one. */
export type DpopRequest = { method: string; url: string; accessToken?: string }

/** Makes a DPoP proof (RFC 9449) for one request. */
export function createDpopProof(
  keys: KeyPair,
  { method, url, accessToken }: DpopRequest,
  nowMs: number,
  random: RandomBytes = systemRandom,
): string {
  const target = targetOf(url)
  if (target === undefined) throw new TypeError('not an absolute URL')
  const proof = { jti: randomId(random), htm: method.toUpperCase(), htu: target, iat: Math.floor(nowMs / 1000) }
  const bound = accessToken === undefined ? proof : { ...proof, ath: tokenHash(accessToken) }
  return signWithJwk(TokenType.dpop, bound, keys.privateKey, publicJwk(keys.publicKey))
}

/** Verifies a DPoP proof for `request` and returns the key that it proves. The caller refuses a `jti` seen before. Throws TrustError. */
export function verifyDpopProof(
  proof: string,
  check: ClockCheck & DpopRequest,
): { key: KeyObject; jkt: string; jti: string } {
  const { nowMs, leewaySeconds } = check
  const clock = leewaySeconds === undefined ? { nowMs } : { nowMs, leewaySeconds }
  const verified = verifyWithJwk(proof, { ...clock, type: TokenType.dpop, maxLifeSeconds: DPOP_LIFE_SECONDS, claims })
  const { htm, htu, ath, jti } = verified.claims
  const target = targetOf(check.url)
  if (htm !== check.method.toUpperCase() || target === undefined || targetOf(htu) !== target) {
    throw new TrustError('wrong_request', 'DPoP proof for another method or URL')
  }
  if (ath !== (check.accessToken === undefined ? undefined : tokenHash(check.accessToken))) {
    throw new TrustError('wrong_request', 'DPoP proof for another access token')
  }
  return { key: verified.key, jkt: thumbprintOf(verified.key), jti }
}

/** RFC 9449, section 4.3, item 9: compared without query and fragment, after normalisation. */
function targetOf(url: string): string | undefined {
  const parsed = URL.parse(url)
  return parsed === null ? undefined : `${parsed.origin}${parsed.pathname}`
}

function tokenHash(token: string): string {
  return toBase64Url(sha256(token))
}
