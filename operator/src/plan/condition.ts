import {
  type Condition,
  type ConditionType,
  canonicalJson,
  type Kind,
  type Reason,
  type ReasonOn,
} from '@sallyport/schema'
import { conditionOf, type Declared, type Statuses } from '../object.ts'
import type { ControllerView, Plan, Step } from './step.ts'

/** A condition before its times are known. */
export type Verdict = { type: ConditionType; status: Condition['status']; reason: Reason; message: string }

const MAX_MESSAGE = 1024
/** Reasons of Progressing for which someone has to do something. */
const STUCK = new Set(['RolloutStuck', 'Refused'])

export const isTrue = <T extends ConditionType>(type: T, reason: ReasonOn<T>, message: string): Verdict => ({
  type,
  status: 'True',
  reason,
  message,
})
export const isFalse = <T extends ConditionType>(type: T, reason: ReasonOn<T>, message: string): Verdict => ({
  type,
  status: 'False',
  reason,
  message,
})

/** Ready: True, or as the first of `verdicts` that is not. */
export function summary(verdicts: readonly Verdict[]): Verdict {
  const failing = verdicts.find(({ status }) => status !== 'True')
  if (failing === undefined) return isTrue('Ready', 'Ready', 'everything that it needs is there')
  return { ...failing, type: 'Ready' }
}

/** Writes the status where it says something else than what stands there, and tells of a change of Ready. */
export function planStatus<K extends Kind>(
  object: Declared<K>,
  verdicts: readonly Verdict[],
  rest: Omit<Statuses[K], 'conditions' | 'observedGeneration'>,
  nowMs: number,
): Plan {
  const conditions = verdicts.map(verdict => conditionFrom(object, verdict, nowMs))
  const status = { ...rest, observedGeneration: object.metadata.generation, conditions } as Statuses[K]
  if (canonicalJson(sorted(status)) === canonicalJson(sorted(object.status ?? {}))) return { steps: [] }
  return {
    steps: [{ do: 'status', object, status }, ...readyEvent(object, conditions), ...stuckEvent(object, conditions)],
  }
}

/** Whether the Connectors have acknowledged this generation; once True it is not taken back. */
export function programmed(object: Declared, digest: string, controller: ControllerView): Verdict {
  const before = conditionOf(object, 'Programmed')
  const { kind, metadata } = object
  const name = `${kind} "${metadata.name}"`
  const held = before?.status === 'True' && before.observedGeneration === metadata.generation
  const unless = (verdict: Verdict): Verdict =>
    held ? { ...verdict, status: 'True', reason: before.reason as Reason, message: before.message } : verdict
  if (!controller.known) {
    return unless(isFalse('Programmed', 'ControllerUnavailable', 'the operator has no contact with the Controller'))
  }
  const refusal = controller.refusal(metadata.uid)
  if (refusal !== undefined) return isFalse('Programmed', 'Refused', refusal.slice(0, MAX_MESSAGE))
  const row = controller.row(metadata.uid)
  const state = row?.digest === digest ? row.programming : undefined
  switch (state) {
    case 'programmed':
      return isTrue('Programmed', 'Programmed', `the Connectors have acknowledged ${name}`)
    case 'unused':
      return isTrue('Programmed', 'Unused', `no Resource names ${name}`)
    case 'noConnector':
      return unless(isFalse('Programmed', 'NoConnector', `no Connector was connected when ${name} changed`))
    case 'pending':
    case undefined:
      return unless(isFalse('Programmed', 'Pending', `${name} is on its way to the Connectors`))
  }
}

function conditionFrom(object: Declared, { type, status, reason, message }: Verdict, nowMs: number): Condition {
  const before = conditionOf(object, type)
  return {
    type,
    status,
    reason,
    message: message.slice(0, MAX_MESSAGE),
    lastTransitionTime:
      before?.status === status ? before.lastTransitionTime : `${new Date(nowMs).toISOString().slice(0, 19)}Z`,
    observedGeneration: object.metadata.generation,
  }
}

function readyEvent(object: Declared, conditions: readonly Condition[]): Step[] {
  const [before, after] = [conditionOf(object, 'Ready'), conditions.find(({ type }) => type === 'Ready')]
  if (after === undefined || (before?.status === after.status && before.reason === after.reason)) return []
  // What has just been made is not ready yet; that is no news.
  if (before === undefined && after.reason === 'Pending') return []
  const type = after.status === 'True' ? 'Normal' : 'Warning'
  return [{ do: 'event', object, type, reason: reasonOf(after), message: after.message }]
}

/** A stuck change may leave the object ready, so that Ready does not tell of it. */
function stuckEvent(object: Declared, conditions: readonly Condition[]): Step[] {
  const [before, after] = [conditionOf(object, 'Progressing'), conditions.find(({ type }) => type === 'Progressing')]
  if (after === undefined || !STUCK.has(after.reason) || before?.reason === after.reason) return []
  if (conditions.some(({ type, reason }) => type === 'Ready' && reason === after.reason)) return []
  return [{ do: 'event', object, type: 'Warning', reason: reasonOf(after), message: after.message }]
}

/** The operator writes reasons of its own list only. */
const reasonOf = ({ reason }: Condition) => reason as Reason

function sorted(status: Statuses[Kind]): object {
  const conditions = [...(status.conditions ?? [])].sort((a, b) => (a.type < b.type ? -1 : 1))
  return { ...status, conditions }
}
