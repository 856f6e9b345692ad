import { createHash } from 'node:crypto'
import { API_VERSION, MAX_NAME, type NetworkBody } from '@sallyport/schema'
import { type Declared, isOwnedBy, type KubeObject, ownerReference, type Secret, stamped } from '../object.ts'
import { isFalse, isTrue, planStatus, summary, type Verdict } from './condition.ts'
import { differs } from './difference.ts'
import { planBudget } from './disruption.ts'
import { childLabels, networkSelector } from './label.ts'
import { isManaged, refuse } from './managed.ts'
import { hasReadyPod, type Member, planRollout, progressing, rolloutHold } from './rollout.ts'
import { deleteRow, putRow, rowMetadata } from './row.ts'
import { type Context, joinPlans, type Plan, runnerOf, type Step } from './step.ts'
import { holdsToken } from './token.ts'
import { connectorDeployment } from './workload.ts'

/** A Connector and what the operator has made for it. */
export type ConnectorChildren = {
  connector: Declared<'Connector'>
  secret: Secret | undefined
  deployment: KubeObject | undefined
}

/** A RemoteNetwork, the Connectors of its namespace that name it, and its PodDisruptionBudget. */
export type NetworkWorld = {
  network: Declared<'RemoteNetwork'>
  members: readonly ConnectorChildren[]
  budget: KubeObject | undefined
}

const DEFAULT_REPLICAS = 2

/** Plans a RemoteNetwork: its row, its managed Connectors and what runs them, its status. */
export function planNetwork({ network, members, budget }: NetworkWorld, context: Context): Plan {
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
  const leaving = members.filter(({ connector }) => isSurplus(connector, network))
  const staying = members.filter(member => !leaving.includes(member))
  const connectors = staying.map(({ connector }) => connector)
  const ready = staying.filter(member => isReady(member, context)).length
  const managed = staying.filter(({ connector }) => isManaged(connector))
  const rollout = planRollout(
    managed.map(member => rolloutMember(member, network, context)),
    settings.platform,
    rolloutHold(controller),
  )
  const counts = controller.known
    ? { desired: desiredCount(network, connectors), ready }
    : (network.status?.connectors ?? { desired: connectors.length, ready: 0 })
  const written = [uid, ...managed.map(({ connector }) => runnerOf(connector.metadata.uid))]
  const refused = written.map(one => controller.refusal(one)).find(one => one !== undefined)
  const verdicts = [
    isTrue('Accepted', 'Accepted', 'the RemoteNetwork is accepted'),
    available(`${namespace}/${network.metadata.name}`, counts, refused, context),
  ]
  const said = `${counts.ready} of ${counts.desired} Connectors are ready`
  const settled =
    leaving.length > 0
      ? isTrue('Progressing', 'Working', `${said}; ${leaving.length} more end`)
      : counts.ready < counts.desired
        ? isTrue('Progressing', 'Working', said)
        : isFalse('Progressing', 'Settled', said)
  const steps = [
    ...putRow('network', uid, body, controller),
    ...children(network, connectors),
    ...leaving.flatMap(member => leave(member, context)),
    ...rollout.steps,
    ...planBudget(budgetWant(network, managed.length), budget, settings.platform),
  ]
  return joinPlans(
    { steps },
    planStatus(
      network,
      [summary(verdicts), ...verdicts, progressing(network, rollout, { settled, refused })],
      { connectors: counts },
      nowMs,
    ),
  )
}

/** Name of a RemoteNetwork's PodDisruptionBudget. */
export const networkBudgetName = (network: string): string => childName(network, 'connectors')

/** Name of a child: `base-suffix`, shortened and told apart by a hash where it would be too long. */
export function childName(base: string, suffix: string): string {
  const name = `${base}-${suffix}`
  if (name.length <= MAX_NAME) return name
  const hash = createHash('sha256').update(base).digest('hex').slice(0, 8)
  return `${base.slice(0, MAX_NAME - suffix.length - hash.length - 2)}-${hash}-${suffix}`
}

/** Whether a Connector serves: the Controller has it ready, and what runs it, where the operator does, has a pod. */
function isReady({ connector, deployment }: ConnectorChildren, { controller, settings }: Context): boolean {
  const hasPod = deployment === undefined || hasReadyPod(deployment, settings.platform)
  return controller.slot(connector.metadata.uid)?.ready === true && hasPod
}

