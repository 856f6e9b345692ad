import { conditionOf, type Declared, type KubeObject, nameOf } from '../object.ts'
import { isFalse, isTrue, type Verdict } from './condition.ts'
import { differs } from './difference.ts'
import type { ControllerView, Settings, Step } from './step.ts'

/** One of several Deployments, each with one pod, that are not taken down together. */
export type Member = {
  wanted: KubeObject
  live: KubeObject | undefined
  /** Why what runs in it does not serve, as the Controller sees it; undefined when it does. */
  idle: string | undefined
  /** Why a new pod could not begin at the moment; undefined when it could. */
  blocked: string | undefined
}

/**
 * Steps towards the wanted Deployments, and what Progressing says meanwhile. `asBefore` while Kubernetes has yet to look at a change of one of them,
 * anyone's; undefined: all are there, ready, as wanted.
 */
export type Rollout = { steps: Step[]; verdict: Verdict | 'asBefore' | undefined }

type LiveStatus = {
  observedGeneration?: number
  replicas?: number
  updatedReplicas?: number
  readyReplicas?: number
  conditions?: { type: string; status: string; reason?: string; message?: string }[]
}
type Known = Member & { live: KubeObject }

/** Why no pod that is ready is taken down at the moment; undefined when one may be. */
export function rolloutHold({ reachable, isWhole }: Pick<ControllerView, 'reachable' | 'isWhole'>): string | undefined {
  if (!reachable) return 'the operator has no contact with the Controller'
  return isWhole ? undefined : 'Connectors are still coming back to the Controller'
}

/**
 * Plans changes of Deployments one at a time: the next follows when the one before is ready again; one that does not serve goes first, for that takes
 * nothing away. Those whose pods have never been ready with the template that they have wait for nobody, so that what is broken can be mended. One
 * that was ready with it does wait: it may have lost its Relay or its node for a moment, and a change that is stuck elsewhere must not reach it then.
 * For `hold`, see {@link rolloutHold}, no pod that is ready is taken down.
 */
export function planRollout(members: readonly Member[], platform: Settings['platform'], hold?: string): Rollout {
  const missing = members.filter(({ live }) => live === undefined)
  const known = members.filter((member): member is Known => member.live !== undefined)
  const outdated = known.filter(({ wanted, live }) => differs(wanted, live))
  const startable = [...missing, ...(platform === 'host' ? outdated : [])].filter(
    ({ blocked }) => blocked === undefined,
  )
  // Processes of one machine have no status that could be waited for.
  if (platform === 'host') return { steps: startable.map(apply), verdict: undefined }
  if (known.some(({ live }) => !isObserved(live))) return { steps: startable.map(apply), verdict: 'asBefore' }
  const unsettled = known.filter(member => !outdated.includes(member) && unreadiness(member) !== undefined)
  const broken = outdated.filter(({ live }) => !hasReadyPod(live, platform) && !wasReady(live))
  const free = hold === undefined ? outdated : outdated.filter(({ live }) => !hasReadyPod(live, platform))
  const changed = broken.length > 0 ? broken : unsettled.length > 0 ? [] : free.sort(byNeed).slice(0, 1)
  const steps = [...startable, ...changed.filter(({ blocked }) => blocked === undefined)].map(apply)
  return { steps, verdict: verdictOf({ members, missing, outdated, unsettled, next: changed[0], hold }) }
}

/** What Progressing says of `object`; `settled` is for when its Deployments are at rest, `refused` why what is wanted was refused. */
export function progressing(
  object: Declared,
  { verdict }: Rollout,
  { settled, refused }: { settled: Verdict; refused: string | undefined },
): Verdict {
  if (refused !== undefined) return isFalse('Progressing', 'Refused', refused)
  if (verdict !== 'asBefore') return verdict ?? settled
  const before = conditionOf(object, 'Progressing')
  // The operator has written it.
  return before === undefined || before.reason === 'Refused' ? settled : (before as Verdict)
}

/** Whether a Deployment's pod is ready, whichever template it is of. Where nothing is known of pods, it is. */
export function hasReadyPod(deployment: KubeObject | undefined, platform: Settings['platform']): boolean {
  return platform === 'host' || (statusOf(deployment)?.readyReplicas ?? 0) > 0
}

const apply = ({ wanted }: Member): Step => ({ do: 'apply', object: wanted })

/** Those without a ready pod first, then those that serve nobody. */
const byNeed = (a: Known, b: Known) => needOf(b) - needOf(a)
const needOf = ({ live, idle }: Known) => (hasReadyPod(live, 'cluster') ? (idle === undefined ? 0 : 1) : 2)

function verdictOf({
  members,
  missing,
  outdated,
  unsettled,
  next,
  hold,
}: {
  members: readonly Member[]
  missing: readonly Member[]
  outdated: readonly Known[]
  unsettled: readonly Known[]
  next: Known | undefined
  hold: string | undefined
}): Verdict | undefined {
  const stuck = unsettled.find(isStuck)
  const waiting = outdated.length - (next === undefined ? 0 : 1)
  if (stuck !== undefined && next === undefined) {
    const others = waiting === 0 ? '' : `; ${waiting} more keep their former pods until it is`
    return isFalse('Progressing', 'RolloutStuck', `${named(stuck)} is not ready: ${unreadiness(stuck)}${others}`)
  }
  const of = `${members.length - outdated.length - missing.length} of ${members.length} Deployments are as wanted`
  const underWay = next ?? unsettled[0] ?? missing[0]
  const slow = underWay ?? outdated[0]
  if (slow === undefined) return undefined
  const why = underWay === undefined ? hold : (next?.blocked ?? (next === undefined ? unreadiness(slow) : undefined))
  const what = why === undefined ? `${named(slow)} is being changed` : `${named(slow)} waits: ${why}`
  return isTrue('Progressing', 'RollingOut', `${of}; ${what}`)
}

/** Why a Deployment does not count as ready with the pod that is wanted of it; undefined when it does. */
function unreadiness({ live, idle, blocked }: Member): string | undefined {
  if (live === undefined) return blocked ?? 'it is being made'
  const { replicas = 0, updatedReplicas = 0, readyReplicas = 0 } = statusOf(live) ?? {}
  if ((live.spec as { paused?: boolean } | undefined)?.paused === true) return 'someone has paused it'
  if (updatedReplicas === 0 || replicas > updatedReplicas) return 'its new pod is not there yet'
  if (readyReplicas === 0) return progress(live)?.status === 'False' ? deadline(live) : 'its pod is not ready yet'
  return idle
}

const isObserved = (deployment: KubeObject) =>
  (statusOf(deployment)?.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0)

/** Whether its pod has been ready with the template that it has: Kubernetes says so from then on. */
const wasReady = (deployment: KubeObject) => progress(deployment)?.reason === 'NewReplicaSetAvailable'

const isStuck = ({ live }: Member) => progress(live)?.status === 'False'

const progress = (deployment: KubeObject | undefined) =>
  statusOf(deployment)?.conditions?.find(({ type }) => type === 'Progressing')

const deadline = (deployment: KubeObject) => progress(deployment)?.message ?? 'its progress deadline is over'

const named = ({ wanted }: Member) => `Deployment ${nameOf(wanted)}`

/** The API server has validated it. */
const statusOf = (deployment: KubeObject | undefined) => deployment?.status as LiveStatus | undefined
