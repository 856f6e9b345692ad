import { generateKeyPairSync } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK } from 'jose'
import { describe, expect, it } from 'vitest'
import { equalSecrets, fromBase64Url, toBase64Url } from './bytes.ts'
import { createEnrolmentToken, secretHash } from './enrolment-token.ts'
import { fixedKeys } from './fixture.ts'
import {
  connectorIdOf,
  deviceIdOf,
  generateKeyPair,
  keyPairFromPem,
  pinOf,
  privateKeyToPem,
  publicJwk,
  publicKeyFromJwk,
  publicKeyFromSpki,
  spkiOf,
  thumbprintOf,
} from './key.ts'
import { ReplayGuard } from './replay.ts'
import { announce, firstOf, promote, prune, trusted } from './rotation.ts'
import { jwksOf, signingKey, verifyKeys } from './signing-key.ts'

const malformed = expect.objectContaining({ name: 'TrustError', code: 'malformed' })

describe('a key', () => {
  it('has the id, pin and thumbprint that its bytes say', () => {
    const { publicKey } = fixedKeys
    expect(Buffer.from(spkiOf(publicKey)).toString('hex')).toBe(
      '3059301306072a8648ce3d020106082a8648ce3d030107034200' +
        '0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6' +
        '7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299',
    )
    expect(pinOf(publicKey)).toBe('Wnp4zKSg9CDZvGK7Zpw8J1njn3I9OuENy-DwgVoH7NQ')
    expect(connectorIdOf(publicKey)).toBe('lj5hrtfeud2cbwn4mk5wnhb4e5m6hh3s')
    expect(deviceIdOf(publicKey)).toBe(connectorIdOf(publicKey))
    expect(thumbprintOf(publicKey)).toBe('DOvxvJiAdIqVWIkFt5hDtCunXLF0BV4-JGv4f-ALSm0')
  })
  it('has the thumbprint of RFC 7638, as jose has it', async () => {
    const { publicKey } = generateKeyPair()
    expect(thumbprintOf(publicKey)).toBe(await calculateJwkThumbprint(await exportJWK(publicKey)))
  })
  it('survives each of its forms', () => {
    const keys = generateKeyPair()
    const id = connectorIdOf(keys.publicKey)
    expect(id).toMatch(/^[a-z2-7]{32}$/)
    const pem = privateKeyToPem(keys.privateKey)
    expect(pem).toContain('BEGIN PRIVATE KEY')
    expect(connectorIdOf(keyPairFromPem(pem).publicKey)).toBe(id)
    expect(connectorIdOf(keys.privateKey)).toBe(id)
    expect(connectorIdOf(publicKeyFromJwk(publicJwk(keys.publicKey)))).toBe(id)
    expect(connectorIdOf(publicKeyFromSpki(spkiOf(keys.publicKey)))).toBe(id)
    expect(connectorIdOf(spkiOf(keys.publicKey))).toBe(id)
  })
  it('never puts its private half into a JWK', () => {
    expect(Object.keys(publicJwk(generateKeyPair().privateKey)).sort()).toEqual(['crv', 'kty', 'x', 'y'])
  })
  it.each<[string, () => unknown]>([
    ['a PEM that is none', () => keyPairFromPem('secret')],
    ['a key of another curve', () => keyPairFromPem(pemOf('P-384'))],
    [
      'an RSA key',
      () =>
        keyPairFromPem(
          generateKeyPairSync('rsa', { modulusLength: 2048 })
            .privateKey.export({ type: 'pkcs8', format: 'pem' })
            .toString(),
        ),
    ],
    ['a JWK that is none', () => publicKeyFromJwk(null)],
    ['a JWK of another curve', () => publicKeyFromJwk({ ...publicJwk(fixedKeys.publicKey), crv: 'P-384' })],
    [
      'a point that is not on the curve',
      () => publicKeyFromJwk({ ...publicJwk(fixedKeys.publicKey), x: 'A'.repeat(43) }),
    ],
    ['SubjectPublicKeyInfo that is none', () => publicKeyFromSpki(new Uint8Array(91))],
  ])('is not read from %s', (_, read) => {
    expect(read).toThrow(malformed)
  })
})

