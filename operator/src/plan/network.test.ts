import type { SlotState } from '@sallyport/schema'
import { describe, expect, it } from 'vitest'
import { type Declared, type KubeObject, ownerReference } from '../object.ts'
import { type ConnectorChildren, planNetwork } from './network.ts'
import { settingsOf } from './settings.fixture.ts'
import { type Context, runnerOf, type Step } from './step.ts'
import { withToken } from './token.ts'

const metadata = { namespace: 'sallyport', generation: 1, creationTimestamp: '2030-01-01T00:00:00Z' }
const network: Declared<'RemoteNetwork'> = {
  apiVersion: 'sallyport.dev/v1alpha1',
  kind: 'RemoteNetwork',
  metadata: { ...metadata, name: 'office', uid: 'n' },
  spec: { connectors: { replicas: 1 } },
}
const connector = (name: string, owner?: Declared<'RemoteNetwork'>): Declared<'Connector'> => ({
  apiVersion: 'sallyport.dev/v1alpha1',
  kind: 'Connector',
  metadata: { ...metadata, name, uid: name, ownerReferences: owner === undefined ? [] : [ownerReference(owner)] },
  spec: { remoteNetworkRef: { name: 'office' }, deployment: 'Managed' },
})
const deployment: KubeObject = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'office-1' } }
const surplus: ConnectorChildren = { connector: connector('office-1', network), secret: undefined, deployment }
const stopped: ConnectorChildren = { ...surplus, deployment: undefined }

/** A Controller that is reached and says of every slot whether its Connector is connected. */
const context = (connected: boolean, reachable = true, refusals: Record<string, string> = {}): Context => ({
  nowMs: 0,
  publicUrl: 'https://outside',
  settings: settingsOf(),
  controller: {
    known: true,
    reachable,
    isWhole: reachable,
    trust: undefined,
    row: () => undefined,
    slot: () => ({ connected, registered: connected, ready: connected }) as SlotState,
    refusal: uid => refusals[uid],
  },
})
const plan = (member: ConnectorChildren, about: Context) =>
  planNetwork({ network, members: [member], budget: undefined }, about)
const removed = (member: ConnectorChildren, about: Context) =>
  plan(member, about).steps.flatMap((step: Step) =>
    step.do === 'remove' ? [`${step.object.kind} ${step.object.metadata.name}`] : [],
  )

describe('a Connector that is one too many', () => {
  it('drains before its object goes, with which its identity ends', () => {
    expect(removed(surplus, context(true))).toEqual(['Deployment office-1'])
    expect(removed(stopped, context(true))).toEqual([])
    expect(removed(stopped, context(false))).toEqual(['Connector office-1'])
  })

  it('goes without that where nobody could tell when it has drained', () => {
    expect(removed(stopped, context(true, false))).toEqual(['Connector office-1'])
  })

  it('counts no more, and the network is not at rest while it ends', () => {
    const { steps } = plan(stopped, context(true))
    const status = steps.find(step => step.do === 'status')?.status
    expect(status).toMatchObject({ connectors: { desired: 1, ready: 0 } })
    expect(status?.conditions).toContainEqual(expect.objectContaining({ type: 'Progressing', status: 'True' }))
  })

  it('is left alone when a person has declared it', () => {
    expect(removed({ ...stopped, connector: connector('office-1') }, context(false))).toEqual([])
  })
})

describe('a Connector whose image is another', () => {
  const token = { tokenId: 't', tokenState: 'live', tokenExpiresAtMs: 1 } as const
  const status = { observedGeneration: 1, replicas: 1, updatedReplicas: 1, readyReplicas: 1 }
  const secret = withToken({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'office-0' } }, 'spe_', 't', '')
  const running: ConnectorChildren = {
    connector: connector('office-0', network),
    secret,
    deployment: {
      ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'office-0', generation: 1 } },
      ...{ spec: {}, status },
    },
  }

  it.each([
    ['is replaced', true, ['office-0']],
    ['is not while others are still coming back to the Controller', false, []],
  ])('%s', (_, isWhole, wanted) => {
    const about = context(true)
    const slot = () => ({ ...about.controller.slot('')!, ...token })
    const { steps } = plan(running, { ...about, controller: { ...about.controller, isWhole, slot } })
    const applied = steps.flatMap(step => (step.do === 'apply' ? step.object : []))
    expect(applied.filter(({ kind }) => kind === 'Deployment').map(({ metadata: { name } }) => name)).toEqual(wanted)
  })
})

describe('what was refused', () => {
  const own: ConnectorChildren = { connector: connector('office-0', network), secret: undefined, deployment: undefined }
  const verdicts = (connected: boolean, refusals: Record<string, string>) => {
    const { steps } = plan(own, context(connected, true, refusals))
    const status = steps.find(step => step.do === 'status')?.status
    const events = steps.flatMap(step => (step.do === 'event' && step.reason === 'Refused' ? step.message : []))
    const conditions = (status?.conditions ?? []).map(({ type, status, reason }) => `${type} ${status} ${reason}`)
    return { conditions, events }
  }

  it.each([
    ['the network', 'n'],
    ['what runs a Connector', runnerOf('office-0')],
  ])('of %s is told once, whether Connectors are ready or not', (_, uid) => {
    expect(verdicts(true, { [uid]: 'no' })).toEqual({
      conditions: [
        'Ready True Ready',
        'Accepted True Accepted',
        'Available True ConnectorsReady',
        'Progressing False Refused',
      ],
      events: ['no'],
    })
    expect(verdicts(false, { [uid]: 'no' })).toEqual({
      conditions: [
        'Ready False Refused',
        'Accepted True Accepted',
        'Available False Refused',
        'Progressing False Refused',
      ],
      events: ['no'],
    })
  })

  it('of others is not', () => {
    expect(verdicts(true, { [runnerOf('elsewhere')]: 'no', 'office-0': 'no' }).events).toEqual([])
  })
})
