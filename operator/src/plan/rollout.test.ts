import { describe, expect, it } from 'vitest'
import type { Declared, KubeObject } from '../object.ts'
import { isFalse, isTrue, type Verdict } from './condition.ts'
import { hasReadyPod, type Member, planRollout, progressing, rolloutHold } from './rollout.ts'

const deployment = (name: string, image: string, more: object = {}): KubeObject => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, namespace: 'sallyport', generation: 2 },
  spec: { template: { image } },
  ...more,
})
const READY = { observedGeneration: 2, replicas: 1, updatedReplicas: 1, readyReplicas: 1 }
const NEVER = { observedGeneration: 2, replicas: 1, updatedReplicas: 1 }
const COMPLETE = { type: 'Progressing', status: 'True', reason: 'NewReplicaSetAvailable' }
/** Its pod was ready, and is not at the moment. */
const DOWN = { ...NEVER, conditions: [COMPLETE] }
const OLD_STILL_THERE = { ...DOWN, replicas: 1, updatedReplicas: 0, readyReplicas: 1 }
const OVER = { type: 'Progressing', status: 'False', message: 'it has timed out progressing.' }
const STUCK = { ...NEVER, conditions: [OVER] }

/** A member that runs `image` and is to run `new`. */
function member(name: string, image: string, status: object = READY, more: Partial<Member> = {}): Member {
  const live = deployment(name, image, { status })
  return { wanted: deployment(name, 'new'), live, idle: undefined, blocked: undefined, ...more }
}
const missing = (name: string, more: Partial<Member> = {}): Member => ({
  ...member(name, 'new'),
  live: undefined,
  ...more,
})
const IDLE = { idle: 'Connector sallyport/x is not registered at a Relay' }
const BLOCKED = { blocked: 'Secret sallyport/x has no fresh enrolment token yet' }

const applied = (members: Member[]) =>
  planRollout(members, 'cluster').steps.map(step => (step.do === 'apply' ? step.object.metadata.name : step.do))

describe('a change of several Deployments', () => {
  it.each<[string, Member[], string[]]>([
    ['reaches one', [member('a', 'old'), member('b', 'old')], ['a']],
    ['reaches the next when the one before is ready', [member('a', 'new'), member('b', 'old')], ['b']],
    ['not while its pod is not ready', [member('a', 'new', NEVER), member('b', 'old')], []],
    ['not while its pod is not ready any more', [member('a', 'new', DOWN), member('b', 'old')], []],
    ['not while it has its former pod', [member('a', 'new', OLD_STILL_THERE), member('b', 'old')], []],
    ['not while nobody is registered through it', [member('a', 'new', READY, IDLE), member('b', 'old')], []],
    ['not when it is stuck', [member('a', 'new', STUCK), member('b', 'old')], []],
    [
      'not before Kubernetes has looked at it',
      [member('a', 'new', { ...READY, observedGeneration: 1 }), member('b', 'old')],
      [],
    ],
    ['not while another is paused', [paused('a'), member('b', 'old')], []],
    ['goes first to the one that has no pod', [member('a', 'old'), member('b', 'old', DOWN)], ['b']],
    [
      'goes first to the one that is stuck with another image',
      [member('a', 'old'), member('b', 'older', STUCK)],
      ['b'],
    ],
    ['else first to the one that serves nobody', [member('a', 'old'), member('b', 'old', READY, IDLE)], ['b']],
    ['goes one by one to those that are down', [member('a', 'old', DOWN), member('b', 'old', DOWN)], ['a']],
    ['waits for one on its way, even for one that is down', [member('a', 'new', NEVER), member('b', 'old', DOWN)], []],
    [
      'when stuck, reaches nobody who may be back in a moment',
      [member('a', 'new', STUCK), member('b', 'old', DOWN)],
      [],
    ],
    ['nor anyone who serves nobody', [member('a', 'new', STUCK), member('b', 'old', READY, IDLE)], []],
    ['mends all that never were ready', [member('a', 'old', NEVER), member('b', 'older', STUCK)], ['a', 'b']],
    ['whoever else is stuck', [member('a', 'new', STUCK), member('b', 'old', NEVER), member('c', 'old')], ['b']],
    ['but none that could not begin', [member('a', 'old', NEVER, BLOCKED), member('b', 'old')], []],
    ['waits where a new pod could not begin', [member('a', 'old', READY, BLOCKED), member('b', 'old')], []],
    ['makes all that are missing at once', [missing('a'), missing('b')], ['a', 'b']],
    ['and waits for them', [missing('a'), member('b', 'new', DOWN), member('c', 'old')], ['a']],
    ['makes none that could not begin', [missing('a', BLOCKED)], []],
    ['is over when all have it', [member('a', 'new'), member('b', 'new')], []],
  ])('%s', (_, members, wanted) => {
    expect(applied(members)).toEqual(wanted)
  })

  it.each<[string, Member[], string[]]>([
    ['reaches none that has a ready pod', [member('a', 'old'), member('b', 'old', READY, IDLE)], []],
    ['reaches one that has none', [member('a', 'old'), member('b', 'old', DOWN)], ['b']],
    ['mends what never was ready', [member('a', 'old', NEVER), member('b', 'old')], ['a']],
    ['makes what is missing', [missing('a'), member('b', 'old')], ['a']],
  ])('%s while it is held', (_, members, wanted) => {
    const { steps } = planRollout(members, 'cluster', 'as asked')
    expect(steps.map(step => (step.do === 'apply' ? step.object.metadata.name : step.do))).toEqual(wanted)
  })

  it('says for what it is held, and nothing of that when there is nothing to change', () => {
    const { verdict } = planRollout([member('a', 'new'), member('b', 'old')], 'cluster', 'as asked')
    expect(verdict).toMatchObject({
      status: 'True',
      reason: 'RollingOut',
      message: '1 of 2 Deployments are as wanted; Deployment sallyport/b waits: as asked',
    })
    expect(planRollout([member('a', 'new')], 'cluster', 'as asked').verdict).toBeUndefined()
  })

  it.each([
    [false, false, 'the operator has no contact with the Controller'],
    [true, false, 'Connectors are still coming back to the Controller'],
    [true, true, undefined],
  ])('is held until the Controller is reached (%s) and has heard of all (%s)', (reachable, isWhole, wanted) => {
    expect(rolloutHold({ reachable, isWhole })).toBe(wanted)
  })

  it('reaches all processes of one machine at once', () => {
    const { steps, verdict } = planRollout([member('a', 'old'), member('b', 'old'), missing('c')], 'host')
    expect(steps).toHaveLength(3)
    expect(verdict).toBeUndefined()
  })
})

