import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { TrustError } from './error.ts'
import { generateKeyPair as p256, publicJwk } from './key.ts'
import { verifyServiceAccountToken } from './service-account.ts'

const NOW = Date.UTC(2026, 5, 1)
const SECOND = NOW / 1000
const rsa = await generateKeyPair('RS256')
const other = await generateKeyPair('RS256')
const jwks = { keys: [{ ...(await exportJWK(rsa.publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' }] }
const issuer = 'https://kubernetes.default.svc.cluster.local'
const subject = 'system:serviceaccount:sallyport:operator'
const audience = 'sallyport-controller/default'
const claims = { iss: issuer, sub: subject, aud: [audience], iat: SECOND, nbf: SECOND, exp: SECOND + 600 }

async function token(
  change: Record<string, unknown> = {},
  key = rsa.privateKey,
  header = { alg: 'RS256', kid: 'k1' },
): Promise<string> {
  const whole = Object.fromEntries(Object.entries({ ...claims, ...change }).filter(([, value]) => value !== undefined))
  return new SignJWT(whole).setProtectedHeader(header).sign(key)
}
async function codeOf(text: string, nowMs = NOW, set: unknown = jwks): Promise<string> {
  try {
    await verifyServiceAccountToken(text, { jwks: set, issuer, subject, audience, nowMs })
  } catch (error) {
    if (error instanceof TrustError) return error.code
    throw error
  }
  return 'accepted'
}

describe('a ServiceAccount token', () => {
  it('is accepted with issuer, subject and audience exactly', async () => {
    expect(await codeOf(await token())).toBe('accepted')
    expect(await codeOf(await token({ aud: audience, 'kubernetes.io': { namespace: 'sallyport' } }))).toBe('accepted')
  })
  it.each<[string, Record<string, unknown>, string]>([
    ['of another issuer', { iss: 'https://evil.example' }, 'wrong_issuer'],
    ['of the right audience and another subject', { sub: 'system:serviceaccount:evil:operator' }, 'wrong_subject'],
    ['of a subject that begins alike', { sub: `${subject}2` }, 'wrong_subject'],
    ['of another audience', { aud: ['https://kubernetes.default.svc'] }, 'wrong_audience'],
    ['of several audiences', { aud: [audience, 'vault'] }, 'wrong_audience'],
    ['of no audience', { aud: [] }, 'wrong_audience'],
    ['without audience', { aud: undefined }, 'bad_claims'],
    ['without subject', { sub: undefined }, 'bad_claims'],
    ['without issuer', { iss: undefined }, 'bad_claims'],
    ['without end', { exp: undefined }, 'bad_claims'],
    ['of the future', { nbf: SECOND + 31 }, 'clock_skew'],
  ])('is refused %s', async (_, change, code) => {
    expect(await codeOf(await token(change))).toBe(code)
  })
  it('is good until its end and the leeway', async () => {
    expect(await codeOf(await token(), NOW + 629_999)).toBe('accepted')
    expect(await codeOf(await token(), NOW + 630_000)).toBe('expired')
  })
  it('is refused when someone else has signed it', async () => {
    expect(await codeOf(await token({}, other.privateKey))).toBe('bad_signature')
    expect(await codeOf(await token({}, other.privateKey, { alg: 'RS256', kid: 'k2' }))).toBe('unknown_key')
    expect(await codeOf(await token(), NOW, { keys: [] })).toBe('unknown_key')
  })
  it('is refused when nobody has signed it, or with a shared secret', async () => {
    const none = new UnsecuredJWT(claims).encode()
    expect(await codeOf(none)).toMatch(/^(wrong_algorithm|malformed)$/)
    const secret = new TextEncoder().encode(JSON.stringify(jwks))
    const shared = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'k1' }).sign(secret)
    expect(await codeOf(shared)).toBe('wrong_algorithm')
  })
  it('may be signed with ES256, as the file provider does', async () => {
    const keys = p256()
    const set = { keys: [{ ...publicJwk(keys.publicKey), kid: 'file' }] }
    const text = await new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'file' }).sign(keys.privateKey)
    expect(await codeOf(text, NOW, set)).toBe('accepted')
  })
  it.each(['', 'a.b.c', 'x'.repeat(20_000), '....'])('is not read from other text (%#)', async text => {
    expect(await codeOf(text)).toBe('malformed')
  })
  it.each([false, null, 7, {}, { keys: 7 }, { keys: [{ kty: 'RSA', kid: 'k1' }] }])(
    'is not verified with a set of keys that is none (%#)',
    async set => {
      expect(await codeOf(await token(), NOW, set)).not.toBe('accepted')
    },
  )
})
