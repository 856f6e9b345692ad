import { parseIp } from '@sallyport/policy'
import { joinBundle, parseCertificate, renewalTimeMs } from '@sallyport/trust'
import { FIELD_MANAGER, MANAGED_BY_LABEL, type Secret, secretData, secretText } from '../object.ts'
import { caBundleOf, certificatesIn, issuingCaOf, UnusableAuthority, unexpired } from './ca.ts'
import { checkCertificate } from './certificate.ts'
import { differs } from './difference.ts'
import { childLabels } from './label.ts'
import { planLogin } from './login.ts'
import { type PublicUrlWorld, publicUrlOf } from './public-url.ts'
import { joinPlans, type Plan, type ServingNames, type Settings, type Step } from './step.ts'

export type AuthorityWorld = {
  ca: Secret | undefined
  controllerTls: Secret | undefined
  storeKey: Secret | undefined
  /** CA and store key as they were when someone deleted them, since the operator has begun to look. */
  lost: { ca?: Secret | undefined; storeKey?: Secret | undefined }
} & PublicUrlWorld

/** Plans the installation CA, the Controller's serving certificate, its store key, and how people log in. */
export function planAuthority(world: AuthorityWorld, settings: Settings, nowMs: number): Plan {
  const store = planStoreKey(world, settings)
  try {
    return joinPlans(store, planTls(world, settings, nowMs))
  } catch (error) {
    if (!(error instanceof UnusableAuthority)) throw error
    const told: Step = { do: 'tell', object: error.object, reason: 'AuthorityUnusable', message: error.message }
    return joinPlans({ steps: [told] }, store, { steps: [{ do: 'fail', error }] })
  }
}

/** Throws UnusableAuthority: nothing is planned on top of it. */
function planTls(world: AuthorityWorld, settings: Settings, nowMs: number): Plan {
  const url = publicUrlOf(world, settings)
  const ca = settings.controllerCa ?? installationCaOf(world.ca, settings)
  const login = planLogin(world.login, { name: settings.names.login, url, ca }, settings)
  if (settings.certificates === 'external') return joinPlans(planTrust(world, settings, nowMs), login)
  return joinPlans(planCa(world, settings, nowMs), planControllerTls(world, url, settings, nowMs), login)
}

/** PEM of the CAs that vouch for serving certificates; undefined before there is one. */
export function installationCaOf(ca: Secret | undefined, { controllerCa = '' }: Settings): string | undefined {
  const bundle = caBundleOf(ca)
  return bundle === undefined ? undefined : joinBundle([bundle, controllerCa])
}

/** Without its key a database is lost, so that one is made only where nothing can have been written with another: before people were told how to log in. */
function planStoreKey({ storeKey, lost, login }: AuthorityWorld, settings: Settings): Plan {
  if (storeKey !== undefined) return { steps: [] }
  if (lost.storeKey !== undefined) return { steps: [{ do: 'restore', secret: lost.storeKey }] }
  const { storeKey: name } = settings.names
  if (login === undefined) return { steps: [{ do: 'makeStoreKey', secret: ownSecret(name, settings) }] }
  const message = `Secret ${name} is gone, and with another key the database cannot be read: restore it from a backup, or from the Controller's pod while that runs; to begin anew, delete the database and this ConfigMap`
  return { steps: [{ do: 'tell', object: login, reason: 'StoreKeyMissing', message }] }
}

/** A CA of the operator's own is renewed, and restored where someone deletes it; one that someone else has put there is only used. */
function planCa({ ca, lost }: AuthorityWorld, settings: Settings, nowMs: number): Plan {
  if (ca === undefined && settings.certificates === 'provided') return { steps: [] }
  if (ca === undefined && lost.ca !== undefined && isOwnCa(lost.ca) && canIssue(lost.ca, nowMs)) {
    return { steps: [{ do: 'restore', secret: lost.ca }] }
  }
  const secret = ownSecret(settings.names.ca, settings)
  const isOwn = ca !== undefined && isOwnCa(ca)
  const certificate = secretText(ca, 'tls.crt')
  if (ca === undefined || (isOwn && certificate === undefined)) {
    return { steps: [{ do: 'makeCa', secret, previous: ca }] }
  }
  const { certificatePem } = issuingCaOf(ca, isOwn ? Number.NEGATIVE_INFINITY : nowMs)
  if (!isOwn) return { steps: [] }
  const renewAtMs = renewalTimeMs(parseCertificate(certificatePem))
  return nowMs < renewAtMs ? { steps: [], wakeAtMs: renewAtMs } : { steps: [{ do: 'makeCa', secret, previous: ca }] }
}

const isOwnCa = ({ metadata }: Secret) => metadata.labels?.[MANAGED_BY_LABEL] === FIELD_MANAGER

/** One that cannot is not worth having back. */
function canIssue(ca: Secret, nowMs: number): boolean {
  try {
    issuingCaOf(ca, nowMs)
    return true
  } catch {
    return false
  }
}

/** The CAs of certificates that others issue: that of the Controller's, and those before it until they expire. */
function planTrust({ ca, controllerTls }: AuthorityWorld, settings: Settings, nowMs: number): Plan {
  if (controllerTls === undefined) return { steps: [] }
  const given = joinBundle(certificatesIn(controllerTls, 'ca.crt'))
  if (given === '') {
    const { name } = controllerTls.metadata
    const message = `Secret ${name} has no ca.crt: external certificates must come from a CA of your own`
    throw new UnusableAuthority(controllerTls, message)
  }
  const before = ca === undefined ? [] : certificatesIn(ca, 'ca.crt')
  const bundle = unexpired(joinBundle([given, ...before]), nowMs)
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
