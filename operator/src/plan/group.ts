import type { Declared } from '../object.ts'
import { isFalse, isTrue, planStatus, programmed, summary } from './condition.ts'
import { bodyDigest, deleteRow, putRow, rowMetadata } from './row.ts'
import { type Context, joinPlans, type Plan } from './step.ts'

/** Plans a Group: its row and its status. */
export function planGroup(group: Declared<'Group'>, { controller, nowMs }: Context): Plan {
  const { uid } = group.metadata
  if (group.invalid !== undefined) {
    const refused = isFalse('Accepted', 'Invalid', group.invalid)
    const status = planStatus(group, [{ ...refused, type: 'Ready' }, refused], {}, nowMs)
    return joinPlans({ steps: deleteRow('group', uid, controller) }, status)
  }
  const body = { metadata: rowMetadata(group), spec: group.spec ?? {} }
  const verdicts = [
    isTrue('Accepted', 'Accepted', 'the Group is accepted'),
    programmed(group, bodyDigest(body), controller),
  ]
  return joinPlans(
    { steps: putRow('group', uid, body, controller) },
    planStatus(group, [summary(verdicts), ...verdicts], {}, nowMs),
  )
}
