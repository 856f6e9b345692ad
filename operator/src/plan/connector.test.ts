import type { DeclaredRow, OperatorTrust, SlotState } from '@sallyport/schema'
import { describe, expect, it } from 'vitest'
import { type Declared, type Secret, secretData, secretText } from '../object.ts'
import { planConnector } from './connector.ts'
import { bodyDigest, rowMetadata } from './row.ts'
import { settingsOf } from './settings.fixture.ts'
import { type Context, type Plan, runnerOf, type Settings } from './step.ts'
import { renewTokenAtMs, wantsToken, withToken } from './token.ts'

const NOW = 1_700_000_000_000
const DAY = 86_400_000
const [NETWORK, CONNECTOR] = ['0f2b7b7e-2f5c-4a0b-9f0e-7d1f6c1a4b11', '1f2b7b7e-2f5c-4a0b-9f0e-7d1f6c1a4b11']
const base: Secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'office-a', namespace: 'sallyport' } }
const holding = (id: string, renewAtMs = NOW + DAY) =>
  withToken(base, 'spe_token', id, new Date(renewAtMs).toISOString())
const slot = (more: Partial<SlotState> = {}): SlotState => ({
  tokenState: 'live',
  tokenId: 'one',
  tokenExpiresAtMs: NOW + 2 * DAY,
  connected: true,
  registered: true,
  ready: true,
  draining: false,
  connectorId: 'a'.repeat(32) as SlotState['connectorId'] & string,
  ...more,
})

describe('a token is wanted', () => {
  it.each([
    ['not while the Secret holds the live one', slot(), holding('one'), false],
    ['when there is no Secret', slot(), undefined, true],
    ['when the Secret holds none', slot(), base, true],
    ['when the Secret holds another', slot(), holding('two'), true],
    ['when none was ever issued', slot({ tokenState: 'none' }), undefined, true],
    ['when it has been used', slot({ tokenState: 'used' }), holding('one'), true],
    ['when it has expired', slot({ tokenState: 'expired' }), holding('one'), true],
    ['when it is due for renewal', slot(), holding('one', NOW), true],
    [
      'not early while no Connector is there: a new pod may have mounted it',
      slot({ connected: false }),
      holding('one', NOW),
      false,
    ],
    [
      'when its life is over, whoever is there',
      slot({ connected: false, tokenExpiresAtMs: NOW }),
      holding('one'),
      true,
    ],
    ['not a millisecond before', slot(), holding('one', NOW + 1), false],
    [
      'when nobody knows when it is due',
      slot(),
      { ...holding('one'), metadata: { ...base.metadata, annotations: { 'sallyport.dev/token-id': 'one' } } },
      true,
    ],
  ])('%s', (_, state, secret, wanted) => {
    expect(wantsToken(state, secret, NOW)).toBe(wanted)
  })

  it('again after three quarters of its life', () => {
    expect(renewTokenAtMs(NOW, NOW + 4 * DAY)).toBe(NOW + 3 * DAY)
  })
})

const metadata = { namespace: 'sallyport', generation: 1, creationTimestamp: '2030-01-01T00:00:00Z' }
const network: Declared<'RemoteNetwork'> = {
  apiVersion: 'sallyport.dev/v1alpha1',
  kind: 'RemoteNetwork',
  metadata: { ...metadata, name: 'office', uid: NETWORK },
}
const connector: Declared<'Connector'> = {
  apiVersion: 'sallyport.dev/v1alpha1',
  kind: 'Connector',
  metadata: { ...metadata, name: 'office-a', uid: CONNECTOR },
  spec: { remoteNetworkRef: { name: 'office' }, deployment: 'External' },
}
const trust: OperatorTrust = {
  tenant: 'default',
  issuer: 'sallyport://default',
  tenantCa: 'tenant ca',
  jwks: { clientAcl: { keys: [] }, connectorAcl: { keys: [] }, relayPass: { keys: [] } },
}
const context = (rows: DeclaredRow[], known = true, refusals: Record<string, string> = {}): Context => ({
  nowMs: NOW,
  publicUrl: 'https://outside',
  settings: settingsOf({ imagePullSecrets: ['regcred'] }),
  controller: {
    known,
    reachable: known,
    isWhole: known,
    trust,
    row: uid => rows.find(row => row.uid === uid),
    slot: uid => rows.find(row => row.uid === uid)?.slot,
    refusal: uid => refusals[uid],
  },
})
const digest = bodyDigest({ metadata: rowMetadata(connector), network: NETWORK, spec: connector.spec })
const networkRow: DeclaredRow = { kind: 'network', uid: NETWORK, digest: 'x', revision: 1 }
const row = (state: SlotState): DeclaredRow => ({ kind: 'connector', uid: CONNECTOR, digest, revision: 2, slot: state })
const world = { connector, network, secret: undefined, deployment: undefined, installationCa: 'installation ca' }
const dos = ({ steps }: Plan) => steps.map(step => step.do)

