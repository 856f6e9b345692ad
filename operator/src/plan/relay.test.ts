import type { Specs } from '@sallyport/schema'
import { createCa, generateKeyPair, issueServingCertificate, privateKeyToPem } from '@sallyport/trust'
import { describe, expect, it } from 'vitest'
import { type Declared, type KubeObject, type Secret, secretData } from '../object.ts'
import { KEY_IDS_ANNOTATION, planRelay } from './relay.ts'
import type { RelayWorld } from './replica.ts'
import { settingsOf } from './settings.fixture.ts'
import type { Context, Settings, Step } from './step.ts'

const NOW = Date.parse('2030-01-01T00:00:00Z')
const UID = '0f2b7b7e-2f5c-4a0b-9f0e-7d1f6c1a4b11'
const relay = (template: string): Declared<'Relay'> => ({
  apiVersion: 'sallyport.dev/v1alpha1',
  kind: 'Relay',
  metadata: {
    ...{ name: 'edge', namespace: 'sallyport', uid: UID, generation: 1 },
    creationTimestamp: '2030-01-01T00:00:00Z',
  },
  spec: { replicas: 1, address: { template } },
})
const world = (template: string, more: Partial<RelayWorld> = {}): RelayWorld => ({
  relay: relay(template),
  ...{
    secrets: [],
    deployments: [],
    services: [],
    nodes: [],
    issued: [],
    budget: undefined,
    installationCa: undefined,
  },
  ...more,
})
const context = (changes: Partial<Settings> = {}): Context => ({
  nowMs: NOW,
  publicUrl: 'https://controller.example.com:8443',
  settings: settingsOf({ controllerUrl: 'https://inside.svc', controllerNames: ['Alias.example.com'], ...changes }),
  controller: {
    known: true,
    reachable: true,
    isWhole: true,
    trust: {
      ...{ tenant: 'default', issuer: 'sallyport://default', tenantCa: '' },
      jwks: { clientAcl: { keys: [] }, connectorAcl: { keys: [] }, relayPass: { keys: [] } },
    },
    row: uid => ({
      ...{ kind: 'relay', uid, digest: 'x', revision: 1 },
      relay: { keyIds: ['1'], acknowledgedKeyIds: ['1'], registered: false },
    }),
    slot: () => undefined,
    refusal: () => undefined,
  },
})
const dos = (template: string, more: Partial<RelayWorld> = {}, changes: Partial<Settings> = {}) =>
  planRelay(world(template, more), context(changes)).steps
const conditionOf = (steps: ReturnType<typeof dos>, type: string) =>
  steps.flatMap(step => (step.do === 'status' ? (step.status.conditions ?? []) : [])).find(one => one.type === type)

const child = (kind: string, name: string): KubeObject => ({
  ...{ apiVersion: 'v1', kind },
  metadata: { name, namespace: 'sallyport', labels: { 'sallyport.dev/relay': 'edge' } },
})
const secretWith = (keyIds: string): Secret => {
  const { apiVersion, metadata } = child('Secret', 'edge-0')
  return { apiVersion, kind: 'Secret', metadata: { ...metadata, annotations: { [KEY_IDS_ANNOTATION]: keyIds } } }
}
const removed = (steps: readonly Step[]) =>
  steps.flatMap(step => (step.do === 'remove' ? [`${step.object.kind} ${step.object.metadata.name}`] : []))

