import type { X509Certificate } from 'node:crypto'
import { isIssuedBy, keyPairFromPem, parseCertificate, pinOf, renewalTimeMs, TrustError } from '@sallyport/trust'
import type { ServingNames } from './step.ts'

/** What a serving certificate must be; `renewed`: it is also not due for renewal. */
export type CertificateCheck = { names: ServingNames; installationCa: string; nowMs: number; renewed?: boolean }
export type ServingPair = { certificatePem: string; keyPem: string }

/** The certificate, if it is sound: of the CA, for these names (and no others, if it is ours to renew), with its key, not due for renewal. */
export function checkCertificate(
  certificatePem: string | undefined,
  keyPem: string | undefined,
  { names, installationCa, nowMs, renewed = true }: CertificateCheck,
): { pair: ServingPair; renewAtMs: number } | undefined {
  if (certificatePem === undefined || keyPem === undefined) return undefined
  try {
    const certificate = parseCertificate(certificatePem)
    const renewAtMs = renewalTimeMs(certificate)
    const fits =
      (nowMs < renewAtMs || !renewed) &&
      isIssuedBy(certificate, installationCa, nowMs) &&
      pinOf(keyPairFromPem(keyPem).publicKey) === pinOf(certificate.publicKey) &&
      hasNames(certificate, names, renewed)
    return fits ? { pair: { certificatePem, keyPem }, renewAtMs } : undefined
  } catch (error) {
    // What cannot be read is made again.
    if (error instanceof TrustError) return undefined
    throw error
  }
}

function hasNames(
  { subjectAltName = '' }: X509Certificate,
  { dnsNames, ipAddresses }: ServingNames,
  exactly: boolean,
): boolean {
  const wanted = [...dnsNames.map(name => `DNS:${name}`), ...ipAddresses.map(address => `IP Address:${address}`)]
  const there = subjectAltName.split(', ')
  return (wanted.length === there.length || !exactly) && wanted.every(name => there.some(one => sameName(one, name)))
}

/** OpenSSL writes IPv6 addresses in capitals and without `::`. */
function sameName(a: string, b: string): boolean {
  return a === b || expanded(a) === expanded(b)
}

function expanded(name: string): string {
  if (!name.startsWith('IP Address:') || !name.slice(11).includes(':')) return name
  const [head = '', tail] = name.slice(11).toLowerCase().split('::')
  const groups = (text: string | undefined) => (text === undefined || text === '' ? [] : text.split(':'))
  const missing = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length
  const all = [...groups(head), ...new Array<string>(missing).fill('0'), ...groups(tail)]
  return `IP Address:${all.map(group => group.replace(/^0+(?=.)/, '')).join(':')}`
}
