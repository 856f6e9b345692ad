import { X509Certificate } from 'node:crypto'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { describe, expect, it } from 'vitest'
import {
  caFromPem,
  caKeyToPem,
  createCa,
  identityOf,
  isIssuedBy,
  issueIdentityCertificate,
  issueServingCertificate,
  joinBundle,
  parseCertificate,
  renewalTimeMs,
  splitBundle,
} from './certificate.ts'
import { fixedKeys } from './fixture.ts'
import { connectorIdOf, generateKeyPair, privateKeyToPem, spkiOf } from './key.ts'

const NOW = Date.UTC(2026, 5, 1)
const DAY = { nowMs: NOW, lifeSeconds: 86_400 }
const YEARS = { nowMs: NOW, lifeSeconds: 10 * 365 * 86_400 }
const ca = createCa({ commonName: 'Sallyport tenant default' }, YEARS)
const keys = generateKeyPair()
const issue = (role: 'connector' | 'device', authority = ca, tenant = 'default') =>
  issueIdentityCertificate(authority, { publicKey: keys.publicKey, tenant, role }, DAY)
const GOLDEN =
  'MIIBnKADAgECAhBBAQEBAQEBAQEBAQEBAQEBMAoGCCqGSM49BAMCMBExDzANBgNVBAMMBmdvbGRlbjAeFw0yNjA1MzEyMzAwMDBa' +
  'Fw0yNjA2MDIwMDAwMDBaMCsxKTAnBgNVBAMMIGxqNWhydGZldWQyY2J3bjRtazV3bmhiNGU1bTZoaDNzMFkwEwYHKoZIzj0CAQYI' +
  'KoZIzj0DAQcDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Z5A/4QCLi8maQa6elWKLxk8vGyDC1+n1F3o8KU1EYi' +
  'maOBuzCBuDAMBgNVHRMBAf8EAjAAMA4GA1UdDwEB/wQEAwIHgDAdBgNVHQ4EFgQUWnp4zKSg9CDZvGK7Zpw8J1njn3IwHwYDVR0j' +
  'BBgwFoAUWnp4zKSg9CDZvGK7Zpw8J1njn3IwQwYDVR0RBDwwOoY4c2FsbHlwb3J0Oi8vdC9jb25uZWN0b3IvbGo1aHJ0ZmV1ZDJj' +
  'YnduNG1rNXduaGI0ZTVtNmhoM3MwEwYDVR0lBAwwCgYIKwYBBQUHAwE='
const malformed = expect.objectContaining({ name: 'TrustError', code: 'malformed' })

describe('a CA', () => {
  const certificate = parseCertificate(ca.certificatePem)
  it('is a CA, signed by itself, that may not make further CAs', () => {
    expect(certificate.ca).toBe(true)
    expect(certificate.subject).toBe('CN=Sallyport tenant default')
    expect(certificate.verify(certificate.publicKey)).toBe(true)
    expect(certificate.raw.toString('hex')).toContain('30060101ff020100') // basicConstraints: CA, pathlen 0
  })
  it('is taken up again from PEM', () => {
    const again = caFromPem({ certificatePem: ca.certificatePem, keyPem: caKeyToPem(ca) })
    expect(isIssuedBy(parseCertificate(issue('device', again)), ca.certificatePem, NOW)).toBe(true)
  })
  it('is not taken up with another key', () => {
    const keyPem = privateKeyToPem(generateKeyPair().privateKey)
    expect(() => caFromPem({ certificatePem: ca.certificatePem, keyPem })).toThrow(malformed)
    expect(() => caFromPem({ certificatePem: ca.certificatePem, keyPem: 'none' })).toThrow(malformed)
    expect(() => caFromPem({ certificatePem: 'none', keyPem })).toThrow(malformed)
  })
  it('keeps its key in a new certificate', () => {
    const renewed = createCa(
      { commonName: 'Sallyport tenant default', keys: { privateKey: ca.privateKey, publicKey: certificate.publicKey } },
      YEARS,
    )
    expect(isIssuedBy(parseCertificate(issue('device')), renewed.certificatePem, NOW)).toBe(true)
    expect(renewed.certificatePem).not.toBe(ca.certificatePem)
  })
  it('is replaced with overlap', () => {
    const next = createCa({ commonName: 'Sallyport tenant default' }, YEARS)
    const bundle = joinBundle([ca.certificatePem, next.certificatePem, ca.certificatePem])
    expect(splitBundle(bundle)).toHaveLength(2)
    for (const authority of [ca, next]) {
      expect(isIssuedBy(parseCertificate(issue('device', authority)), bundle, NOW)).toBe(true)
    }
    expect(isIssuedBy(parseCertificate(issue('device', next)), ca.certificatePem, NOW)).toBe(false)
  })
})

