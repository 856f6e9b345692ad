import type { ConnectorTrust, SlotState } from '@sallyport/schema'
import {
  COMPONENT_LABEL,
  CONNECTOR_LABEL,
  type Declared,
  FIELD_MANAGER,
  type KubeObject,
  MANAGED_BY_LABEL,
  ownerReference,
  type Secret,
  secretData,
  secretText,
} from '../object.ts'
import { isFalse, isTrue, planStatus, summary, type Verdict } from './condition.ts'
import { differs } from './difference.ts'
import { refuse } from './network.ts'
import { isUsable } from './resource.ts'
import { deleteRow, putRow, rowMetadata } from './row.ts'
import { type Context, joinPlans, type Plan, type Step } from './step.ts'
import { connectorDeployment } from './workload.ts'

/** A Connector, its network and its children as they are. */
export type ConnectorWorld = {
  connector: Declared<'Connector'>
  network: Declared<'RemoteNetwork'> | undefined
  secret: Secret | undefined
  deployment: KubeObject | undefined
  /** PEM of the installation CA; undefined before it has been made. */
  installationCa: string | undefined
}

/** Id of the token that the Secret holds, and when the next one is issued. */
export const TOKEN_ID_ANNOTATION = 'sallyport.dev/token-id'
export const TOKEN_RENEW_ANNOTATION = 'sallyport.dev/token-renew-at'

/** Part of a token's life after which it is replaced. */
const RENEW_AFTER = 0.75

/** Name of a Connector's Secret and Deployment: its own. */
export const connectorChildName = (connector: string): string => connector

/** Plans a Connector: its slot, its Secret, its Deployment, its status. */
export function planConnector(world: ConnectorWorld, context: Context): Plan {
  const { connector, network, deployment } = world
  const { controller, settings, nowMs } = context
  const { uid } = connector.metadata
  const refusal = refuse(connector, settings.managedNamespaces) ?? missingNetwork(world, settings.managedNamespaces)
  if (refusal !== undefined || network === undefined) {
    const refused = refusal ?? isFalse('Accepted', 'RemoteNetworkNotFound', 'its RemoteNetwork does not exist')
    return joinPlans(
      { steps: deleteRow('connector', uid, controller) },
      planStatus(connector, [{ ...refused, type: 'Ready' }, refused], {}, nowMs),
    )
  }
  const body = { metadata: rowMetadata(connector), network: network.metadata.uid, spec: connector.spec! }
  const canPut = controller.row(network.metadata.uid) !== undefined
  const row = canPut ? putRow('connector', uid, body, controller) : []
  return joinPlans(
    { steps: row },
    planSecret(world, network, context),
    { steps: workload(connector, network, deployment, context) },
    statusOf(connector, context),
  )
}

/** When a token that is good from `nowMs` until `expiresAtMs` is replaced. */
export function renewTokenAtMs(nowMs: number, expiresAtMs: number): number {
  return nowMs + (expiresAtMs - nowMs) * RENEW_AFTER
}

/** Whether the Secret lacks a token that a new Connector could enrol with. */
export function wantsToken(slot: SlotState, secret: Secret | undefined, nowMs: number): boolean {
  const annotations = secret?.metadata.annotations ?? {}
  if (slot.tokenState !== 'live' || slot.tokenId === undefined) return true
  if (secretText(secret, 'token') === undefined || annotations[TOKEN_ID_ANNOTATION] !== slot.tokenId) return true
  return nowMs >= renewAtMs(secret)
}

function renewAtMs(secret: Secret | undefined): number {
  const at = Date.parse(secret?.metadata.annotations?.[TOKEN_RENEW_ANNOTATION] ?? '')
  return Number.isNaN(at) ? 0 : at
}

function missingNetwork({ connector, network }: ConnectorWorld, managed: readonly string[]): Verdict | undefined {
  if (network !== undefined && isUsable(network, managed)) return undefined
  const name = `${connector.metadata.namespace}/${connector.spec?.remoteNetworkRef.name}`
  const why = network === undefined ? 'does not exist' : 'is not accepted'
  return isFalse('Accepted', 'RemoteNetworkNotFound', `RemoteNetwork ${name} ${why}`)
}

