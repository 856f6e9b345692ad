import { ControllerError } from '@sallyport/runtime'
import {
  caKeyToPem,
  createCa,
  createStoreKey,
  formatStoreKey,
  generateKeyPair,
  issueServingCertificate,
  joinBundle,
  keyPairFromPem,
  privateKeyToPem,
} from '@sallyport/trust'
import type { DeclaredClient } from './controller/client.ts'
import type { Mirror } from './controller/mirror.ts'
import type { InstallationNames } from './installation.ts'
import { type KubeObject, type Secret, secretData, secretText } from './object.ts'
import { caBundleOf, issuingCaOf, unexpired } from './plan/ca.ts'
import type { ServingPair } from './plan/certificate.ts'
import { relaySecretWith } from './plan/relay.ts'
import { type RelaySecretWant, refusalOf, type ServingNames, type Step } from './plan/step.ts'
import { renewTokenAtMs, withToken } from './plan/token.ts'
import { isPassing, type Provider, ProviderError } from './provider.ts'

export type ApplyDeps = {
  provider: Provider
  client: Pick<DeclaredClient, keyof DeclaredClient>
  mirror: Pick<Mirror, keyof Mirror>
  /** The operator's own namespace. */
  namespace: string
  names: InstallationNames
  now: () => number
  /** What was told of an object last, by its UID. */
  told: Map<string, string>
  /** Life of the installation CA: its certificate is made anew, for the same key, at half of it. */
  caSeconds: number
  /** Life of serving certificates of the Controller and of Relays; they are issued anew at half of it. */
  certificateSeconds: number
}

/** Does one step. Throws what the API server or the Controller answered. */
export async function applyStep(step: Step, deps: ApplyDeps): Promise<void> {
  const { provider, client, mirror } = deps
  switch (step.do) {
    case 'putRow':
      return putRow(step, deps)
    case 'deleteRow':
      await client.delete(step.kind, step.uid)
      return mirror.deleted(step.uid)
    case 'apply':
      return applyChild(step.object, deps)
    case 'create':
      return provider.create(step.object)
    case 'remove':
      return provider.remove(step.object)
    case 'issueToken': {
      // A token that cannot be written would be in vain, time and again.
      await guarded(step.secret, deps, () => provider.makeRoom(step.secret))
      const { token, id, expiresAtMs } = await client.issueToken(step.uid)
      mirror.issued(step.uid, id, expiresAtMs)
      const renewAt = new Date(renewTokenAtMs(deps.now(), expiresAtMs)).toISOString()
      return applyChild(withToken(step.secret, token, id, renewAt), deps)
    }
    case 'relaySecret':
      return applyChild(await relaySecret(step, deps), deps)
    case 'acknowledgeKeys':
      await client.acknowledgeKeys(step.uid, step.keyIds)
      return mirror.acknowledged(step.uid, step.keyIds)
    case 'makeCa':
      return makeCa(step, deps)
    case 'makeControllerCertificate': {
      const pair = issue(step.names, deps)
      const data = secretData({ 'tls.crt': pair.certificatePem, 'tls.key': pair.keyPem, 'ca.crt': bundleOf(deps) })
      return provider.apply({ ...step.secret, data })
    }
    case 'makeStoreKey': {
      const data = secretData({ key: `${formatStoreKey(createStoreKey())}\n` })
      return provider.create({ ...step.secret, data })
    }
    case 'restore':
      return restore(step.secret, deps)
    case 'status':
      return provider.writeStatus(step.object, step.status)
    case 'tell':
      return tell(step, deps)
    case 'fail':
      throw step.error
    case 'event':
      return provider.event(step.object, step)
  }
}

async function restore({ apiVersion, kind, type, data, metadata }: Secret, { provider }: ApplyDeps): Promise<void> {
  const { name, namespace, labels } = metadata
  const own = { name, ...(namespace && { namespace }), ...(labels && { labels }) }
  await provider.create({ apiVersion, kind, metadata: own, type, data })
  const message = `Secret ${name} was deleted and has been written again as it was`
  await provider.announce({ type: 'Warning', reason: 'SecretRestored', message })
}

