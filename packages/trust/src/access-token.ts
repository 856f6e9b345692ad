import {
  AccessTokenClaims,
  CONTROLLER_AUDIENCE,
  type DeviceId,
  parser,
  TokenType,
  tenantIssuer,
} from '@sallyport/schema'
import { TrustError } from './error.ts'
import { type ClockCheck, signWithKey, verifyWithKeys } from './jws.ts'
import { type Life, timesOf } from './life.ts'
import { type RandomBytes, randomId, systemRandom } from './random.ts'
import type { SigningKey, VerifyKeys } from './signing-key.ts'

const claims = parser(AccessTokenClaims)

/** What an access token says: one login of a user on one device. */
export type AccessTokenContent = { tenant: string; user: string; device: DeviceId; jkt: string; login: string }

/** Signs an access token that is of use only with proofs of the device key (RFC 9449). */
export function issueAccessToken(
  key: SigningKey<'accessToken'>,
  { tenant, user, device, jkt, login }: AccessTokenContent,
  life: Life,
  random: RandomBytes = systemRandom,
): string {
  const names = { iss: tenantIssuer(tenant), sub: user, aud: CONTROLLER_AUDIENCE, jti: randomId(random) }
  return signWithKey(TokenType.accessToken, { ...names, ...timesOf(life), cnf: { jkt }, device, login }, key)
}

/** Verifies an access token; `jkt` is the key that a DPoP proof beside it has proved. Throws TrustError. */
export function verifyAccessToken(
  token: string,
  check: ClockCheck & { keys: VerifyKeys; issuer: string; jkt: string },
): AccessTokenClaims {
  const access = verifyWithKeys(token, check.keys, {
    ...check,
    type: TokenType.accessToken,
    audience: CONTROLLER_AUDIENCE,
    claims,
  })
  if (access.cnf.jkt !== check.jkt) throw new TrustError('wrong_key', 'access token is bound to another key')
  return access
}
