import { parser, type RelayBody, RelaySecret, type RelayState } from '@sallyport/schema'
import { type Declared, type KubeObject, ownerReference, type Secret, secretData, secretText } from '../object.ts'
import { controllerNames } from './authority.ts'
import { type CertificateCheck, checkCertificate } from './certificate.ts'
import { isFalse, isTrue, planStatus, summary, type Verdict } from './condition.ts'
import { differs } from './difference.ts'
import { planBudget } from './disruption.ts'
import { childLabels, relayLabels, relaySelector } from './label.ts'
import { isManaged, refuse } from './managed.ts'
import { childName } from './network.ts'
import { type RelayWorld, type Replica, replicasOf } from './replica.ts'
import { hasReadyPod, type Member, planRollout, progressing, type Rollout, rolloutHold } from './rollout.ts'
import { deleteRow, putRow, rowMetadata, uuidV5 } from './row.ts'
import { type Context, joinPlans, type Plan, type Step } from './step.ts'
import { RELAY_PORT, relayDeployment, relayService } from './workload.ts'

/** Ids of the keys that the Secret holds, separated by commas. */
export const KEY_IDS_ANNOTATION = 'sallyport.dev/key-ids'
/** Most replicas of a Relay, so that rows of former ones are found. */
const MAX_REPLICAS = 32

const relaySecret = parser(RelaySecret)

/** Plans a Relay: per replica its row, Secret, Deployment and Service; and its status. */
export function planRelay(world: RelayWorld, context: Context): Plan {
  const { relay } = world
  const { controller, settings, nowMs } = context
  const unmanaged = refuse(relay, settings.managedNamespaces)
  const refusal = unmanaged ?? reserved(world, context)
  const replicas = refusal === undefined ? replicasOf(world) : []
  // The address that is refused may be that of a Service: without it there would be none to refuse, and it would be made again.
  const exposed = unmanaged === undefined ? replicasOf(world) : []
  const surplus = relayRowUids(relay).filter(uid => !replicas.some(replica => replica.uid === uid))
  const removed: Plan = {
    steps: [
      ...surplus.flatMap(uid => deleteRow('relay', uid, controller)),
      ...surplusChildren(world, replicas, exposed),
    ],
  }
  if (refusal !== undefined) {
    return joinPlans(removed, planStatus(relay, [{ ...refusal, type: 'Ready' }, refusal], {}, nowMs))
  }
  const rollout = planRollout(rolloutMembers(world, replicas, context), settings.platform, rolloutHold(controller))
  return joinPlans(
    ...replicas.map(replica => planReplica(world, replica, context)),
    { steps: [...rollout.steps, ...planBudget(budgetWant(relay, replicas), world.budget, settings.platform)] },
    removed,
    statusOf(world, replicas, rollout, context),
  )
}

/** A Relay would get a certificate for its host: nobody may have one for the Controller's by declaring a Relay. */
function reserved(world: RelayWorld, { settings, publicUrl }: Context): Verdict | undefined {
  const { dnsNames } = controllerNames(settings, publicUrl)
  const taken = replicasOf(world).find(({ name }) => dnsNames.some(host => host.toLowerCase() === name))
  if (taken === undefined) return undefined
  return isFalse(
    'Accepted',
    'NameReserved',
    `the address of replica ${taken.index} names the host of the Controller, ${taken.name}`,
  )
}

/** UIDs of all rows that a Relay can have. */
export function relayRowUids({ metadata }: Declared<'Relay'>): string[] {
  return Array.from({ length: MAX_REPLICAS }, (_, index) => uuidV5(metadata.uid, String(index)))
}

/** Name of a Relay's PodDisruptionBudget. */
export const relayBudgetName = (relay: string): string => childName(relay, 'relays')

function planReplica(world: RelayWorld, replica: Replica, context: Context): Plan {
  const { relay } = world
  const { controller } = context
  const { index, uid, name, address, child } = replica
  const steps: Step[] = []
  if (isManaged(relay)) {
    const service = relayService(relay, child, index)
    if (differs(service, world.services.find(named(child)))) steps.push({ do: 'apply', object: service })
  }
  if (address === undefined) return { steps }
  const body: RelayBody = { metadata: rowMetadata(relay), index, name, address }
  steps.push(...putRow('relay', uid, body, controller))
  return joinPlans({ steps }, planSecret(world, replica, context))
}

