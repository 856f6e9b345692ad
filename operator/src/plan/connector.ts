import type { ConnectorTrust } from '@sallyport/schema'
import { type Declared, type KubeObject, ownerReference, type Secret, secretData, secretText } from '../object.ts'
import { isFalse, isTrue, planStatus, summary, type Verdict } from './condition.ts'
import { differs } from './difference.ts'
import { connectorLabels } from './label.ts'
import { isManaged, refuse } from './managed.ts'
import { hasPublicCa } from './public-url.ts'
import { isUsable } from './resource.ts'
import { deleteRow, putRow, rowMetadata } from './row.ts'
import { type Context, joinPlans, type Plan, runnerOf, type Step } from './step.ts'
import { replaceTokenAtMs, TOKEN_ID_ANNOTATION, TOKEN_RENEW_ANNOTATION, wantsToken, withToken } from './token.ts'

/** A Connector, its network and its children as they are. */
export type ConnectorWorld = {
  connector: Declared<'Connector'>
  network: Declared<'RemoteNetwork'> | undefined
  secret: Secret | undefined
  deployment: KubeObject | undefined
  /** PEM of the installation CA; undefined before it has been made. */
  installationCa: string | undefined
}

/** Name of a Connector's Secret and Deployment: its own. */
export const connectorChildName = (connector: string): string => connector

/** Plans a Connector: its slot, its Secret, its status. What runs it is planned with its RemoteNetwork, one after the other. */
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
    { steps: isManaged(connector) || deployment === undefined ? [] : [{ do: 'remove', object: deployment }] },
    statusOf(connector, context),
  )
}

function missingNetwork({ connector, network }: ConnectorWorld, managed: readonly string[]): Verdict | undefined {
  if (network !== undefined && isUsable(network, managed)) return undefined
  const name = `${connector.metadata.namespace}/${connector.spec?.remoteNetworkRef.name}`
  const why = network === undefined ? 'does not exist' : 'is not accepted'
  return isFalse('Accepted', 'RemoteNetworkNotFound', `RemoteNetwork ${name} ${why}`)
}

function planSecret(world: ConnectorWorld, network: Declared<'RemoteNetwork'>, context: Context): Plan {
  const { connector, secret, installationCa } = world
  const { controller, settings, publicUrl, nowMs } = context
  const slot = controller.slot(connector.metadata.uid)
  const { trust } = controller
  if (slot === undefined || trust === undefined || installationCa === undefined) return { steps: [] }
  const controllerUrl = isManaged(connector) ? settings.controllerUrl : publicUrl
  const trusted: ConnectorTrust = {
    // The Controller has checked its name.
    tenant: trust.tenant as ConnectorTrust['tenant'],
    issuer: trust.issuer,
    network: network.metadata.uid,
    controllerUrl,
    ...(hasPublicCa(controllerUrl, publicUrl, settings) ? { publicCa: true } : {}),
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
      labels: connectorLabels(connector),
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
  return { steps, wakeAtMs: replaceTokenAtMs(slot, secret) }
}

function statusOf(connector: Declared<'Connector'>, { controller, nowMs }: Context): Plan {
  const { uid, name, namespace } = connector.metadata
  const accepted = isTrue('Accepted', 'Accepted', 'the Connector is accepted')
  const slot = controller.slot(uid)
  const refusal = controller.refusal(uid) ?? controller.refusal(runnerOf(uid))
  if (slot === undefined) {
    // While nothing is known of the Controller, what was said before stays.
    if (!controller.known && connector.status?.conditions !== undefined) return { steps: [] }
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
    refusal === undefined
      ? isFalse(
          'Enrolled',
          'NotEnrolled',
          `no Connector has enrolled with Secret ${namespace}/${connectorChildName(name)}`,
        )
      : isFalse('Enrolled', 'Refused', refusal),
  )
  // The Connector that is there goes on as it is.
  const stuck = refusal === undefined ? [] : [isFalse('Progressing', 'Refused', refusal)]
  const connectedVerdict = is(
    connected,
    isTrue('ControllerConnected', 'Connected', 'the Connector has contact with the Controller'),
    isFalse('ControllerConnected', 'Disconnected', `Connector ${namespace}/${name} has no contact with the Controller`),
  )
  const registeredVerdict = is(
    registered,
    isTrue('Registered', 'Registered', 'the Connector is registered at a Relay'),
    isFalse('Registered', 'NotRegistered', `Connector ${namespace}/${name} is registered at no Relay`),
  )
  const conflict: Verdict[] =
    conflictAtMs === undefined
      ? []
      : [
          isTrue(
            'EnrolmentConflict',
            'SlotOccupied',
            `someone with the token of Secret ${namespace}/${connectorChildName(name)} was refused: the slot has a Connector`,
          ),
        ]
  const verdicts = [accepted, enrolled, connectedVerdict, registeredVerdict]
  const status = planStatus(
    connector,
    [summary(verdicts), ...verdicts, ...conflict, ...stuck],
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
