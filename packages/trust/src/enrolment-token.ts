import { sha256, toBase64Url } from './bytes.ts'
import { type RandomBytes, randomSecret, systemRandom } from './random.ts'

const PREFIX = 'spe_'

/** Makes an enrolment token: 256 bit. Only its hash is stored. */
export function createEnrolmentToken(random: RandomBytes = systemRandom): { token: string; hash: string } {
  const token = `${PREFIX}${randomSecret(random)}`
  return { token, hash: secretHash(token) }
}

/** Hash under which a secret of 256 bit is stored and found: SHA-256, base64url. A guess of such a secret needs no slowing down. */
export function secretHash(secret: string): string {
  return toBase64Url(sha256(secret))
}
