import { systemClock } from '@sallyport/runtime'
import {
  type CertificateAuthority,
  createCa,
  generateKeyPair,
  issueIdentityCertificate,
  issueServingCertificate,
  type KeyPair,
  privateKeyToPem,
} from '@sallyport/trust'
import { TENANT } from './world.ts'

export const life = () => ({ nowMs: systemClock.now(), lifeSeconds: 3600 })
export const installationCa: CertificateAuthority = createCa({ commonName: 'test installation' }, life())
export const tenantCa: CertificateAuthority = createCa({ commonName: 'test tenant' }, life())

/** A serving certificate of the installation CA. */
export function serving(name: string, ca = installationCa) {
  const { publicKey, privateKey } = generateKeyPair()
  const cert = issueServingCertificate(ca, { publicKey, dnsNames: [name], ipAddresses: ['127.0.0.1'] }, life())
  return { cert, key: privateKeyToPem(privateKey) }
}

/** Certificate and key of a device or Connector, PEM. */
export function identity({ publicKey, privateKey }: KeyPair, role: 'connector' | 'device', ca = tenantCa) {
  return {
    certificatePem: issueIdentityCertificate(ca, { publicKey, tenant: TENANT, role }, life()),
    privateKeyPem: privateKeyToPem(privateKey),
  }
}