describe('a set of keys', () => {
  it('is published with the key that comes next, and imported by key id', () => {
    const [first, second] = [signingKey('clientAcl'), signingKey('clientAcl')]
    const jwks = jwksOf(announce(firstOf(first), second))
    expect(jwks.keys.map(({ kid }) => kid)).toEqual([first.kid, second.kid])
    expect(JSON.stringify(jwks)).not.toContain('"d"')
    expect([...verifyKeys(jwks, { keys: [] }).keys()]).toEqual([first.kid, second.kid])
  })
  it('is taken up again from PEM', () => {
    const key = signingKey('relayPass')
    expect(signingKey('relayPass', privateKeyToPem(key.privateKey)).kid).toBe(key.kid)
  })
  it.each([undefined, {}, { keys: [{}] }, { keys: [{ kty: 'oct', k: 'AAAA' }] }])('is not read from %j', set => {
    expect(() => verifyKeys(set)).toThrow(malformed)
  })
})

describe('rotation', () => {
  it('trusts the next before its use and the last after it, until its time', () => {
    const announced = announce(firstOf('a'), 'b')
    expect(trusted(announced)).toEqual(['a', 'b'])
    const promoted = promote(announced, 100)
    expect(promoted.current).toBe('b')
    expect(trusted(promoted)).toEqual(['b', 'a'])
    expect(trusted(prune(promoted, 99))).toEqual(['b', 'a'])
    expect(trusted(prune(promoted, 100))).toEqual(['b'])
  })
  it('uses nothing that was not announced', () => {
    expect(promote(firstOf('a'), 100)).toEqual(firstOf('a'))
  })
})

describe('a secret', () => {
  it('is compared whole', () => {
    expect(equalSecrets('abc', 'abc')).toBe(true)
    expect(equalSecrets('abc', Buffer.from('abc'))).toBe(true)
    expect(equalSecrets('abc', 'abd')).toBe(false)
    expect(equalSecrets('abc', 'abcd')).toBe(false)
    expect(equalSecrets('', '')).toBe(true)
  })
  it('of enrolment is 256 bit and stored as a hash', () => {
    const { token, hash } = createEnrolmentToken(length => new Uint8Array(length).fill(7))
    expect(token).toBe('spe_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc')
    expect(hash).toBe(secretHash(token))
    expect(hash).not.toContain(token.slice(4))
    expect(createEnrolmentToken().token).not.toBe(createEnrolmentToken().token)
  })
  it('in base64url has one spelling', () => {
    expect(fromBase64Url(toBase64Url(Uint8Array.of(255, 254)))).toEqual(Uint8Array.of(255, 254))
    for (const text of ['__5', '__4=', '//4', 'a', '_ _4']) expect(fromBase64Url(text)).toBeUndefined()
  })
})

describe('a replay guard', () => {
  it('takes an id once, until it is void', () => {
    const guard = new ReplayGuard(10)
    expect(guard.first('a', 100, 0)).toBe(true)
    expect(guard.first('a', 100, 99)).toBe(false)
    expect(guard.first('b', 100, 99)).toBe(true)
    expect(guard.first('a', 200, 100)).toBe(true)
  })
  it('takes nothing new when it is full, and forgets what is void', () => {
    const guard = new ReplayGuard(2)
    expect([guard.first('a', 100, 0), guard.first('b', 200, 0), guard.first('c', 300, 0)]).toEqual([true, true, false])
    expect(guard.first('a', 100, 0)).toBe(false)
    expect(guard.first('c', 300, 100)).toBe(true)
  })
})

function pemOf(namedCurve: string): string {
  return generateKeyPairSync('ec', { namedCurve }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}
