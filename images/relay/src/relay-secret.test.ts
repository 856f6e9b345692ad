import { systemClock } from '@sallyport/runtime'
import {
  createRelayKey,
  generateKeyPair,
  issueServingCertificate,
  privateKeyToPem,
  publicJwk,
  relayKeyToText,
} from '@sallyport/trust'
import { describe, expect, it } from 'vitest'
import { readRelaySecret, type SecretFiles } from './relay-secret.ts'
import { installationCa, passKey } from './test/lab.ts'

const keys = generateKeyPair()
const certificate = issueServingCertificate(
  installationCa,
  { publicKey: keys.publicKey, dnsNames: ['r0.example'] },
  { nowMs: systemClock.now(), lifeSeconds: 3600 },
)
const relayKey = createRelayKey()
const content = {
  name: 'r0.example',
  keys: [relayKeyToText(relayKey)],
  passJwks: { keys: [{ ...publicJwk(passKey.publicKey), kid: passKey.kid }] },
}
const good = {
  'relay.json': JSON.stringify(content),
  'tls.crt': certificate,
  'tls.key': privateKeyToPem(keys.privateKey),
}

describe("a Relay's Secret", () => {
  it('gives name, keys and certificate; members that are not known are passed over', () => {
    const read = readRelaySecret({ ...good, 'relay.json': JSON.stringify({ ...content, later: 1 }) })
    if (!read.ok) throw new Error(JSON.stringify(read.problems))
    expect(read.identity).toMatchObject({
      name: 'r0.example',
      certificatePem: certificate,
      keys: [{ id: relayKey.id }],
    })
    expect([...read.identity.passKeys.keys()]).toEqual([passKey.kid])
  })

  it.each<[string, Partial<SecretFiles>, string[]]>([
    [
      'all files missing',
      { 'relay.json': undefined, 'tls.crt': undefined, 'tls.key': undefined },
      ['relay.json is missing', 'tls.crt is missing', 'tls.key is missing'],
    ],
    ['text that is no JSON', { 'relay.json': '{' }, ['relay.json must be object']],
    [
      'a name that is none',
      change({ name: 'a b' }),
      ['relay.json name must match pattern "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"'],
    ],
    [
      'a key that is too short',
      change({ keys: [{ id: 'k', key: 'AAAA' }] }),
      ['relay.json keys.0.key must not have fewer than 43 characters'],
    ],
    [
      'a key that is no base64url',
      change({ keys: [{ id: 'k', key: '!'.repeat(43) }] }),
      ['relay.json relay key k is not 32 bytes of base64url'],
    ],
    ['text that is no certificate', { 'tls.crt': 'hello' }, ['tls.crt not a certificate']],
    ['text that is no key', { 'tls.key': 'hello' }, ['tls.key is no private key that TLS takes']],
    [
      'the key of another certificate',
      { 'tls.key': privateKeyToPem(generateKeyPair().privateKey) },
      ['tls.key does not fit tls.crt'],
    ],
    [
      'two things wrong at once',
      { 'relay.json': 'x', 'tls.crt': 'y' },
      ['relay.json must be object', 'tls.crt not a certificate'],
    ],
  ])('with %s is refused, all problems together', (_name, files, wanted) => {
    const read = readRelaySecret({ ...good, ...files })
    expect(read.ok ? [] : read.problems.map(({ field, message }) => `${field} ${message}`)).toEqual(wanted)
  })
})

function change(members: object): Partial<SecretFiles> {
  return { 'relay.json': JSON.stringify({ ...content, ...members }) }
}
