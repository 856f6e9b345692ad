import { durationSeconds } from '@sallyport/policy'
import type { NetworkBody } from '@sallyport/schema'

/** Lives of what is issued, in seconds; each is renewed long before. */
const CONNECTOR_ACL_SECONDS = 86_400
const PASS_SECONDS = 3600

/** Life of a network's Client ACLs. */
export function aclLifeSeconds(network: NetworkBody | undefined, defaultSeconds: number): number {
  const lifetime = network?.spec.acl?.lifetime
  return lifetime === undefined ? defaultSeconds : durationSeconds(lifetime)
}

/** Lives of certificates, as configured. */
export type CertificateLives = { connectorSeconds: number; deviceSeconds: number }

/** Lives of a tenant whose longest Client ACL lives `longestAclSeconds`: what an ACL needs outlives it twice. */
export function livesFor(longestAclSeconds: number, { connectorSeconds, deviceSeconds }: CertificateLives) {
  const atLeast = (seconds: number) => Math.max(seconds, 2 * longestAclSeconds)
  return {
    connectorAcl: atLeast(CONNECTOR_ACL_SECONDS),
    pass: atLeast(PASS_SECONDS),
    connectorCertificate: atLeast(connectorSeconds),
    deviceCertificate: atLeast(deviceSeconds),
  }
}
