import { type Admission, admitRule, type Declarer, normaliseRule, PolicyError } from '@sallyport/policy'
import type { ResourceBody } from '@sallyport/schema'
import { type Declared, objectName } from '../object.ts'
import { isFalse, isTrue, planStatus, programmed, summary, type Verdict } from './condition.ts'
import { bodyDigest, deleteRow, putRow, rowMetadata } from './row.ts'
import { type Context, joinPlans, type Plan } from './step.ts'

/** A Resource and all that decides about it. */
export type ResourceWorld = {
  resource: Declared<'Resource'>
  /** The RemoteNetwork that it names; undefined when there is none. */
  network: Declared<'RemoteNetwork'> | undefined
  /** Who declares it, towards that RemoteNetwork. */
  declarer: Declarer | undefined
  /** The Group of each entry of `access`. */
  groups: readonly (Declared<'Group'> | undefined)[]
  /** An older Resource that has one of its exact names. */
  taken: { name: string; by: string } | undefined
}

/** Plans a Resource: its row and its status. */
export function planResource(world: ResourceWorld, { controller, settings, nowMs }: Context): Plan {
  const { resource, network } = world
  const { uid } = resource.metadata
  const accepted = accept(world)
  const resolved = resolve(world, settings.managedNamespaces)
  if (accepted.status !== 'True' || network === undefined || !isUsable(network, settings.managedNamespaces)) {
    const verdicts = [accepted, resolved]
    const unprogrammed = { ...summary(verdicts), type: 'Programmed' as const }
    return joinPlans(
      { steps: deleteRow('resource', uid, controller) },
      planStatus(resource, [summary(verdicts), ...verdicts, unprogrammed], {}, nowMs),
    )
  }
  const body = bodyOf(world, network)
  const verdicts = [accepted, resolved, programmed(resource, bodyDigest(body), controller)]
  // The Controller takes a Resource only into a network that it has.
  const canPut = controller.row(network.metadata.uid) !== undefined
  return joinPlans(
    { steps: canPut ? putRow('resource', uid, body, controller) : [] },
    planStatus(resource, [summary(verdicts), ...verdicts], { resourceID: uid }, nowMs),
  )
}

/** Whether a RemoteNetwork can take Resources and Connectors. */
export function isUsable(network: Declared<'RemoteNetwork'>, managedNamespaces: readonly string[]): boolean {
  return network.invalid === undefined && managedNamespaces.includes(network.metadata.namespace)
}

function bodyOf({ resource, groups }: ResourceWorld, network: Declared<'RemoteNetwork'>): ResourceBody {
  return {
    metadata: rowMetadata(resource),
    network: network.metadata.uid,
    spec: resource.spec!,
    groups: groups.map(group => group?.metadata.uid ?? null),
  }
}

function accept({ resource, declarer, taken }: ResourceWorld): Verdict {
  const refused = resource.invalid ?? ruleProblem(resource)
  if (refused !== undefined) return isFalse('Accepted', 'Invalid', refused)
  if (declarer !== undefined) {
    const admission: Admission = admitRule(normaliseRule(resource.spec!), declarer)
    if (!admission.allow) return isFalse('Accepted', admission.reason, admission.message)
  }
  if (taken !== undefined) {
    return isFalse(
      'Accepted',
      'NameTaken',
      `"${taken.name}" belongs to the older Resource ${taken.by} of the same RemoteNetwork`,
    )
  }
  return isTrue('Accepted', 'Accepted', 'the Resource is accepted')
}

function ruleProblem({ spec }: Declared<'Resource'>): string | undefined {
  try {
    normaliseRule(spec!)
    return undefined
  } catch (error) {
    if (error instanceof PolicyError) return error.message
    throw error
  }
}

function resolve({ resource, network, groups }: ResourceWorld, managedNamespaces: readonly string[]): Verdict {
  const { namespace } = resource.metadata
  if (network === undefined || !isUsable(network, managedNamespaces)) {
    const ref = resource.spec?.remoteNetworkRef
    const name = objectName(ref?.namespace ?? namespace, ref?.name ?? '')
    const why = network === undefined ? 'does not exist' : 'is not accepted'
    return isFalse('ResolvedRefs', 'RemoteNetworkNotFound', `RemoteNetwork ${name} ${why}`)
  }
  const missing = resource.spec?.access?.find((_, index) => groups[index] === undefined)
  if (missing !== undefined) {
    return isFalse('ResolvedRefs', 'GroupNotFound', `Group ${groupName(missing.group, namespace)} does not exist`)
  }
  return isTrue('ResolvedRefs', 'Resolved', 'every object that it names exists')
}

/** `namespace/name` of a Group as `access` names it. */
export function groupName(reference: string, namespace: string): string {
  return reference.includes('/') ? reference : objectName(namespace, reference)
}