function rolloutMember(
  { connector, secret, deployment }: ConnectorChildren,
  network: Declared<'RemoteNetwork'>,
  { controller, settings, nowMs }: Context,
): Member {
  const { uid, namespace, name } = connector.metadata
  const slot = controller.slot(uid)
  const serves = slot?.connected === true && slot.registered && slot.ready
  return {
    wanted: connectorDeployment(connector, network, settings),
    live: deployment,
    idle: serves ? undefined : `Connector ${namespace}/${name} is not registered at a Relay`,
    // A new pod enrols with the Controller, by the token that it finds in the Secret when it starts.
    blocked: !controller.reachable
      ? 'the operator has no contact with the Controller'
      : holdsToken(slot, secret, nowMs)
        ? undefined
        : `Secret ${namespace}/${name} has no fresh enrolment token yet`,
  }
}

function budgetWant(network: Declared<'RemoteNetwork'>, pods: number) {
  const { name } = network.metadata
  return {
    name: networkBudgetName(name),
    owner: network,
    labels: childLabels('connector', name, networkSelector(name)),
    selector: networkSelector(name),
    pods,
  }
}

function desiredCount(network: Declared<'RemoteNetwork'>, connectors: readonly Declared<'Connector'>[]): number {
  const others = connectors.filter(connector => !isOwnedBy(connector, network)).length
  return others + replicasOf(network)
}

const replicasOf = (network: Declared<'RemoteNetwork'>) => network.spec?.connectors?.replicas ?? DEFAULT_REPLICAS

function available(
  name: string,
  counts: { desired: number; ready: number },
  refused: string | undefined,
  { controller }: Context,
): Verdict {
  if (counts.ready > 0) return isTrue('Available', 'ConnectorsReady', `Connectors of ${name} are ready`)
  if (!controller.known)
    return isFalse('Available', 'ControllerUnavailable', 'the operator has no contact with the Controller')
  if (refused !== undefined) return isFalse('Available', 'Refused', refused)
  const none = `${name} has no Connectors: set spec.connectors.replicas, or declare External ones`
  return isFalse('Available', 'NoConnectorReady', counts.desired === 0 ? none : `no Connector of ${name} is ready`)
}

const childNames = (network: Declared<'RemoteNetwork'>) =>
  Array.from({ length: replicasOf(network) }, (_, index) => childName(network.metadata.name, String(index)))

/** Whether a Connector is one of the network's own, and too many. */
const isSurplus = (connector: Declared<'Connector'>, network: Declared<'RemoteNetwork'>) =>
  isOwnedBy(connector, network) && !childNames(network).includes(connector.metadata.name)

function children(network: Declared<'RemoteNetwork'>, connectors: readonly Declared<'Connector'>[]): Step[] {
  return childNames(network).flatMap((child): Step[] => {
    const there = connectors.find(({ metadata }) => metadata.name === child)
    // A Connector that a person has declared under that name stays theirs.
    if (there !== undefined && !isOwnedBy(there, network)) return []
    const object = connectorChild(network, child)
    return differs(object, there) ? [{ do: 'apply', object }] : []
  })
}

/** A Connector's identity ends with its object, and all that it carries with that: what runs it drains first. */
function leave({ connector, deployment }: ConnectorChildren, { controller }: Context): Step[] {
  if (deployment !== undefined) return [{ do: 'remove', object: deployment }]
  const drains = controller.reachable && controller.slot(connector.metadata.uid)?.connected === true
  return drains ? [] : [{ do: 'remove', object: connector as unknown as KubeObject }]
}

function connectorChild(network: Declared<'RemoteNetwork'>, name: string): KubeObject {
  return stamped({
    apiVersion: API_VERSION,
    kind: 'Connector',
    metadata: {
      name,
      namespace: network.metadata.namespace,
      labels: childLabels('connector', network.metadata.name, networkSelector(network.metadata.name)),
      ownerReferences: [ownerReference(network)],
    },
    spec: { remoteNetworkRef: { name: network.metadata.name }, deployment: 'Managed' },
  })
}
