import { type KeyObject, sign, type X509Certificate } from 'node:crypto'
import asn1 from 'node-forge/lib/asn1.js'
import { sha256 } from './bytes.ts'

// Certificates by RFC 5280. node-forge knows no EC keys, so only its ASN.1 is used; node:crypto signs.

type Asn1 = ReturnType<typeof asn1.create>
/** One extension of a certificate. */
export type Extension = { oid: string; critical: boolean; value: Asn1 }

/** Everything that a certificate says. */
export type CertificateContent = {
  issuer: Asn1
  subject: Asn1
  spki: Uint8Array
  extensions: Extension[]
  validity: { from: Date; to: Date }
  serial: Uint8Array
  issuerKey: KeyObject
}

const { Class, Type } = asn1
const OID = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  rsaWithSha256: '1.2.840.113549.1.1.11',
  commonName: '2.5.4.3',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  subjectAltName: '2.5.29.17',
  subjectKeyIdentifier: '2.5.29.14',
  authorityKeyIdentifier: '2.5.29.35',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
}
/** RFC 5280, section 4.2.1.6: GeneralName. */
const GENERAL_NAME = { dns: 2, uri: 6, ip: 7 }
/** RFC 5280, section 4.1.2.5: dates from 2050 on are GeneralizedTime. */
const FIRST_GENERALIZED_YEAR = 2050

/** Signs a certificate with SHA-256 and the issuer's ECDSA key, or RSA key (RFC 4055); returns it as PEM. */
export function signCertificate(content: CertificateContent): string {
  const isRsa = content.issuerKey.asymmetricKeyType === 'rsa'
  const algorithm = isRsa
    ? sequence(oid(OID.rsaWithSha256), universal(Type.NULL, ''))
    : sequence(oid(OID.ecdsaWithSha256))
  const tbs = sequence(
    tagged(0, integer(Uint8Array.of(2))),
    integer(content.serial),
    algorithm,
    content.issuer,
    sequence(time(content.validity.from), time(content.validity.to)),
    content.subject,
    fromDer(content.spki),
    tagged(3, sequence(...content.extensions.map(extensionOf))),
  )
  const signature = sign('sha256', toDer(tbs), content.issuerKey)
  const der = toDer(sequence(tbs, algorithm, bitString(signature)))
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

/** The name of a subject: a new one of one common name, or that of a CA, byte for byte. */
export function nameOf(source: string | X509Certificate): Asn1 {
  if (typeof source === 'string') {
    const attribute = sequence(oid(OID.commonName), universal(Type.UTF8, text(Buffer.from(source))))
    return sequence(asn1.create(Class.UNIVERSAL, Type.SET, true, [attribute]))
  }
  const [tbs] = fromDer(source.raw).value as Asn1[]
  // Version, serial, algorithm, issuer, validity, subject.
  return (tbs!.value as Asn1[])[5]!
}

/** Subject key identifier of a certificate (RFC 5280, section 4.2.1.2); undefined when it has none. */
export function subjectKeyIdOf(source: X509Certificate): Uint8Array | undefined {
  const [tbs] = fromDer(source.raw).value as Asn1[]
  const wrapped = (tbs!.value as Asn1[]).find(({ tagClass, type }) => tagClass === Class.CONTEXT_SPECIFIC && type === 3)
  const [list] = (wrapped?.value ?? []) as Asn1[]
  const wanted = asn1.oidToDer(OID.subjectKeyIdentifier).getBytes()
  const found = ((list?.value ?? []) as Asn1[])
    .map(({ value }) => value as Asn1[])
    .find(([name]) => name?.value === wanted)
  const octets = found?.at(-1)?.value
  return typeof octets === 'string'
    ? Buffer.from(fromDer(Buffer.from(octets, 'latin1')).value as string, 'latin1')
    : undefined
}

/** The extensions that certificates here have. */
export const extensions = {
  ca: (): Extension => extension(OID.basicConstraints, true, sequence(boolean(true), integer(Uint8Array.of(0)))),
  leaf: (): Extension => extension(OID.basicConstraints, true, sequence()),
  // Bits, from the highest: digitalSignature (0), keyCertSign (5), cRLSign (6).
  caUsage: (): Extension => extension(OID.keyUsage, true, bitString(Uint8Array.of(0b0000_0110), 1)),
  leafUsage: (): Extension => extension(OID.keyUsage, true, bitString(Uint8Array.of(0b1000_0000), 7)),
  usedBy: (side: 'server' | 'client'): Extension =>
    extension(OID.extendedKeyUsage, false, sequence(oid(side === 'server' ? OID.serverAuth : OID.clientAuth))),
  subjectKey: (spki: Uint8Array): Extension =>
    extension(OID.subjectKeyIdentifier, false, universal(Type.OCTETSTRING, text(keyIdOf(spki)))),
  /** `keyId`: as the issuer's certificate has it, which need not be made as ours are. */
  authorityKey: (spki: Uint8Array, keyId = keyIdOf(spki)): Extension =>
    extension(OID.authorityKeyIdentifier, false, sequence(primitive(0, keyId))),
  uri: (uri: string): Extension =>
    extension(OID.subjectAltName, false, sequence(primitive(GENERAL_NAME.uri, Buffer.from(uri)))),
  hosts: (dnsNames: string[], ipAddresses: string[]): Extension =>
    extension(
      OID.subjectAltName,
      false,
      sequence(
        ...dnsNames.map(name => primitive(GENERAL_NAME.dns, Buffer.from(name))),
        ...ipAddresses.map(address => primitive(GENERAL_NAME.ip, addressBytes(address))),
      ),
    ),
}

/** Bytes of an IPv4 or IPv6 address. Throws TypeError for anything else. */
function addressBytes(address: string): Uint8Array {
  const octets = address.split('.').map(Number)
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(address) && octets.every(octet => octet < 256)) return Uint8Array.from(octets)
  // The URL parser writes an IPv6 address in lower case and hexadecimal, with at most one `::`.
  const host = /^[0-9a-f:.]*:[0-9a-f:.]*$/i.test(address) ? URL.parse(`http://[${address}]`)?.hostname : undefined
  if (host === undefined) throw new TypeError(`${address} is not an IP address`)
  const [head = '', tail] = host.slice(1, -1).split('::')
  const groups = (part: string) => (part === '' ? [] : part.split(':').map(group => Number.parseInt(group, 16)))
  const last = tail === undefined ? [] : groups(tail)
  const middle = new Array<number>(8 - groups(head).length - last.length).fill(0)
  return Uint8Array.from([...groups(head), ...middle, ...last].flatMap(group => [group >> 8, group & 255]))
}

