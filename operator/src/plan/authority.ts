import { parseIp } from '@sallyport/policy'
import { joinBundle, parseCertificate, renewalTimeMs } from '@sallyport/trust'
import { FIELD_MANAGER, MANAGED_BY_LABEL, type Secret, secretData, secretText } from '../object.ts'
import { caBundleOf, issuingCaOf, unexpired } from './ca.ts'
import { checkCertificate } from './certificate.ts'
import { differs } from './difference.ts'
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
  const login = planLogin(world.login, { name: settings.names.login, url, ca }, settings)
  if (settings.certificates === 'external') return joinPlans(store, planTrust(world, settings, nowMs), login)
  return joinPlans(store, planCa(world, settings, nowMs), planControllerTls(world, url, settings, nowMs), login)
}

/** PEM of the CAs that vouch for serving certificates; undefined before there is one. */
export function installationCaOf(ca: Secret | undefined, { controllerCa = '' }: Settings): string | undefined {
  const bundle = caBundleOf(ca)
  return bundle === undefined ? undefined : joinBundle([bundle, controllerCa])
}

/** A CA of the operator's own is renewed; one that someone else has put there is only used. */
function planCa({ ca }: AuthorityWorld, settings: Settings, nowMs: number): Plan {
  if (ca === undefined && settings.certificates === 'provided') return { steps: [] }
  const secret = ownSecret(settings.names.ca, settings)
  const isOwn = ca?.metadata.labels?.[MANAGED_BY_LABEL] === FIELD_MANAGER
  const certificate = secretText(ca, 'tls.crt')
  if (ca === undefined || (isOwn && certificate === undefined)) {
    return { steps: [{ do: 'makeCa', secret, previous: ca }] }
  }
  const { certificatePem } = issuingCaOf(ca, isOwn ? Number.NEGATIVE_INFINITY : nowMs)
  if (!isOwn) return { steps: [] }
  const renewAtMs = renewalTimeMs(parseCertificate(certificatePem))
  return nowMs < renewAtMs ? { steps: [], wakeAtMs: renewAtMs } : { steps: [{ do: 'makeCa', secret, previous: ca }] }
}

/** The CAs of certificates that others issue: that of the Controller's, and those before it until they expire. */
function planTrust({ ca, controllerTls }: AuthorityWorld, settings: Settings, nowMs: number): Plan {
  if (controllerTls === undefined) return { steps: [] }
  const given = joinBundle([secretText(controllerTls, 'ca.crt') ?? ''])
  if (given === '') {
    const { name } = controllerTls.metadata
    throw new Error(`Secret ${name} has no ca.crt: external certificates must come from a CA of your own`)
  }
  const bundle = unexpired(joinBundle([given, secretText(ca, 'ca.crt') ?? '']), nowMs)
  const object: Secret = { ...ownSecret(settings.names.ca, settings), data: secretData({ 'ca.crt': bundle }) }
  return { steps: differs(object, ca) || secretText(ca, 'tls.key') !== undefined ? [{ do: 'apply', object }] : [] }
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
  const isTold = joinBundle([secretText(controllerTls, 'ca.crt') ?? '']) === caBundleOf(ca)
  if (certificate !== undefined && isTold) return { steps: [], wakeAtMs: certificate.renewAtMs }
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
