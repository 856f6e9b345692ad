import { parseIp } from '@sallyport/policy'
import { joinBundle, parseCertificate, renewalTimeMs, TrustError } from '@sallyport/trust'
import { type Secret, secretText } from '../object.ts'
import { checkCertificate } from './certificate.ts'
import { childLabels } from './label.ts'
import { planLogin } from './login.ts'
import { type PublicUrlWorld, publicUrlOf } from './public-url.ts'
import { joinPlans, type Plan, type ServingNames, type Settings } from './step.ts'

export type AuthorityWorld = {
  ca: Secret | undefined
  controllerTls: Secret | undefined
  storeKey: Secret | undefined
} & PublicUrlWorld

/** Plans the installation CA, the Controller's serving certificate, its store key, and how people log in. */
export function planAuthority(world: AuthorityWorld, settings: Settings, nowMs: number): Plan {
  const store: Plan = {
    steps:
      world.storeKey === undefined
        ? [{ do: 'makeStoreKey', secret: ownSecret(settings.names.storeKey, settings) }]
        : [],
  }
  const url = publicUrlOf(world, settings)
  const ca = settings.controllerCa ?? installationCaOf(world.ca, settings)
  return joinPlans(
    store,
    planCa(world, settings, nowMs),
    planControllerTls(world, url, settings, nowMs),
    planLogin(world.login, { name: settings.names.login, url, ca }, settings),
  )
}

/** PEM of the CAs that vouch for serving certificates; undefined before there is one. */
export function installationCaOf(ca: Secret | undefined, { controllerCa = '' }: Settings): string | undefined {
  const bundle = secretText(ca, 'ca.crt')
  return bundle === undefined ? undefined : joinBundle([bundle, controllerCa])
}

function planCa({ ca }: AuthorityWorld, settings: Settings, nowMs: number): Plan {
  const secret = ownSecret(settings.names.ca, settings)
  const certificate = secretText(ca, 'tls.crt')
  if (certificate === undefined) return { steps: [{ do: 'makeCa', secret, previous: undefined }] }
  const renewAtMs = renewalOf(certificate, settings.names.ca)
  if (nowMs >= renewAtMs) return { steps: [{ do: 'makeCa', secret, previous: ca }] }
  return { steps: [], wakeAtMs: renewAtMs }
}

function renewalOf(certificatePem: string, name: string): number {
  try {
    return renewalTimeMs(parseCertificate(certificatePem))
  } catch (error) {
    if (error instanceof TrustError) {
      // Making another would cut off everyone who trusts it, so a person has to decide.
      throw new Error(`Secret ${name} holds no certificate: restore it, or delete it to begin anew`, {
        cause: error,
      })
    }
    throw error
  }
}

function planControllerTls(
  { ca, controllerTls }: AuthorityWorld,
  publicUrl: string,
  settings: Settings,
  nowMs: number,
): Plan {
  const installationCa = installationCaOf(ca, settings)
  if (installationCa === undefined) return { steps: [] }
  const names = controllerNames(settings, publicUrl)
  const [certificatePem, keyPem] = [secretText(controllerTls, 'tls.crt'), secretText(controllerTls, 'tls.key')]
  const certificate = checkCertificate(certificatePem, keyPem, { names, installationCa, nowMs })
  if (certificate !== undefined) return { steps: [], wakeAtMs: certificate.renewAtMs }
  const secret = ownSecret(settings.names.controllerTls, settings)
  return { steps: [{ do: 'makeControllerCertificate', secret, names }] }
}

/** Names and addresses under which the Controller is reached. */
export function controllerNames({ controllerUrl, controllerNames }: Settings, publicUrl: string): ServingNames {
  const hosts = [controllerUrl, publicUrl].map(url => new URL(url).hostname.replace(/^\[|\]$/g, ''))
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