/** What runs each replica that has an address. */
function rolloutMembers(
  { relay, deployments, secrets }: RelayWorld,
  replicas: readonly Replica[],
  { controller, settings }: Context,
): Member[] {
  if (!isManaged(relay)) return []
  const stateOf = (uid: string) => controller.row(uid)?.relay
  // Where no Connector is registered anywhere, none can be waited for.
  const expected = replicas.some(({ uid }) => stateOf(uid)?.registered === true)
  return replicas.flatMap(({ index, uid, address, child }): Member[] => {
    if (address === undefined) return []
    const listen = settings.platform === 'host' ? address : `:${RELAY_PORT}`
    const state = stateOf(uid)
    const name = `${relay.metadata.namespace}/${child}`
    const isIdle = expected && state?.registered !== true
    return [
      {
        wanted: relayDeployment(relay, { name: child, index, listen }, settings),
        live: deployments.find(named(child)),
        idle: isIdle ? `no Connector is registered at ${name} yet` : undefined,
        // Clients come with capabilities of these keys, whoever admits them.
        blocked: holdsKeys(secrets.find(named(child)), state) ? undefined : `Secret ${name} has no keys yet`,
      },
    ]
  })
}

function holdsKeys(secret: Secret | undefined, state: RelayState | undefined): boolean {
  return secret !== undefined && secret.metadata.annotations?.[KEY_IDS_ANNOTATION] === state?.keyIds.join(',')
}

function budgetWant(relay: Declared<'Relay'>, replicas: readonly Replica[]) {
  const { name } = relay.metadata
  return {
    name: relayBudgetName(name),
    owner: relay,
    labels: childLabels('relay', name, relaySelector(name)),
    selector: relaySelector(name),
    pods: isManaged(relay) ? replicas.length : 0,
  }
}

const named = (name: string) => (object: KubeObject) => object.metadata.name === name

function planSecret(world: RelayWorld, { index, uid, name, child }: Replica, context: Context): Plan {
  const { relay, installationCa } = world
  const { controller, settings } = context
  const state = controller.row(uid)?.relay
  const { trust } = controller
  if (state === undefined || trust === undefined || installationCa === undefined) return { steps: [] }
  const secret = world.secrets.find(named(child))
  const { relayPass: passJwks } = trust.jwks
  const base: Secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: child,
      namespace: relay.metadata.namespace,
      labels: relayLabels(relay, index),
      ownerReferences: [ownerReference(relay)],
    },
    type: 'Opaque',
  }
  const keys = holdsKeys(secret, state) ? keysOf(secret) : undefined
  const isExternal = settings.certificates === 'external'
  const certificate = certificateOf(world, { name, child }, context)
  if (isExternal && certificate === undefined) return { steps: [] }
  if (keys === undefined || certificate === undefined) {
    const want = { name, passJwks, keys, certificate: certificate?.pair }
    return { steps: [{ do: 'relaySecret', uid, secret: base, want }] }
  }
  const wanted = relaySecretWith(base, { name, passJwks, keys }, certificate.pair)
  const steps: Step[] = differs(wanted, secret) ? [{ do: 'apply', object: wanted }] : []
  if (steps.length === 0 && state.keyIds.some(id => !state.acknowledgedKeyIds.includes(id))) {
    steps.push({ do: 'acknowledgeKeys', uid, keyIds: state.keyIds })
  }
  return isExternal ? { steps } : { steps, wakeAtMs: certificate!.renewAtMs }
}

/** The serving certificate that a replica has, or where others issue them is given. */
function certificateOf(
  world: RelayWorld,
  { name, child }: Pick<Replica, 'name' | 'child'>,
  { settings, nowMs }: Context,
) {
  const { installationCa = '', issued, secrets } = world
  const renewed = settings.certificates !== 'external'
  const check: CertificateCheck = { names: { dnsNames: [name], ipAddresses: [] }, installationCa, nowMs, renewed }
  const given = renewed ? [] : issued.filter(({ metadata }) => metadata.name === issuedName(child))
  const held = secrets.filter(({ metadata }) => metadata.name === child)
  return [...given, ...held]
    .map(source => checkCertificate(secretText(source, 'tls.crt'), secretText(source, 'tls.key'), check))
    .find(found => found !== undefined)
}

/** Name of the Secret with the certificate that someone else has issued for a replica. */
export const issuedName = (child: string) => `${child}-tls`

