import { parseIp } from '@sallyport/policy'
import { parser, type RelayBody, RelaySecret } from '@sallyport/schema'
import {
  COMPONENT_LABEL,
  type Declared,
  FIELD_MANAGER,
  INDEX_LABEL,
  type KubeObject,
  MANAGED_BY_LABEL,
  ownerReference,
  RELAY_LABEL,
  type Secret,
  secretData,
  secretText,
} from '../object.ts'
import { type CertificateCheck, checkCertificate } from './certificate.ts'
import { isFalse, isTrue, planStatus, summary, type Verdict } from './condition.ts'
import { differs } from './difference.ts'
import { refuse } from './network.ts'
import { deleteRow, putRow, rowMetadata, uuidV5 } from './row.ts'
import { type Context, joinPlans, type Plan, type Step } from './step.ts'
import { RELAY_PORT, relayDeployment, relayService } from './workload.ts'

/** A Relay and its children as they are; `nodes` for Relays whose address is that of a Node. */
export type RelayWorld = {
  relay: Declared<'Relay'>
  secrets: readonly Secret[]
  deployments: readonly KubeObject[]
  services: readonly KubeObject[]
  nodes: readonly KubeObject[]
  installationCa: string | undefined
}

/** One replica: to everyone else a Relay of its own. */
export type Replica = { index: number; uid: string; name: string; address: string | undefined; child: string }

/** Ids of the keys that the Secret holds, separated by commas. */
export const KEY_IDS_ANNOTATION = 'sallyport.dev/key-ids'
const DEFAULT_REPLICAS = 2
/** Most replicas of a Relay, so that rows of former ones are found. */
const MAX_REPLICAS = 32

const relaySecret = parser(RelaySecret)

/** Plans a Relay: per replica its row, Secret, Deployment and Service; and its status. */
export function planRelay(world: RelayWorld, context: Context): Plan {
  const { relay } = world
  const { controller, settings, nowMs } = context
  const refusal = refuse(relay, settings.managedNamespaces)
  const replicas = refusal === undefined ? replicasOf(world) : []
  const surplus = relayRowUids(relay).filter(uid => !replicas.some(replica => replica.uid === uid))
  const removed: Plan = {
    steps: [...surplus.flatMap(uid => deleteRow('relay', uid, controller)), ...surplusChildren(world, replicas)],
  }
  if (refusal !== undefined) {
    return joinPlans(removed, planStatus(relay, [{ ...refusal, type: 'Ready' }, refusal], {}, nowMs))
  }
  return joinPlans(
    ...replicas.map(replica => planReplica(world, replica, context)),
    removed,
    statusOf(relay, replicas, context),
  )
}

/** UIDs of all rows that a Relay can have. */
export function relayRowUids({ metadata }: Declared<'Relay'>): string[] {
  return Array.from({ length: MAX_REPLICAS }, (_, index) => uuidV5(metadata.uid, String(index)))
}

/** The replicas that a Relay declares. */
export function replicasOf(world: RelayWorld): Replica[] {
  const { relay } = world
  const { name, namespace, uid } = relay.metadata
  return Array.from({ length: relay.spec?.replicas ?? DEFAULT_REPLICAS }, (_, index) => {
    const address = addressOf(world, index)
    const host = address?.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '')
    return {
      index,
      uid: uuidV5(uid, String(index)),
      name:
        host === undefined || parseIp(host) !== undefined
          ? `r${index}.${name}.${namespace}.sallyport.internal`
          : host.toLowerCase().replace(/\.$/, ''),
      address,
      child: childOf(name, index),
    }
  })
}

const childOf = (relay: string, index: number) => `${relay}-${index}`

function addressOf({ relay, services, nodes }: RelayWorld, index: number): string | undefined {
  const { list, template, fromService } = relay.spec!.address
  if (list !== undefined) return list[index]
  if (template !== undefined) return template.replaceAll('{index}', String(index))
  if (fromService !== true) return undefined
  const service = services.find(({ metadata }) => metadata.name === childOf(relay.metadata.name, index))
  return service === undefined ? undefined : serviceAddress(service, nodes)
}

type ServiceFields = {
  spec?: { ports?: { nodePort?: number }[] }
  status?: { loadBalancer?: { ingress?: { ip?: string; hostname?: string }[] } }
}
type NodeFields = { status?: { addresses?: { type: string; address: string }[] } }

function serviceAddress(service: KubeObject, nodes: readonly KubeObject[]): string | undefined {
  // The API server has validated both.
  const { spec, status } = service as ServiceFields
  const [ingress] = status?.loadBalancer?.ingress ?? []
  const host = ingress?.hostname ?? ingress?.ip
  if (host !== undefined) return hostPort(host, RELAY_PORT)
  const nodePort = spec?.ports?.[0]?.nodePort
  if (nodePort === undefined) return undefined
  const addresses = [...nodes]
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    .flatMap(node => (node as NodeFields).status?.addresses ?? [])
  const chosen =
    addresses.find(({ type }) => type === 'ExternalIP') ?? addresses.find(({ type }) => type === 'InternalIP')
  return chosen === undefined ? undefined : hostPort(chosen.address, nodePort)
}

const hostPort = (host: string, port: number) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)

