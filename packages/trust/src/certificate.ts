import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import type { ConnectorId, DeviceId } from '@sallyport/schema'
import { type Extension, extensions, nameOf, signCertificate, subjectKeyIdOf } from './asn1.ts'
import { TrustError } from './error.ts'
import { connectorIdOf, generateKeyPair, type KeyPair, privateKeyToPem, spkiOf } from './key.ts'
import type { Life } from './life.ts'
import { type RandomBytes, systemRandom } from './random.ts'

/** Certificates are valid from this long before their issue, for clocks that are slow. */
export const BACKDATE_SECONDS = 3600

/** A certificate authority. */
export type CertificateAuthority = { certificatePem: string; privateKey: KeyObject }

/** Whom a certificate of the tenant CA speaks of. */
export type Role = 'connector' | 'device'
export type CertificateIdentity =
  | { tenant: string; role: 'connector'; id: ConnectorId }
  | { tenant: string; role: 'device'; id: DeviceId }

const URI = /^URI:sallyport:\/\/([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)\/(connector|device)\/([a-z2-7]{32})$/
/** Keys of CAs that others have made. */
const ISSUING_KEYS = ['ec', 'rsa']
const MAX_PEM_CHARACTERS = 65_536
const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g

/** Makes a CA with a key of its own, or a new certificate for `keys`. */
export function createCa(
  { commonName, keys = generateKeyPair() }: { commonName: string; keys?: KeyPair },
  life: Life,
  random: RandomBytes = systemRandom,
): CertificateAuthority {
  const spki = spkiOf(keys.publicKey)
  const name = nameOf(commonName)
  const wanted = [extensions.ca(), extensions.caUsage(), extensions.subjectKey(spki), extensions.authorityKey(spki)]
  const certificatePem = signCertificate({
    issuer: name,
    subject: name,
    spki,
    extensions: wanted,
    validity: validityOf(life),
    issuerKey: keys.privateKey,
    serial: serialOf(random),
  })
  return { certificatePem, privateKey: keys.privateKey }
}

/** Takes up a CA again from its certificate and key (PEM). Throws TrustError `malformed`. */
export function caFromPem({
  certificatePem,
  keyPem,
}: {
  certificatePem: string
  keyPem: string
}): CertificateAuthority {
  const certificate = parseCertificate(certificatePem)
  const privateKey = attempt(() => createPrivateKey(keyPem), 'not a private key')
  if (!ISSUING_KEYS.includes(privateKey.asymmetricKeyType ?? ''))
    throw new TrustError('malformed', `CA key of type ${privateKey.asymmetricKeyType}, want EC or RSA`)
  if (!certificate.checkPrivateKey(privateKey)) throw new TrustError('malformed', 'CA key does not fit its certificate')
  return { certificatePem, privateKey }
}

/** Writes the key of a CA as PEM. */
export function caKeyToPem({ privateKey }: CertificateAuthority): string {
  return privateKeyToPem(privateKey)
}

/** Issues a serving certificate of the installation CA, for Controller or Relay. */
export function issueServingCertificate(
  ca: CertificateAuthority,
  { publicKey, dnsNames, ipAddresses = [] }: { publicKey: KeyObject; dnsNames: string[]; ipAddresses?: string[] },
  life: Life,
  random: RandomBytes = systemRandom,
): string {
  const commonName = dnsNames[0] ?? ipAddresses[0]
  if (commonName === undefined) throw new TypeError('a serving certificate needs a name or an address')
  const names = extensions.hosts(dnsNames, ipAddresses)
  return issue(ca, publicKey, commonName.slice(0, 64), [names, extensions.usedBy('server')], life, random)
}

/** Issues the certificate of a Connector or device key: exactly one URI SAN, the id taken from the key itself. */
export function issueIdentityCertificate(
  ca: CertificateAuthority,
  { publicKey, tenant, role }: { publicKey: KeyObject; tenant: string; role: Role },
  life: Life,
  random: RandomBytes = systemRandom,
): string {
  const id = connectorIdOf(publicKey)
  const name = extensions.uri(`sallyport://${tenant}/${role}/${id}`)
  const usage = extensions.usedBy(role === 'connector' ? 'server' : 'client')
  return issue(ca, publicKey, id, [name, usage], life, random)
}

/** Reads whom a verified peer certificate speaks of; the id must be that of its own key. Throws TrustError `wrong_certificate`. */
export function identityOf(certificate: X509Certificate): CertificateIdentity {
  const [, tenant, role, id] = URI.exec(certificate.subjectAltName ?? '') ?? []
  if (tenant === undefined || id === undefined) {
    throw new TrustError('wrong_certificate', 'certificate without exactly one name of a Connector or device')
  }
  if (id !== connectorIdOf(certificate.publicKey)) {
    throw new TrustError('wrong_certificate', 'certificate names another key than its own')
  }
  return role === 'connector' ? { tenant, role, id: id as ConnectorId } : { tenant, role: 'device', id: id as DeviceId }
}

/** Reads one certificate (PEM). Throws TrustError `malformed`. */
export function parseCertificate(pem: string): X509Certificate {
  if (pem.length > MAX_PEM_CHARACTERS) throw new TrustError('malformed', `PEM of ${pem.length} characters`)
  return attempt(() => new X509Certificate(pem), 'not a certificate')
}

/** Certificates of a PEM bundle, one PEM text each; a CA that is being replaced stands beside its successor. */
export function splitBundle(bundle: string): string[] {
  return [...bundle.matchAll(PEM_BLOCK)].map(([block]) => `${block}\n`)
}

/** Puts CA certificates into one PEM bundle, each once. */
export function joinBundle(certificates: readonly string[]): string {
  return [...new Set(certificates.flatMap(splitBundle))].join('')
}

/** Whether a CA of the bundle has issued `certificate`, valid at `nowMs`. */
export function isIssuedBy(certificate: X509Certificate, bundle: string, nowMs: number): boolean {
  if (nowMs < certificate.validFromDate.getTime() || nowMs >= certificate.validToDate.getTime()) return false
  return splitBundle(bundle)
    .map(parseCertificate)
    .some(ca => ca.ca && certificate.checkIssued(ca) && certificate.verify(ca.publicKey))
}

/** Half of a certificate's life, from its issue on: the time at which it is renewed. */
export function renewalTimeMs(certificate: X509Certificate): number {
  const issuedMs = certificate.validFromDate.getTime() + BACKDATE_SECONDS * 1000
  return (issuedMs + certificate.validToDate.getTime()) / 2
}

function issue(
  ca: CertificateAuthority,
  publicKey: KeyObject,
  commonName: string,
  own: Extension[],
  life: Life,
  random: RandomBytes,
): string {
  const authority = parseCertificate(ca.certificatePem)
  const spki = spkiOf(publicKey)
  const common = [
    extensions.leaf(),
    extensions.leafUsage(),
    extensions.subjectKey(spki),
    extensions.authorityKey(spkiOf(authority.publicKey), subjectKeyIdOf(authority)),
  ]
  return signCertificate({
    issuer: nameOf(authority),
    subject: nameOf(commonName),
    spki,
    extensions: [...common, ...own],
    validity: validityOf(life),
    issuerKey: ca.privateKey,
    serial: serialOf(random),
  })
}

function validityOf({ nowMs, lifeSeconds }: Life): { from: Date; to: Date } {
  return { from: new Date(nowMs - BACKDATE_SECONDS * 1000), to: new Date(nowMs + lifeSeconds * 1000) }
}

/** RFC 5280, section 4.1.2.2: positive, at most 20 bytes. */
function serialOf(random: RandomBytes): Uint8Array {
  const serial = Uint8Array.from(random(16))
  serial[0] = (serial[0]! & 0x3f) | 0x40
  return serial
}

function attempt<T>(read: () => T, message: string): T {
  try {
    return read()
  } catch (cause) {
    throw new TrustError('malformed', message, { cause })
  }
}