describe('a certificate of a key', () => {
  it.each(['connector', 'device'] as const)('names a %s, and nothing else', role => {
    const certificate = parseCertificate(issue(role))
    const id = connectorIdOf(keys.publicKey)
    expect(identityOf(certificate)).toEqual({ tenant: 'default', role, id })
    expect(certificate.subjectAltName).toBe(`URI:sallyport://default/${role}/${id}`)
    expect(certificate.subject).toBe(`CN=${id}`)
    expect(certificate.keyUsage).toEqual([role === 'connector' ? '1.3.6.1.5.5.7.3.1' : '1.3.6.1.5.5.7.3.2'])
    expect(certificate.ca).toBe(false)
    expect(Buffer.from(spkiOf(certificate.publicKey))).toEqual(Buffer.from(spkiOf(keys.publicKey)))
  })
  it('is valid from an hour before its issue to its end, exclusive', () => {
    const certificate = parseCertificate(issue('device'))
    const valid = (atMs: number) => isIssuedBy(certificate, ca.certificatePem, atMs)
    expect(certificate.validFromDate.getTime()).toBe(NOW - 3_600_000)
    expect([valid(NOW - 3_600_001), valid(NOW - 3_600_000)]).toEqual([false, true])
    expect([valid(NOW + 86_399_999), valid(NOW + 86_400_000)]).toEqual([true, false])
  })
  it('is renewed at half of its life', () => {
    expect(renewalTimeMs(parseCertificate(issue('device')))).toBe(NOW + 43_200_000)
  })
  it('has a serial of its own', () => {
    expect(parseCertificate(issue('device')).serialNumber).not.toBe(parseCertificate(issue('device')).serialNumber)
  })
  it('writes times from 2050 on as RFC 5280 wants', () => {
    const life = { nowMs: Date.UTC(2049, 11, 31, 12), lifeSeconds: 86_400 }
    const certificate = parseCertificate(
      issueIdentityCertificate(ca, { publicKey: keys.publicKey, tenant: 'a', role: 'device' }, life),
    )
    expect(certificate.validToDate.getTime()).toBe(Date.UTC(2050, 0, 1, 12))
    expect(certificate.raw.toString('latin1')).toContain('20500101120000Z')
  })
  it('has golden bytes up to its signature', () => {
    const fixed = (length: number) => new Uint8Array(length).fill(1)
    const root = createCa({ commonName: 'golden', keys: fixedKeys }, YEARS, fixed)
    const pem = issueIdentityCertificate(
      root,
      { publicKey: fixedKeys.publicKey, tenant: 't', role: 'connector' },
      DAY,
      fixed,
    )
    const { raw } = new X509Certificate(pem)
    // After the head of the whole stands the part to be signed; what follows, ECDSA makes differ each time.
    const length = raw.readUInt16BE(6) + 4
    expect(raw.subarray(4, 4 + length).toString('base64')).toBe(GOLDEN)
  })
  it.each<[string, () => string]>([
    [
      'a serving certificate',
      () => issueServingCertificate(ca, { publicKey: keys.publicKey, dnsNames: ['a.example'] }, DAY),
    ],
    ['a CA', () => ca.certificatePem],
    ['a tenant that is no name', () => issue('device', ca, 'a/device/b')],
    ['two names', () => issue('device', ca, `a/device/${connectorIdOf(keys.publicKey)}, URI:sallyport://b`)],
  ])('is not %s', (_, make) => {
    const certificate = parseCertificate(make())
    expect(() => identityOf(certificate)).toThrow(expect.objectContaining({ code: 'wrong_certificate' }))
  })
  it('must name its own key', () => {
    const other = {
      raw: new Uint8Array(),
      subjectAltName: parseCertificate(issue('device')).subjectAltName,
      publicKey: fixedKeys.publicKey,
    }
    expect(() => identityOf(other as unknown as X509Certificate)).toThrow('names another key than its own')
  })
  it.each(['', 'none', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', 'x'.repeat(65_537)])(
    'is not read from other text (%#)',
    text => {
      expect(() => parseCertificate(text)).toThrow(malformed)
    },
  )
})

describe('a serving certificate', () => {
  it('carries the names and addresses of its server', () => {
    const publicKey = keys.publicKey
    const pem = issueServingCertificate(
      ca,
      { publicKey, dnsNames: ['r0.example', 'localhost'], ipAddresses: ['127.0.0.1', '2001:db8::7', '::1'] },
      DAY,
    )
    const certificate = parseCertificate(pem)
    expect(certificate.checkHost('r0.example')).toBe('r0.example')
    expect(certificate.checkHost('x.r0.example')).toBeUndefined()
    for (const address of ['127.0.0.1', '2001:db8::7', '::1']) expect(certificate.checkIP(address)).toBe(address)
    expect(certificate.checkIP('127.0.0.2')).toBeUndefined()
  })
  it('needs a name, and addresses that are addresses', () => {
    const of = (ipAddresses: string[]) =>
      issueServingCertificate(ca, { publicKey: keys.publicKey, dnsNames: [], ipAddresses }, DAY)
    for (const wrong of [[], ['nowhere'], ['1.2.3.256'], ['1:2'], ['::1/0']]) expect(() => of(wrong)).toThrow(TypeError)
  })
  it('is accepted by TLS under its CA, in its name, and under no other', async () => {
    const nowMs = Date.now()
    const life = { nowMs, lifeSeconds: 3_600 }
    const authority = createCa({ commonName: 'live' }, life)
    const next = createCa({ commonName: 'live' }, life)
    const cert = issueServingCertificate(authority, { publicKey: keys.publicKey, dnsNames: ['r0.example'] }, life)
    const server = createServer({ cert, key: privateKeyToPem(keys.privateKey) })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const dial = (trust: string, servername: string) =>
      new Promise<string>(resolve => {
        const socket: TLSSocket = connect({ port, host: '127.0.0.1', ca: splitBundle(trust), servername }, () => {
          resolve(`accepted ${socket.getProtocol()}`)
          socket.destroy()
        })
        socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
      })
    try {
      expect(await dial(authority.certificatePem, 'r0.example')).toBe('accepted TLSv1.3')
      expect(await dial(joinBundle([next.certificatePem, authority.certificatePem]), 'r0.example')).toBe(
        'accepted TLSv1.3',
      )
      expect(await dial(authority.certificatePem, 'r1.example')).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
      expect(await dial(next.certificatePem, 'r0.example')).toMatch(
        /UNABLE_TO_VERIFY|SELF_SIGNED|UNABLE_TO_GET_ISSUER|SIGNATURE/,
      )
    } finally {
      server.close()
    }
  })
})
