import { type KeyObject, sign } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, writeFileAtomic } from '@sallyport/runtime'
import { generateKeyPair, keyPairFromPem, privateKeyToPem, publicJwk, thumbprintOf } from '@sallyport/trust'

const KEY_FILE = 'operator-key.pem'
/** Key set that the tenant's configuration names. */
export const JWKS_FILE = 'operator-jwks.json'
const LIFE_SECONDS = 600

/** Signs the operator's tokens with a key of this machine: the claims that an API server would sign. */
export class TokenSigner {
  readonly #key: KeyObject
  readonly #kid: string
  readonly #claims: { iss: string; sub: string; aud: string }
  readonly #clock: Clock

  private constructor(key: KeyObject, kid: string, claims: { iss: string; sub: string; aud: string }, clock: Clock) {
    this.#key = key
    this.#kid = kid
    this.#claims = claims
    this.#clock = clock
  }

  /** Takes up the key in `directory`, or makes it; its public half stands beside it. */
  static async open(
    directory: string,
    claims: { iss: string; sub: string; aud: string },
    clock: Clock,
  ): Promise<TokenSigner> {
    const path = join(directory, KEY_FILE)
    const keys = existsSync(path) ? keyPairFromPem(readFileSync(path, 'utf8')) : generateKeyPair()
    if (!existsSync(path)) await writeFileAtomic(path, privateKeyToPem(keys.privateKey))
    const jwk = publicJwk(keys.publicKey)
    const kid = thumbprintOf(jwk)
    const jwks = `${JSON.stringify({ keys: [{ ...jwk, kid, alg: 'ES256', use: 'sig' }] }, null, 2)}\n`
    const jwksPath = join(directory, JWKS_FILE)
    const isThere = existsSync(jwksPath) && readFileSync(jwksPath, 'utf8') === jwks
    if (!isThere) await writeFileAtomic(jwksPath, jwks, 0o644)
    return new TokenSigner(keys.privateKey, kid, claims, clock)
  }

  sign(): string {
    const iat = Math.floor(this.#clock.now() / 1000)
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const header = part({ alg: 'ES256', typ: 'JWT', kid: this.#kid })
    const text = `${header}.${part({ ...this.#claims, iat, exp: iat + LIFE_SECONDS })}`
    const signature = sign('sha256', Buffer.from(text), { key: this.#key, dsaEncoding: 'ieee-p1363' })
    return `${text}.${signature.toString('base64url')}`
  }
}
