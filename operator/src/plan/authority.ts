import { parseIp } from '@sallyport/policy'
import { joinBundle, parseCertificate, renewalTimeMs, TrustError } from '@sallyport/trust'
import { type Secret, secretText } from '../object.ts'
import { checkCertificate } from './certificate.ts'
import { childLabels } from './label.ts'
import { joinPlans, type Plan, type ServingNames, type Settings } from './step.ts'

/** Secrets in the operator's own namespace. */
export const CA_SECRET = 'sallyport-ca'
export const CONTROLLER_TLS_SECRET = 'sallyport-controller-tls'
export const STORE_KEY_SECRET = 'sallyport-store-key'

export type AuthorityWorld = {
  ca: Secret | undefined
  controllerTls: Secret | undefined
  storeKey: Secret | undefined
}

/** Plans the installation CA, the Controller's serving certificate and its store key. */
export function planAuthority(world: AuthorityWorld, settings: Settings, nowMs: number): Plan {
  const store: Plan = {
    steps: world.storeKey === undefined ? [{ do: 'makeStoreKey', secret: ownSecret(STORE_KEY_SECRET, settings) }] : [],
  }
  return joinPlans(store, planCa(world, settings, nowMs), planControllerTls(world, settings, nowMs))
}

/** PEM of the CAs that vouch for serving certificates; undefined before there is one. */
export function installationCaOf(ca: Secret | undefined): string | undefined {
  const bundle = secretText(ca, 'ca.crt')
  return bundle === undefined ? undefined : joinBundle([bundle])
}

function planCa({ ca }: AuthorityWorld, settings: Settings, nowMs: number): Plan {
  const secret = ownSecret(CA_SECRET, settings)
  const certificate = secretText(ca, 'tls.crt')
  if (certificate === undefined) return { steps: [{ do: 'makeCa', secret, previous: undefined }] }
  const renewAtMs = renewalOf(certificate)
  if (nowMs >= renewAtMs) return { steps: [{ do: 'makeCa', secret, previous: ca }] }
  return { steps: [], wakeAtMs: renewAtMs }
}

function renewalOf(certificatePem: string): number {
  try {
    return renewalTimeMs(parseCertificate(certificatePem))
  } catch (error) {
    if (error instanceof TrustError) {
      // Making another would cut off everyone who trusts it, so a person has to decide.
      throw new Error(`Secret ${CA_SECRET} holds no certificate: restore it, or delete it to begin anew`, {
        cause: error,
      })
    }
    throw error
  }
}

function planControllerTls({ ca, controllerTls }: AuthorityWorld, settings: Settings, nowMs: number): Plan {
  const installationCa = installationCaOf(ca)
  if (installationCa === undefined) return { steps: [] }
  const names = controllerNames(settings)
  const [certificatePem, keyPem] = [secretText(controllerTls, 'tls.crt'), secretText(controllerTls, 'tls.key')]
  const certificate = checkCertificate(certificatePem, keyPem, { names, installationCa, nowMs })
  if (certificate !== undefined) return { steps: [], wakeAtMs: certificate.renewAtMs }
  return { steps: [{ do: 'makeControllerCertificate', secret: ownSecret(CONTROLLER_TLS_SECRET, settings), names }] }
}

/** Names and addresses under which the Controller is reached. */
export function controllerNames({ controllerUrl, controllerPublicUrl, controllerNames }: Settings): ServingNames {
  const hosts = [controllerUrl, controllerPublicUrl].map(url => new URL(url).hostname.replace(/^\[|\]$/g, ''))
  const all = [...new Set([...hosts, ...controllerNames])]
  return {
    dnsNames: all.filter(name => parseIp(name) === undefined),
    ipAddresses: all.filter(name => parseIp(name) !== undefined),
  }
}

function ownSecret(name: string, { namespace }: Settings): Secret {
  const labels = childLabels('controller', namespace)
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace, labels }, type: 'Opaque' }
}