/** The whole Secret of a Relay's replica. */
export function relaySecretWith(
  secret: Secret,
  content: RelaySecret,
  { certificatePem, keyPem }: { certificatePem: string; keyPem: string },
): Secret {
  return {
    ...secret,
    metadata: { ...secret.metadata, annotations: { [KEY_IDS_ANNOTATION]: content.keys.map(({ id }) => id).join(',') } },
    data: secretData({
      'relay.json': `${JSON.stringify(content, null, 2)}\n`,
      'tls.crt': certificatePem,
      'tls.key': keyPem,
    }),
  }
}

function keysOf(secret: Secret | undefined): RelaySecret['keys'] | undefined {
  try {
    const content: unknown = JSON.parse(secretText(secret, 'relay.json') ?? 'null')
    return relaySecret.check(content) ? content.keys : undefined
  } catch {
    // Someone has written something else into it: it is made again.
    return undefined
  }
}

/** Children of no replica. An External Relay has Secrets only. */
function surplusChildren(
  { relay, secrets, deployments, services }: RelayWorld,
  replicas: readonly Replica[],
  exposed: readonly Replica[],
): Step[] {
  const beyond = (wanted: readonly Replica[]) => (object: KubeObject) =>
    !wanted.some(({ child }) => child === object.metadata.name)
  const managed = (wanted: readonly Replica[]) => (isManaged(relay) ? wanted : [])
  return [
    ...secrets.filter(beyond(replicas)),
    ...deployments.filter(beyond(managed(replicas))),
    ...services.filter(beyond(managed(exposed))),
  ].map(object => ({ do: 'remove', object }))
}

function statusOf(world: RelayWorld, replicas: readonly Replica[], rollout: Rollout, context: Context): Plan {
  const { relay, deployments } = world
  const { controller, settings, nowMs } = context
  const endpoints = replicas.flatMap(({ index, name, address }) =>
    address === undefined ? [] : [{ index, name, address }],
  )
  const serving = replicas.filter(({ uid, child }) => {
    const live = deployments.find(named(child))
    const hasPod = live === undefined || hasReadyPod(live, settings.platform)
    return hasPod && controller.row(uid)?.relay?.registered === true
  }).length
  const ready = controller.known ? serving : (relay.status?.ready ?? 0)
  const accepted = isTrue('Accepted', 'Accepted', 'the Relay is accepted')
  const all = `${ready} of ${replicas.length} replicas have a Connector`
  const settled =
    ready < replicas.length ? isTrue('Progressing', 'Working', all) : isFalse('Progressing', 'Settled', all)
  const isUncertified = (replica: Replica) => certificateOf(world, replica, context) === undefined
  const uncertified = settings.certificates === 'external' ? replicas.find(isUncertified) : undefined
  const refused = [relay.metadata.uid, ...replicas.map(({ uid }) => uid)]
    .map(uid => controller.refusal(uid))
    .find(reason => reason !== undefined)
  const available = availability(
    relay,
    { ready, endpoints: endpoints.length, uncertified, refused },
    { controller, settings },
  )
  return planStatus(
    relay,
    [summary([accepted, available]), accepted, available, progressing(relay, rollout, { settled, refused })],
    { ...(endpoints.length > 0 ? { endpoints } : {}), ready },
    nowMs,
  )
}

type Seen = { ready: number; endpoints: number; uncertified: Replica | undefined; refused: string | undefined }

function availability(
  relay: Declared<'Relay'>,
  { ready, endpoints, uncertified, refused }: Seen,
  { controller, settings }: Pick<Context, 'controller' | 'settings'>,
): Verdict {
  const name = `${relay.metadata.namespace}/${relay.metadata.name}`
  if (ready > 0) return isTrue('Available', 'RelaysReady', `a Connector is registered at ${name}`)
  if (!controller.known) {
    return isFalse('Available', 'ControllerUnavailable', 'the operator has no contact with the Controller')
  }
  if (endpoints === 0) {
    const byNode = settings.readsCluster
      ? ''
      : '; only a load balancer can give one, for the operator may not read Nodes'
    return isFalse('Available', 'AddressPending', `the Services of ${name} have no address yet${byNode}`)
  }
  if (refused !== undefined) return isFalse('Available', 'Refused', refused)
  if (uncertified !== undefined) {
    const secret = `${relay.metadata.namespace}/${issuedName(uncertified.child)}`
    return isFalse('Available', 'CertificatePending', `Secret ${secret} holds no certificate for ${uncertified.name}`)
  }
  return isFalse('Available', 'NoRegistration', `no Connector is registered at ${name}`)
}
