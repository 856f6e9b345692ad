import type { X509Certificate } from 'node:crypto'
import {
  type CertificateAuthority,
  caFromPem,
  joinBundle,
  parseCertificate,
  splitBundle,
  TrustError,
} from '@sallyport/trust'
import { type KubeObject, type Secret, secretText } from '../object.ts'

/** Longest chain of CAs that is followed. */
const MAX_CHAIN = 8

/** A CA that can issue, and the CA certificates that go with what it issues. */
export type IssuingCa = CertificateAuthority & { chainPem: string; endsAtMs: number }

/** A Secret that should hold a CA, or name one, and does not; a person has to mend it. */
export class UnusableAuthority extends Error {
  override name = 'UnusableAuthority'
  /** Which Secret it is, and nothing of what is in it: errors are logged. */
  readonly object: KubeObject

  constructor(
    { apiVersion, kind, metadata: { name, namespace, uid } }: Secret,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.object = { apiVersion, kind, metadata: { name, ...(namespace && { namespace }), ...(uid && { uid }) } }
  }
}

/**
 * PEM of the CAs that vouch for serving certificates: `tls.crt` and `ca.crt` of the CA's Secret. The one that Clients pin comes first: the
 * self-signed one that `tls.crt` leads to. Undefined while there is none.
 */
export function caBundleOf(secret: Secret | undefined): string | undefined {
  const chain = splitBundle(secretText(secret, 'tls.crt') ?? '')
  const all = [...chain, ...splitBundle(secretText(secret, 'ca.crt') ?? '')]
  const [first] = all
  if (first === undefined) return undefined
  try {
    const anchor = anchorOf(first, all)
    return anchor === undefined ? undefined : joinBundle([anchor, ...all])
  } catch (error) {
    if (error instanceof TrustError) return undefined
    throw error
  }
}

/** The CA of a Secret, ready to issue. Throws UnusableAuthority with what is wrong with it. */
export function issuingCaOf(secret: Secret, nowMs: number): IssuingCa {
  const { name } = secret.metadata
  const [certificatePem, ...above] = certificatesIn(secret, 'tls.crt')
  certificatesIn(secret, 'ca.crt')
  const keyPem = secretText(secret, 'tls.key')
  if (certificatePem === undefined || keyPem === undefined) {
    // Making another would cut off everyone who trusts it, so a person has to decide.
    throw new UnusableAuthority(
      secret,
      `Secret ${name} holds no certificate and key of a CA: restore it, or delete it to begin anew`,
    )
  }
  const certificate = parseCertificate(certificatePem)
  if (!certificate.ca) throw new UnusableAuthority(secret, `tls.crt of Secret ${name} is not the certificate of a CA`)
  if (nowMs >= certificate.validToDate.getTime()) {
    throw new UnusableAuthority(secret, `the CA of Secret ${name} has expired: replace it`)
  }
  if (caBundleOf(secret) === undefined) {
    throw new UnusableAuthority(secret, `ca.crt of Secret ${name} lacks the self-signed CA that has issued its tls.crt`)
  }
  const chain = [certificatePem, ...above].filter(pem => !isSelfSigned(parseCertificate(pem)))
  const ca = readable(secret, () => caFromPem({ certificatePem, keyPem }))
  return { ...ca, chainPem: joinBundle(chain), endsAtMs: certificate.validToDate.getTime() }
}

/** PEM of the certificates in an entry of a Secret. Throws UnusableAuthority where one of them is none. */
export function certificatesIn(secret: Secret, entry: 'tls.crt' | 'ca.crt'): string[] {
  const all = splitBundle(secretText(secret, entry) ?? '')
  for (const pem of all) readable(secret, () => parseCertificate(pem))
  return all
}

/** The certificates of a bundle that are still good. */
export function unexpired(bundle: string, nowMs: number): string {
  return joinBundle(splitBundle(bundle).filter(pem => nowMs < parseCertificate(pem).validToDate.getTime()))
}

/** The self-signed CA that a chain of issuers leads to. */
function anchorOf(pem: string, all: readonly string[]): string | undefined {
  let at = pem
  for (let length = 0; length < MAX_CHAIN; length++) {
    const certificate = parseCertificate(at)
    if (isSelfSigned(certificate)) return at
    const issuer = all.find(candidate => isIssuer(parseCertificate(candidate), certificate))
    if (issuer === undefined) return undefined
    at = issuer
  }
  return undefined
}

const isSelfSigned = (certificate: X509Certificate) => isIssuer(certificate, certificate)
const isIssuer = (issuer: X509Certificate, certificate: X509Certificate) =>
  certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)

function readable<T>(secret: Secret, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof TrustError)) throw error
    const message = `the CA of Secret ${secret.metadata.name} cannot be used: ${error.message}`
    throw new UnusableAuthority(secret, message, { cause: error })
  }
}
