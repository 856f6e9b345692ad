import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, createServer } from 'node:tls'
import {
  createCa,
  generateKeyPair,
  issueServingCertificate,
  joinBundle,
  privateKeyToPem,
  splitBundle,
} from '@sallyport/trust'
import { afterAll, describe, expect, it } from 'vitest'
import { type Secret, secretData } from '../object.ts'
import { planAuthority } from './authority.ts'
import { caBundleOf, issuingCaOf } from './ca.ts'
import { settingsOf } from './settings.fixture.ts'

const NOW = Date.parse('2030-01-01T00:00:00Z')
const YEAR = 365 * 86_400
const root = createCa({ commonName: 'root' }, { nowMs: NOW, lifeSeconds: YEAR })
const other = createCa({ commonName: 'other' }, { nowMs: NOW, lifeSeconds: YEAR })
const secret = (entries: Record<string, string>): Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  type: 'kubernetes.io/tls',
  metadata: { name: 'sallyport-ca', namespace: 'sallyport' },
  data: secretData(entries),
})
const BROKEN = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
const given = { 'tls.crt': root.certificatePem, 'tls.key': privateKeyToPem(root.privateKey) }
const planOf = (ca: Secret, nowMs = NOW) =>
  planAuthority(
    { ca, controllerTls: undefined, storeKey: undefined, lost: {}, service: undefined, nodes: [], login: undefined },
    settingsOf(),
    nowMs,
  ).steps
const stepsOf = (ca: Secret, nowMs = NOW) => planOf(ca, nowMs).map(step => step.do)

describe('a CA that someone else has put into its Secret', () => {
  it('issues, and is never written: not even when it is due for renewal', () => {
    expect(stepsOf(secret(given))).toContain('makeControllerCertificate')
    expect(stepsOf(secret(given), NOW + YEAR * 900)).not.toContain('makeCa')
  })

  it('vouches alone where there is no ca.crt, and before those of ca.crt', () => {
    expect(caBundleOf(secret(given))).toBe(root.certificatePem)
    const both = caBundleOf(secret({ ...given, 'ca.crt': `${other.certificatePem}${root.certificatePem}` }))
    expect(splitBundle(both ?? '')).toEqual([root.certificatePem, other.certificatePem])
  })

  it('is waited for where it is to be provided, and made where it is not', () => {
    const stepsWith = (certificates: 'operator' | 'provided') =>
      planAuthority(
        {
          ca: undefined,
          controllerTls: undefined,
          storeKey: undefined,
          lost: {},
          service: undefined,
          nodes: [],
          login: undefined,
        },
        settingsOf({ certificates }),
        NOW,
      ).steps.map(step => step.do)
    expect(stepsWith('provided')).toEqual(['makeStoreKey'])
    expect(stepsWith('operator')).toEqual(['makeStoreKey', 'makeCa'])
  })

  it.each([
    ['has no key', { 'tls.crt': root.certificatePem }, /holds no certificate and key of a CA/],
    ['has the key of another', { ...given, 'tls.key': privateKeyToPem(other.privateKey) }, /does not fit/],
    ['has a key that is none', { ...given, 'tls.key': 'none' }, /cannot be used: not a private key/],
    ['holds no certificate', { ...given, 'tls.crt': 'none' }, /holds no certificate and key of a CA/],
    ['has something else among its certificates', { ...given, 'tls.crt': given['tls.crt'] + BROKEN }, /cannot be used/],
    ['has something else in ca.crt', { ...given, 'ca.crt': root.certificatePem + BROKEN }, /cannot be used/],
  ])('is refused in a sentence when it %s, told at the Secret, and nothing is made', (_, entries, message) => {
    const [told, , failed] = planOf(secret(entries))
    const { apiVersion, kind, metadata } = secret({})
    expect([told, failed]).toEqual([
      {
        do: 'tell',
        object: { apiVersion, kind, metadata },
        reason: 'AuthorityUnusable',
        message: expect.stringMatching(message),
      },
      { do: 'fail', error: expect.objectContaining({ message: expect.stringMatching(message) }) },
    ])
    // Errors are logged.
    expect(JSON.stringify(failed)).toContain('sallyport-ca')
    expect(JSON.stringify(failed)).not.toContain('tls.key')
  })

  it('is refused a second after its end, and not before', () => {
    expect(() => issuingCaOf(secret(given), NOW + YEAR * 1000 - 1)).not.toThrow()
    expect(() => issuingCaOf(secret(given), NOW + YEAR * 1000)).toThrow(/has expired/)
  })
})

describe('an intermediate CA of another maker, with an RSA key', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-ca-'))
  afterAll(() => rmSync(dir, { recursive: true, force: true }))
  const ca = makeWithOpenssl(dir)

  it('is trusted by its root, which Clients pin, and sends itself along with what it issues', () => {
    expect(splitBundle(caBundleOf(secret(ca)) ?? '')).toEqual([ca['ca.crt'], ca['tls.crt']])
    expect(issuingCaOf(secret(ca), Date.now()).chainPem).toBe(ca['tls.crt'])
  })

  it('is refused without its root', () => {
    const { 'ca.crt': _, ...rootless } = ca
    expect(() => issuingCaOf(secret(rootless), Date.now())).toThrow(/lacks the self-signed CA/)
  })

  it.each([
    ['believes what it has issued where its root is trusted', ca['ca.crt'], undefined],
    ['does not where another is', root.certificatePem, /self-signed certificate in certificate chain/],
  ])('a TLS peer %s', async (_, trusted, refusal) => {
    const issuing = issuingCaOf(secret(ca), Date.now())
    const { publicKey, privateKey } = generateKeyPair()
    const life = { nowMs: Date.now(), lifeSeconds: 600 }
    const certificate = issueServingCertificate(issuing, { publicKey, dnsNames: ['controller.test'] }, life)
    const cert = joinBundle([certificate, issuing.chainPem, ca['ca.crt']])
    const server = createServer({ cert, key: privateKeyToPem(privateKey) }, socket => socket.end())
    server.on('tlsClientError', () => undefined)
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    const socket = connect({ port, host: '127.0.0.1', servername: 'controller.test', ca: trusted })
    const secured = once(socket, 'secureConnect')
    await (refusal === undefined ? secured : expect(secured).rejects.toThrow(refusal))
    socket.destroy()
    await new Promise(resolve => server.close(resolve))
  })
})

function makeWithOpenssl(dir: string): Record<'tls.crt' | 'tls.key' | 'ca.crt', string> {
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })
  const key = ['-newkey', 'rsa:2048', '-nodes']
  openssl('req', '-x509', ...key, '-keyout', 'root.key', '-out', 'root.crt', '-subj', '/CN=Example root', '-days', '2')
  openssl('req', ...key, '-keyout', 'ca.key', '-out', 'ca.csr', '-subj', '/O=Example/CN=Example intermediate')
  writeFileSync(
    join(dir, 'ext'),
    'basicConstraints=critical,CA:true\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n',
  )
  const signed = ['-CA', 'root.crt', '-CAkey', 'root.key', '-CAcreateserial', '-days', '1', '-extfile', 'ext']
  openssl('x509', '-req', '-in', 'ca.csr', '-out', 'ca.crt', ...signed)
  const read = (name: string) => readFileSync(join(dir, name), 'utf8')
  return { 'tls.crt': read('ca.crt'), 'tls.key': read('ca.key'), 'ca.crt': read('root.crt') }
}