describe('a Relay', () => {
  it.each([
    ['the public URL', 'controller.example.com:7443', 'NameReserved'],
    ['the public URL, in capitals and with a dot', 'Controller.Example.COM.:7443', 'NameReserved'],
    ['the URL in the cluster', 'inside.svc:7443', 'NameReserved'],
    ['a further name', 'alias.example.com:7443', 'NameReserved'],
    ['a host beside it', 'relay.example.com:7443', 'Accepted'],
    ['a host below it', 'r{index}.controller.example.com:7443', 'Accepted'],
    ['an IP address', '192.0.2.1:7443', 'Accepted'],
  ])('may not have the name of the Controller: %s is judged', (_, template, reason) => {
    const steps = dos(template)
    expect(conditionOf(steps, 'Accepted')).toMatchObject({ reason, status: reason === 'Accepted' ? 'True' : 'False' })
    expect(steps.some(step => step.do === 'putRow')).toBe(reason === 'Accepted')
  })

  it('loses row and Secret when its name becomes that of the Controller', () => {
    const metadata = { name: 'edge-0', namespace: 'sallyport', labels: { 'sallyport.dev/relay': 'edge' } }
    const secret: Secret = { apiVersion: 'v1', kind: 'Secret', metadata }
    const steps = dos('controller.example.com:7443', { secrets: [secret] })
    expect(steps).toContainEqual({ do: 'remove', object: secret })
    expect(steps.some(step => step.do === 'deleteRow')).toBe(true)
  })

  it('keeps the Services whose address is refused, and no others', () => {
    const ingress = [{ hostname: 'controller.example.com' }]
    const service = (name: string) => ({ ...child('Service', name), status: { loadBalancer: { ingress } } })
    const services = ['edge-0', 'edge-1'].map(service)
    const spec = { replicas: 1, address: { fromService: true } }
    const about = { ...world('', { services }), relay: { ...relay(''), spec } }
    const { steps } = planRelay(about, context())
    expect(conditionOf(steps, 'Accepted')).toMatchObject({ reason: 'NameReserved' })
    expect(removed(steps)).toEqual(['Service edge-1'])
    const elsewhere = planRelay(about, context({ managedNamespaces: ['elsewhere'] }))
    expect(removed(elsewhere.steps)).toEqual(['Service edge-0', 'Service edge-1'])
  })

  it('says what was refused of it while it serves, and not what was of another', () => {
    const { controller, ...rest } = context()
    const registered = { keyIds: ['1'], acknowledgedKeyIds: ['1'], registered: true }
    const row = (uid: string) => ({ ...{ kind: 'relay' as const, uid, digest: 'x', revision: 1 }, relay: registered })
    const verdicts = (refused: string) => {
      const refusal = (uid: string) => (uid === refused ? 'no' : undefined)
      const { steps } = planRelay(world('192.0.2.1:443'), { ...rest, controller: { ...controller, row, refusal } })
      return ['Ready', 'Progressing'].map(type => conditionOf(steps, type)?.reason)
    }
    expect(verdicts(UID)).toEqual(['Ready', 'Refused'])
    expect(verdicts('another')).toEqual(['Ready', 'RollingOut'])
  })

  it.each([
    ['while Connectors are still coming back to the Controller', { isWhole: false }, []],
    ['while the Controller is not reached', { reachable: false, isWhole: false }, []],
    ['when all that may serve is known', {}, ['edge-0']],
  ])('has a ready pod replaced by another image %s: %j', (_, state, wanted) => {
    const status = { observedGeneration: 1, replicas: 1, updatedReplicas: 1, readyReplicas: 1 }
    const running = child('Deployment', 'edge-0')
    const about = context()
    const { steps } = planRelay(
      world('edge-{index}.example.com:443', {
        deployments: [{ ...running, metadata: { ...running.metadata, generation: 1 }, spec: {}, status }],
        secrets: [secretWith('1')],
      }),
      { ...about, controller: { ...about.controller, ...state } },
    )
    const applied = steps.flatMap(step => (step.do === 'apply' ? [step.object] : []))
    expect(applied.filter(({ kind }) => kind === 'Deployment').map(({ metadata }) => metadata.name)).toEqual(wanted)
  })

  it('loses what runs its replicas when someone else runs them, of those that are too many as well', () => {
    const names = ['edge-0', 'edge-1', 'edge-2']
    const [secrets, deployments, services] = (['Secret', 'Deployment', 'Service'] as const).map(kind =>
      names.map(name => child(kind, name)),
    ) as [Secret[], KubeObject[], KubeObject[]]
    const of = (spec: Specs['Relay']) =>
      removed(
        planRelay({ ...world(''), relay: { ...relay(''), spec }, secrets, deployments, services }, context()).steps,
      )
    const address = { template: 'r{index}.example.com:443' }
    expect(of({ replicas: 3, address })).toEqual([])
    expect(of({ replicas: 2, address })).toEqual(['Secret edge-2', 'Deployment edge-2', 'Service edge-2'])
    expect(of({ replicas: 2, address, deployment: 'External' })).toEqual([
      'Secret edge-2',
      ...names.map(name => `Deployment ${name}`),
      ...names.map(name => `Service ${name}`),
    ])
  })
})

describe("a Relay's certificate that others issue", () => {
  const ca = createCa({ commonName: 'theirs' }, { nowMs: NOW, lifeSeconds: 86_400 })
  const issue = (name: string, dnsName: string): Secret => {
    const { publicKey, privateKey } = generateKeyPair()
    const dnsNames = [dnsName, 'another.example.com']
    const certificate = issueServingCertificate(ca, { publicKey, dnsNames }, { nowMs: NOW, lifeSeconds: 3600 })
    const data = secretData({ 'tls.crt': certificate, 'tls.key': privateKeyToPem(privateKey) })
    return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'sallyport' }, data }
  }
  const plan = (issued: Secret[]) =>
    dos('relay.example.com:7443', { issued, installationCa: ca.certificatePem }, { certificates: 'external' })
  const wants = (steps: ReturnType<typeof dos>) => steps.flatMap(step => (step.do === 'relaySecret' ? [step.want] : []))

  it('is taken over from the Secret of its replica', () => {
    const issued = issue('edge-0-tls', 'relay.example.com')
    const [want] = wants(plan([issue('edge-1-tls', 'relay.example.com'), issued]))
    expect(secretData({ 'tls.crt': want?.certificate?.certificatePem ?? '' })['tls.crt']).toBe(issued.data?.['tls.crt'])
  })

  it.each([
    ['there is none', []],
    ['it is for another host', [issue('edge-0-tls', 'elsewhere.example.com')]],
    ["it is another replica's", [issue('edge-1-tls', 'relay.example.com')]],
  ])('is waited for, and none is issued, while %s', (_, issued) => {
    const steps = plan(issued)
    expect(wants(steps)).toEqual([])
    expect(conditionOf(steps, 'Available')).toMatchObject({
      reason: 'CertificatePending',
      message: 'Secret sallyport/edge-0-tls holds no certificate for relay.example.com',
    })
  })
})