function planSecret(world: ConnectorWorld, network: Declared<'RemoteNetwork'>, context: Context): Plan {
  const { connector, secret, installationCa } = world
  const { controller, settings, nowMs } = context
  const slot = controller.slot(connector.metadata.uid)
  const { trust } = controller
  if (slot === undefined || trust === undefined || installationCa === undefined) return { steps: [] }
  const isExternal = connector.spec?.deployment === 'External'
  const trusted: ConnectorTrust = {
    // The Controller has checked its name.
    tenant: trust.tenant as ConnectorTrust['tenant'],
    issuer: trust.issuer,
    network: network.metadata.uid,
    controllerUrl: isExternal ? settings.controllerPublicUrl : settings.controllerUrl,
    installationCa,
    tenantCa: trust.tenantCa,
    jwks: { clientAcl: trust.jwks.clientAcl, connectorAcl: trust.jwks.connectorAcl },
  }
  const wanted: Secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: connectorChildName(connector.metadata.name),
      namespace: connector.metadata.namespace,
      labels: labelsOf(connector),
      ownerReferences: [ownerReference(connector)],
    },
    type: 'Opaque',
    data: secretData({ 'trust.json': `${JSON.stringify(trusted, null, 2)}\n` }),
  }
  if (wantsToken(slot, secret, nowMs)) {
    return { steps: [{ do: 'issueToken', uid: connector.metadata.uid, secret: wanted }] }
  }
  const { [TOKEN_ID_ANNOTATION]: id, [TOKEN_RENEW_ANNOTATION]: renew } = secret!.metadata.annotations ?? {}
  const kept = withToken(wanted, secretText(secret, 'token')!, id!, renew!)
  const steps: Step[] = differs(kept, secret) ? [{ do: 'apply', object: kept }] : []
  return { steps, wakeAtMs: renewAtMs(secret) }
}

/** The Secret with a token in it. */
export function withToken(secret: Secret, token: string, id: string, renewAt: string): Secret {
  const annotations = { [TOKEN_ID_ANNOTATION]: id, [TOKEN_RENEW_ANNOTATION]: renewAt }
  return {
    ...secret,
    metadata: { ...secret.metadata, annotations },
    data: { ...secret.data, ...secretData({ token }) },
  }
}

function labelsOf(connector: Declared<'Connector'>): Record<string, string> {
  const { name } = connector.metadata
  return { [MANAGED_BY_LABEL]: FIELD_MANAGER, [COMPONENT_LABEL]: 'connector', [CONNECTOR_LABEL]: name }
}

function workload(
  connector: Declared<'Connector'>,
  network: Declared<'RemoteNetwork'>,
  deployment: KubeObject | undefined,
  { settings }: Context,
): Step[] {
  if (connector.spec?.deployment === 'External') {
    return deployment === undefined ? [] : [{ do: 'remove', object: deployment }]
  }
  const object = connectorDeployment(connector, network, labelsOf(connector), settings)
  return differs(object, deployment) ? [{ do: 'apply', object }] : []
}

function statusOf(connector: Declared<'Connector'>, { controller, nowMs }: Context): Plan {
  const { uid, name, namespace } = connector.metadata
  const accepted = isTrue('Accepted', 'Accepted', 'the Connector is accepted')
  const slot = controller.slot(uid)
  if (slot === undefined) {
    // While nothing is known of the Controller, what was said before stays.
    if (!controller.known && connector.status?.conditions !== undefined) return { steps: [] }
    const refusal = controller.refusal(uid)
    const enrolled =
      refusal !== undefined
        ? isFalse('Enrolled', 'Refused', refusal)
        : controller.known
          ? isFalse('Enrolled', 'Pending', `the slot of ${namespace}/${name} is being made`)
          : isFalse('Enrolled', 'ControllerUnavailable', 'the operator has no contact with the Controller')
    return planStatus(connector, [summary([accepted, enrolled]), accepted, enrolled], {}, nowMs)
  }
  const { connectorId, version, connected, registered, conflictAtMs } = slot
  const is = (holds: boolean, yes: Verdict, no: Verdict) => (holds ? yes : no)
  const enrolled = is(
    connectorId !== undefined,
    isTrue('Enrolled', 'Enrolled', 'a Connector has bound its key to the slot'),
    isFalse(
      'Enrolled',
      'NotEnrolled',
      `no Connector has enrolled with Secret ${namespace}/${connectorChildName(name)}`,
    ),
  )
  const connectedVerdict = is(
    connected,
    isTrue('ControllerConnected', 'Connected', 'the Connector has contact with the Controller'),
    isFalse('ControllerConnected', 'Disconnected', 'the Connector has no contact with the Controller'),
  )
  const registeredVerdict = is(
    registered,
    isTrue('Registered', 'Registered', 'the Connector is registered at a Relay'),
    isFalse('Registered', 'NotRegistered', 'the Connector is registered at no Relay'),
  )
  const conflict: Verdict[] =
    conflictAtMs === undefined
      ? []
      : [isTrue('EnrolmentConflict', 'SlotOccupied', 'someone else tried to enrol while the Connector lives')]
  const verdicts = [accepted, enrolled, connectedVerdict, registeredVerdict]
  const status = planStatus(
    connector,
    [summary(verdicts), ...verdicts, ...conflict],
    { ...(connectorId === undefined ? {} : { connectorID: connectorId }), ...(version ? { version } : {}) },
    nowMs,
  )
  return joinPlans(status, { steps: conflictEvent(connector, conflict) })
}

function conflictEvent(connector: Declared<'Connector'>, [conflict]: Verdict[]): Step[] {
  const told = connector.status?.conditions?.some(({ type }) => type === 'EnrolmentConflict')
  if (conflict === undefined || told) return []
  return [{ do: 'event', object: connector, type: 'Warning', reason: conflict.reason, message: conflict.message }]
}