describe('Progressing', () => {
  const verdictOf = (...members: Member[]) => {
    const { verdict } = planRollout(members, 'cluster')
    return typeof verdict === 'object' ? `${verdict.status} ${verdict.reason}: ${verdict.message}` : verdict
  }
  it.each<[string, Member[], string | undefined]>([
    ['says nothing of what is at rest', [member('a', 'new'), member('b', 'new')], undefined],
    [
      'names the one that is changed',
      [member('a', 'old'), member('b', 'old')],
      'True RollingOut: 0 of 2 Deployments are as wanted; Deployment sallyport/a is being changed',
    ],
    [
      'names the one that is waited for',
      [member('a', 'new', DOWN), member('b', 'old')],
      'True RollingOut: 1 of 2 Deployments are as wanted; Deployment sallyport/a waits: its pod is not ready yet',
    ],
    [
      'says what is waited for',
      [member('a', 'new', READY, IDLE), member('b', 'old')],
      'True RollingOut: 1 of 2 Deployments are as wanted; Deployment sallyport/a waits: Connector sallyport/x is not registered at a Relay',
    ],
    [
      'says why it cannot go on',
      [member('a', 'old', READY, BLOCKED)],
      'True RollingOut: 0 of 1 Deployments are as wanted; Deployment sallyport/a waits: Secret sallyport/x has no fresh enrolment token yet',
    ],
    [
      'is False where it is stuck',
      [member('a', 'new', STUCK), member('b', 'old')],
      'False RolloutStuck: Deployment sallyport/a is not ready: it has timed out progressing.; 1 more keep their former pods until it is',
    ],
    [
      'is False where there is nothing more to change',
      [member('a', 'new', STUCK), member('b', 'new')],
      'False RolloutStuck: Deployment sallyport/a is not ready: it has timed out progressing.',
    ],
  ])('%s', (_, members, wanted) => {
    expect(verdictOf(...members)).toBe(wanted)
  })

  const settled = isFalse('Progressing', 'Settled', 'settled')
  const before: Verdict = isTrue('Progressing', 'RollingOut', 'before')
  const object = (conditions: Verdict[]) => ({ status: { conditions } }) as unknown as Declared<'RemoteNetwork'>
  it('stays as it was until Kubernetes has looked', () => {
    const rollout = planRollout([member('a', 'new', { ...READY, observedGeneration: 1 })], 'cluster')
    const about = { settled, refused: undefined }
    expect(progressing(object([before]), rollout, about)).toEqual(before)
    expect(progressing(object([]), rollout, about)).toEqual(settled)
    expect(progressing(object([before]), planRollout([member('a', 'new')], 'cluster'), about)).toEqual(settled)
  })

  it('says what was refused before anything else, and not for longer', () => {
    const rollout = planRollout([member('a', 'new', { ...READY, observedGeneration: 1 })], 'cluster')
    const refused = isFalse('Progressing', 'Refused', 'no')
    expect(progressing(object([before]), rollout, { settled, refused: 'no' })).toEqual(refused)
    expect(progressing(object([refused]), rollout, { settled, refused: undefined })).toEqual(settled)
  })
})

describe('a ready pod', () => {
  it.each<[string, KubeObject | undefined, 'cluster' | 'host', boolean]>([
    ['is one that Kubernetes counts', deployment('a', 'x', { status: READY }), 'cluster', true],
    ['is none before', deployment('a', 'x', { status: DOWN }), 'cluster', false],
    ['is none without a Deployment', undefined, 'cluster', false],
    ['is not asked for on one machine', deployment('a', 'x'), 'host', true],
  ])('%s', (_, live, platform, wanted) => {
    expect(hasReadyPod(live, platform)).toBe(wanted)
  })
})

function paused(name: string): Member {
  const self = member(name, 'new', DOWN)
  return { ...self, live: { ...self.live!, spec: { paused: true, template: { image: 'new' } } } }
}