describe('a Connector', () => {
  it('is declared once its network is, and not before', () => {
    expect(dos(planConnector(world, context([])))).not.toContain('putRow')
    expect(dos(planConnector(world, context([networkRow])))).toContain('putRow')
  })

  it('is not declared again while it is as declared', () => {
    expect(dos(planConnector(world, context([networkRow, row(slot())])))).not.toContain('putRow')
  })

  it('gets its token and what to trust, with the URL for those outside', () => {
    const { steps } = planConnector(world, context([networkRow, row(slot({ tokenState: 'none' }))]))
    const step = steps.find(one => one.do === 'issueToken')
    const trusted = JSON.parse(secretText(step?.secret, 'trust.json') ?? '')
    expect(trusted).toMatchObject({
      controllerUrl: 'https://outside',
      installationCa: 'installation ca',
      tenantCa: 'tenant ca',
      network: NETWORK,
    })
    const managed = { ...connector, spec: { ...connector.spec!, deployment: 'Managed' as const } }
    const inside = planConnector(
      { ...world, connector: managed },
      context([networkRow, row(slot({ tokenState: 'none' }))]),
    )
    const issued = inside.steps.find(one => one.do === 'issueToken')
    expect(JSON.parse(secretText(issued?.secret, 'trust.json') ?? '').controllerUrl).toBe('https://inside')
  })

  it('trusts public CAs where people outside see the certificate of something in front of the Controller', () => {
    const trustOf = (one: typeof connector, settings: Partial<Settings>) => {
      const told = context([networkRow, row(slot({ tokenState: 'none' }))])
      const { steps } = planConnector({ ...world, connector: one }, { ...told, settings: settingsOf(settings) })
      return JSON.parse(secretText(steps.find(step => step.do === 'issueToken')?.secret, 'trust.json') ?? '')
    }
    const managed = { ...connector, spec: { ...connector.spec!, deployment: 'Managed' as const } }
    expect(trustOf(connector, { pinsLogin: true }).publicCa).toBeUndefined()
    expect(trustOf(connector, { pinsLogin: false }).publicCa).toBe(true)
    expect(trustOf(managed, { pinsLogin: false }).publicCa).toBeUndefined()
    expect(trustOf(managed, { pinsLogin: false, controllerUrl: 'https://outside' }).publicCa).toBe(true)
  })

  it('gets no Secret before there is a CA', () => {
    const plan = planConnector({ ...world, installationCa: undefined }, context([networkRow, row(slot())]))
    expect(dos(plan)).toEqual(['status', 'event'])
  })

  it('keeps its token when what to trust changes', () => {
    const live = { ...holding('one'), data: { ...secretData({ 'trust.json': 'old', token: 'spe_token' }) } }
    const { steps } = planConnector({ ...world, secret: live }, context([networkRow, row(slot())]))
    const step = steps.find(one => one.do === 'apply')
    expect(secretText(step?.object as Secret, 'token')).toBe('spe_token')
  })

  it('loses its slot when its network is gone, and never while nothing is known', () => {
    const without = { ...world, network: undefined }
    expect(dos(planConnector(without, context([row(slot())])))).toContain('deleteRow')
    expect(dos(planConnector(without, context([])))).not.toContain('deleteRow')
  })

  it('keeps its status while the Controller is out of reach', () => {
    const condition = { type: 'Ready', status: 'True', reason: 'Ready', message: '', observedGeneration: 1 } as const
    const before = {
      ...connector,
      status: { conditions: [{ ...condition, lastTransitionTime: '2030-01-01T00:00:00Z' }] },
    }
    expect(planConnector({ ...world, connector: before }, context([], false)).steps).toEqual([])
  })

  it.each([
    ['of itself or its Secret', CONNECTOR],
    ['of what runs it', runnerOf(CONNECTOR)],
  ])('says what was refused %s, enrolled or not, and nothing where nothing was', (_, uid) => {
    const verdicts = (state: SlotState, refusals: Record<string, string>) => {
      const { steps } = planConnector(world, context([networkRow, row(state)], true, refusals))
      const conditions = steps.flatMap(step => (step.do === 'status' ? (step.status.conditions ?? []) : []))
      return conditions
        .filter(({ type, reason }) => type === 'Ready' || reason === 'Refused')
        .map(({ type, status, reason, message }) => `${type} ${status} ${reason}: ${message}`)
    }
    const { connectorId: _id, ...vacant } = slot({ connected: false, registered: false, ready: false })
    const ready = 'Ready True Ready: everything that it needs is there'
    expect(verdicts(slot(), { [uid]: 'no' })).toEqual([ready, 'Progressing False Refused: no'])
    expect(verdicts(vacant, { [uid]: 'no' })).toEqual([
      'Ready False Refused: no',
      'Enrolled False Refused: no',
      'Progressing False Refused: no',
    ])
    expect(verdicts(slot(), { [NETWORK]: 'no' })).toEqual([ready])
    expect(verdicts(vacant, {})).toEqual([expect.stringContaining('Ready False NotEnrolled')])
  })

  it('says at once that someone else tries to enrol, and says it once', () => {
    const conflict = slot({ conflictAtMs: NOW })
    const first = planConnector(world, context([networkRow, row(conflict)]))
    const status = first.steps.find(one => one.do === 'status')
    expect(first.steps.filter(one => one.do === 'event' && one.reason === 'SlotOccupied')).toHaveLength(1)
    const told = { ...connector, status: status?.status as Declared<'Connector'>['status'] & object }
    const second = planConnector({ ...world, connector: told }, context([networkRow, row(conflict)]))
    expect(dos(second)).toEqual(['issueToken'])
    const over = planConnector({ ...world, connector: told }, context([networkRow, row(slot())]))
    const after = over.steps.find(one => one.do === 'status')
    expect(after?.status.conditions?.map(({ type }) => type)).not.toContain('EnrolmentConflict')
  })
})
