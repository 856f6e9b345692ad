import { createHash } from 'node:crypto'
import { API_VERSION, MAX_NAME, type NetworkBody } from '@sallyport/schema'
import {
  type Declared,
  FIELD_MANAGER,
  type KubeObject,
  MANAGED_BY_LABEL,
  NETWORK_LABEL,
  ownerReference,
} from '../object.ts'
import { isFalse, isTrue, planStatus, summary, type Verdict } from './condition.ts'
import { differs } from './difference.ts'
import { deleteRow, putRow, rowMetadata } from './row.ts'
import { type Context, joinPlans, type Plan, type Step } from './step.ts'

/** A RemoteNetwork and the Connectors of its namespace that name it. */
export type NetworkWorld = { network: Declared<'RemoteNetwork'>; connectors: readonly Declared<'Connector'>[] }

const DEFAULT_REPLICAS = 2

/** Plans a RemoteNetwork: its row, its managed Connectors, its status. */
export function planNetwork({ network, connectors }: NetworkWorld, context: Context): Plan {
  const { controller, settings, nowMs } = context
  const { uid, namespace } = network.metadata
  const refusal = refuse(network, settings.managedNamespaces)
  if (refusal !== undefined) {
    return joinPlans(
      { steps: deleteRow('network', uid, controller) },
      planStatus(network, [{ ...refusal, type: 'Ready' }, refusal], {}, nowMs),
    )
  }
  const { displayName, acl, guardExceptions } = network.spec ?? {}
  const body: NetworkBody = {
    metadata: rowMetadata(network),
    spec: {
      ...(displayName === undefined ? {} : { displayName }),
      ...(acl === undefined ? {} : { acl }),
      ...(guardExceptions === undefined ? {} : { guardExceptions }),
    },
  }
  const ready = connectors.filter(connector => controller.slot(connector.metadata.uid)?.ready === true).length
  const counts = controller.known
    ? { desired: desiredCount(network, connectors), ready }
    : (network.status?.connectors ?? { desired: connectors.length, ready: 0 })
  const verdicts = [
    isTrue('Accepted', 'Accepted', 'the RemoteNetwork is accepted'),
    available(`${namespace}/${network.metadata.name}`, counts, context, network),
  ]
  const progressing =
    counts.ready < counts.desired
      ? isTrue('Progressing', 'Working', `${counts.ready} of ${counts.desired} Connectors are ready`)
      : isFalse('Progressing', 'Settled', `${counts.ready} of ${counts.desired} Connectors are ready`)
  return joinPlans(
    { steps: [...putRow('network', uid, body, controller), ...children(network, connectors)] },
    planStatus(network, [summary(verdicts), ...verdicts, progressing], { connectors: counts }, nowMs),
  )
}

/** Name of a child: `base-suffix`, shortened and told apart by a hash where it would be too long. */
export function childName(base: string, suffix: string): string {
  const name = `${base}-${suffix}`
  if (name.length <= MAX_NAME) return name
  const hash = createHash('sha256').update(base).digest('hex').slice(0, 8)
  return `${base.slice(0, MAX_NAME - suffix.length - hash.length - 2)}-${hash}-${suffix}`
}

/** Refuses what lies outside of the namespaces in which the operator runs things. */
export function refuse(object: Declared, managedNamespaces: readonly string[]): Verdict | undefined {
  const { kind, invalid, metadata } = object
  if (invalid !== undefined) return isFalse('Accepted', 'Invalid', invalid)
  if (managedNamespaces.includes(metadata.namespace)) return undefined
  const message = `namespace "${metadata.namespace}" is not one in which a ${kind} counts`
  return isFalse('Accepted', 'NamespaceNotManaged', message)
}

function desiredCount(network: Declared<'RemoteNetwork'>, connectors: readonly Declared<'Connector'>[]): number {
  const others = connectors.filter(connector => !isChildOf(connector, network)).length
  return others + replicasOf(network)
}

const replicasOf = (network: Declared<'RemoteNetwork'>) => network.spec?.connectors?.replicas ?? DEFAULT_REPLICAS

function available(
  name: string,
  counts: { desired: number; ready: number },
  { controller }: Context,
  network: Declared<'RemoteNetwork'>,
): Verdict {
  if (counts.ready > 0) return isTrue('Available', 'ConnectorsReady', `Connectors of ${name} are ready`)
  if (!controller.known)
    return isFalse('Available', 'ControllerUnavailable', 'the operator has no contact with the Controller')
  const refusal = controller.refusal(network.metadata.uid)
  if (refusal !== undefined) return isFalse('Available', 'Refused', refusal)
  return isFalse('Available', 'NoConnectorReady', `no Connector of ${name} is ready`)
}

function children(network: Declared<'RemoteNetwork'>, connectors: readonly Declared<'Connector'>[]): Step[] {
  const { name } = network.metadata
  const wanted = Array.from({ length: replicasOf(network) }, (_, index) => childName(name, String(index)))
  const applied = wanted.flatMap((child): Step[] => {
    const there = connectors.find(({ metadata }) => metadata.name === child)
    // A Connector that a person has declared under that name stays theirs.
    if (there !== undefined && !isChildOf(there, network)) return []
    const object = connectorChild(network, child)
    return differs(object, there) ? [{ do: 'apply', object }] : []
  })
  const surplus = connectors.filter(
    connector => isChildOf(connector, network) && !wanted.includes(connector.metadata.name),
  )
  return [...applied, ...surplus.map((object): Step => ({ do: 'remove', object: object as unknown as KubeObject }))]
}

function isChildOf({ metadata }: Declared<'Connector'>, network: Declared<'RemoteNetwork'>): boolean {
  return metadata.ownerReferences?.some(({ uid }) => uid === network.metadata.uid) ?? false
}

function connectorChild(network: Declared<'RemoteNetwork'>, name: string): KubeObject {
  return {
    apiVersion: API_VERSION,
    kind: 'Connector',
    metadata: {
      name,
      namespace: network.metadata.namespace,
      labels: { [MANAGED_BY_LABEL]: FIELD_MANAGER, [NETWORK_LABEL]: network.metadata.name },
      ownerReferences: [ownerReference(network)],
    },
    spec: { remoteNetworkRef: { name: network.metadata.name }, deployment: 'Managed' },
  }
}