function planReplica(world: RelayWorld, replica: Replica, context: Context): Plan {
  const { relay, deployments, services } = world
  const { controller, settings } = context
  const { index, uid, name, address, child } = replica
  const labels = labelsOf(relay, index)
  const steps: Step[] = []
  const isExternal = relay.spec?.deployment === 'External'
  if (!isExternal) {
    const service = relayService(relay, child, labels)
    if (
      differs(
        service,
        services.find(({ metadata }) => metadata.name === child),
      )
    ) {
      steps.push({ do: 'apply', object: service })
    }
  }
  if (address === undefined) return { steps }
  const body: RelayBody = { metadata: rowMetadata(relay), index, name, address }
  steps.push(...putRow('relay', uid, body, controller))
  const secret = planSecret(world, replica, context)
  const live = deployments.find(({ metadata }) => metadata.name === child)
  const workload: Step[] = []
  if (isExternal) {
    if (live !== undefined) workload.push({ do: 'remove', object: live })
  } else {
    const listen = settings.platform === 'host' ? address : `:${RELAY_PORT}`
    const object = relayDeployment(relay, { name: child, labels, listen }, settings)
    if (differs(object, live)) workload.push({ do: 'apply', object })
  }
  return joinPlans({ steps }, secret, { steps: workload })
}

function planSecret(world: RelayWorld, { index, uid, name, child }: Replica, context: Context): Plan {
  const { relay, installationCa } = world
  const { controller, nowMs } = context
  const state = controller.row(uid)?.relay
  const { trust } = controller
  if (state === undefined || trust === undefined || installationCa === undefined) return { steps: [] }
  const secret = world.secrets.find(({ metadata }) => metadata.name === child)
  const { relayPass: passJwks } = trust.jwks
  const base: Secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: child,
      namespace: relay.metadata.namespace,
      labels: labelsOf(relay, index),
      ownerReferences: [ownerReference(relay)],
    },
    type: 'Opaque',
  }
  const held = secret?.metadata.annotations?.[KEY_IDS_ANNOTATION]
  const keys = held === state.keyIds.join(',') ? keysOf(secret) : undefined
  const check: CertificateCheck = { names: { dnsNames: [name], ipAddresses: [] }, installationCa, nowMs }
  const certificate = checkCertificate(secretText(secret, 'tls.crt'), secretText(secret, 'tls.key'), check)
  if (keys === undefined || certificate === undefined) {
    const want = { name, passJwks, keys, certificate: certificate?.pair }
    return { steps: [{ do: 'relaySecret', uid, secret: base, want }] }
  }
  const wanted = relaySecretWith(base, { name, passJwks, keys }, certificate.pair)
  const steps: Step[] = differs(wanted, secret) ? [{ do: 'apply', object: wanted }] : []
  if (steps.length === 0 && state.keyIds.some(id => !state.acknowledgedKeyIds.includes(id))) {
    steps.push({ do: 'acknowledgeKeys', uid, keyIds: state.keyIds })
  }
  return { steps, wakeAtMs: certificate.renewAtMs }
}

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

function labelsOf(relay: Declared<'Relay'>, index: number): Record<string, string> {
  return {
    [MANAGED_BY_LABEL]: FIELD_MANAGER,
    [COMPONENT_LABEL]: 'relay',
    [RELAY_LABEL]: relay.metadata.name,
    [INDEX_LABEL]: String(index),
  }
}

function surplusChildren({ relay, secrets, deployments, services }: RelayWorld, replicas: readonly Replica[]): Step[] {
  const isExternal = relay.spec?.deployment === 'External'
  const isSurplus = (object: KubeObject, needsManaged: boolean) =>
    (needsManaged && isExternal) || !replicas.some(({ child }) => child === object.metadata.name)
  return [
    ...secrets.filter(secret => isSurplus(secret, false)),
    ...deployments.filter(one => !isExternal && isSurplus(one, true)),
    ...services.filter(one => isSurplus(one, true)),
  ].map(object => ({ do: 'remove', object }))
}

function statusOf(relay: Declared<'Relay'>, replicas: readonly Replica[], { controller, nowMs }: Context): Plan {
  const endpoints = replicas.flatMap(({ index, name, address }) =>
    address === undefined ? [] : [{ index, name, address }],
  )
  const serving = replicas.filter(({ uid }) => controller.row(uid)?.relay?.registered === true).length
  const ready = controller.known ? serving : (relay.status?.ready ?? 0)
  const accepted = isTrue('Accepted', 'Accepted', 'the Relay is accepted')
  const all = `${ready} of ${replicas.length} replicas have a Connector`
  const progressing =
    ready < replicas.length ? isTrue('Progressing', 'Working', all) : isFalse('Progressing', 'Settled', all)
  const available = availability(relay, replicas, { ready, endpoints: endpoints.length }, controller)
  return planStatus(
    relay,
    [summary([accepted, available]), accepted, available, progressing],
    { ...(endpoints.length > 0 ? { endpoints } : {}), ready },
    nowMs,
  )
}

function availability(
  relay: Declared<'Relay'>,
  replicas: readonly Replica[],
  { ready, endpoints }: { ready: number; endpoints: number },
  controller: Context['controller'],
): Verdict {
  const name = `${relay.metadata.namespace}/${relay.metadata.name}`
  if (ready > 0) return isTrue('Available', 'RelaysReady', `a Connector is registered at ${name}`)
  if (!controller.known) {
    return isFalse('Available', 'ControllerUnavailable', 'the operator has no contact with the Controller')
  }
  if (endpoints === 0) return isFalse('Available', 'AddressPending', `the Services of ${name} have no address yet`)
  const refusal = [relay.metadata.uid, ...replicas.map(({ uid }) => uid)]
    .map(uid => controller.refusal(uid))
    .find(reason => reason !== undefined)
  if (refusal !== undefined) return isFalse('Available', 'Refused', refusal)
  return isFalse('Available', 'NoRegistration', `no Connector is registered at ${name}`)
}
