import { identityOf, parseCertificate, splitBundle, TrustError } from '@sallyport/trust'
import type { Identity } from './state/identity.ts'

/** Why a certificate that the Controller has sent cannot be this Connector's; undefined when it can. */
export function certificateProblem(
  pem: string,
  { connectorId, keys }: Identity,
  { tenant, tenantCa }: { tenant: string; tenantCa: string },
): string | undefined {
  try {
    const certificate = parseCertificate(pem)
    const named = identityOf(certificate)
    if (named.role !== 'connector' || named.id !== connectorId || named.tenant !== tenant) {
      return 'the certificate names someone else'
    }
    if (!certificate.checkPrivateKey(keys.privateKey)) return 'the certificate is for another key'
    const issued = splitBundle(tenantCa)
      .map(parseCertificate)
      .some(ca => certificate.checkIssued(ca) && certificate.verify(ca.publicKey))
    return issued ? undefined : 'the certificate does not come from the CA of the tenant'
  } catch (error) {
    if (error instanceof TrustError) return error.message
    throw error
  }
}