/** Objects without a status of ours cannot show what has been told, and nobody wants to read it at each look. */
async function tell({ object, reason, message }: Extract<Step, { do: 'tell' }>, { provider, told }: ApplyDeps) {
  const uid = object.metadata.uid ?? ''
  if (told.get(uid) === message) return
  await provider.event(object, { type: 'Warning', reason, message })
  told.set(uid, message)
}

function applyChild(object: KubeObject, deps: ApplyDeps): Promise<void> {
  return guarded(object, deps, () => deps.provider.apply(object))
}

/** What the API server refuses is told at the object that the child belongs to. */
async function guarded(object: KubeObject, { mirror }: ApplyDeps, write: () => Promise<void>): Promise<void> {
  try {
    await write()
  } catch (error) {
    if (error instanceof ProviderError && error.code === 'refused') mirror.refused(refusalOf(object), error.message)
    throw error
  }
}

async function putRow(
  { kind, uid, digest, body }: Extract<Step, { do: 'putRow' }>,
  { client, mirror }: ApplyDeps,
): Promise<void> {
  try {
    const { revision } = await client.put(kind, uid, body)
    mirror.refused(uid, undefined)
    mirror.wrote(kind, uid, digest, revision)
  } catch (error) {
    if (error instanceof ControllerError && !isPassing(error.status)) {
      const fields = error.fields.map(({ field, message }) => `${field} ${message}`)
      mirror.refused(uid, [error.message, ...fields].join('; '))
    }
    throw error
  }
}

async function relaySecret(
  { uid, secret, want }: { uid: string; secret: Secret; want: RelaySecretWant },
  deps: ApplyDeps,
): Promise<Secret> {
  const { name, passJwks } = want
  const keys = want.keys ?? (await deps.client.relayKeys(uid)).keys
  const certificate = want.certificate ?? issue({ dnsNames: [name], ipAddresses: [] }, deps)
  return relaySecretWith(secret, { name, keys, passJwks }, certificate)
}

/** A CA that is renewed keeps its key, and its former certificate stays in the bundle. */
async function makeCa(
  { secret, previous }: { secret: Secret; previous: Secret | undefined },
  { provider, now, caSeconds }: ApplyDeps,
): Promise<void> {
  const keyPem = secretText(previous, 'tls.key')
  const name = { commonName: 'Sallyport installation CA' }
  const life = { nowMs: now(), lifeSeconds: caSeconds }
  const ca = createCa(keyPem === undefined ? name : { ...name, keys: keyPairFromPem(keyPem) }, life)
  const bundle = joinBundle([ca.certificatePem, unexpired(secretText(previous, 'ca.crt') ?? '', now())])
  const data = secretData({ 'tls.crt': ca.certificatePem, 'tls.key': caKeyToPem(ca), 'ca.crt': bundle })
  await (previous === undefined ? provider.create({ ...secret, data }) : provider.apply({ ...secret, data }))
}

/** A certificate does not outlive its CA. */
function issue(
  names: ServingNames,
  { provider, namespace, names: own, now, certificateSeconds }: ApplyDeps,
): ServingPair {
  const secret = provider.store.get('Secret', namespace, own.ca)
  if (secret === undefined) throw new Error('there is no installation CA yet')
  const nowMs = now()
  const ca = issuingCaOf(secret, nowMs)
  const { publicKey, privateKey } = generateKeyPair()
  const lifeSeconds = Math.min(certificateSeconds, (ca.endsAtMs - nowMs) / 1000)
  const certificatePem = issueServingCertificate(ca, { publicKey, ...names }, { nowMs, lifeSeconds })
  return { certificatePem: joinBundle([certificatePem, ca.chainPem]), keyPem: privateKeyToPem(privateKey) }
}

function bundleOf({ provider, namespace, names }: ApplyDeps): string {
  return caBundleOf(provider.store.get('Secret', namespace, names.ca)) ?? ''
}