/** RFC 7093, method 1: leftmost 20 bytes of the SHA-256 of the key. */
function keyIdOf(spki: Uint8Array): Uint8Array {
  return sha256(spki).subarray(0, 20)
}

function extension(name: string, critical: boolean, value: Asn1): Extension {
  return { oid: name, critical, value }
}

function extensionOf({ oid: name, critical, value }: Extension): Asn1 {
  const wrapped = universal(Type.OCTETSTRING, text(toDer(value)))
  return critical ? sequence(oid(name), boolean(true), wrapped) : sequence(oid(name), wrapped)
}

function time(date: Date): Asn1 {
  return date.getUTCFullYear() < FIRST_GENERALIZED_YEAR
    ? universal(Type.UTCTIME, asn1.dateToUtcTime(date) as string)
    : universal(Type.GENERALIZEDTIME, asn1.dateToGeneralizedTime(date) as string)
}

function sequence(...items: Asn1[]): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, items)
}

function tagged(tag: number, item: Asn1): Asn1 {
  return asn1.create(Class.CONTEXT_SPECIFIC, tag, true, [item])
}

function primitive(tag: number, bytes: Uint8Array): Asn1 {
  return asn1.create(Class.CONTEXT_SPECIFIC, tag, false, text(bytes))
}

function universal(type: number, value: string): Asn1 {
  return asn1.create(Class.UNIVERSAL, type, false, value)
}

function oid(name: string): Asn1 {
  return universal(Type.OID, asn1.oidToDer(name).getBytes())
}

function boolean(value: boolean): Asn1 {
  return universal(Type.BOOLEAN, value ? '\xff' : '\0')
}

function integer(bytes: Uint8Array): Asn1 {
  return universal(Type.INTEGER, text(bytes))
}

function bitString(bytes: Uint8Array, unusedBits = 0): Asn1 {
  return universal(Type.BITSTRING, String.fromCharCode(unusedBits) + text(bytes))
}

/** node-forge takes bytes as a string of one character each. */
function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}

function fromDer(der: Uint8Array): Asn1 {
  return asn1.fromDer(text(der))
}

function toDer(item: Asn1): Buffer {
  return Buffer.from(asn1.toDer(item).getBytes(), 'latin1')
}
