import { describe, expect, it } from 'vitest'
import type { Declared, KubeObject } from '../object.ts'
import { planExposure } from './exposure.ts'
import type { Context, Settings } from './step.ts'

const UID = '0f2b7b7e-2f5c-4a0b-9f0e-7d1f6c1a4b11'
const context = (refusal?: string) =>
  ({
    nowMs: 0,
    settings: { clusterDomain: 'cluster.local' } as Settings,
    controller: { refusal: () => refusal },
  }) as unknown as Context

const service = (annotations: Record<string, string>, spec: object = {}, name = 'web'): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: {
    name,
    namespace: 'team',
    uid: UID,
    annotations: Object.fromEntries(Object.entries(annotations).map(([key, text]) => [`sallyport.dev/${key}`, text])),
  },
  spec: { type: 'ClusterIP', selector: { app: 'web' }, ports: [{ port: 80, protocol: 'TCP' }], ...spec },
})
const plan = (one: KubeObject, there: KubeObject[] = [], refusal?: string) => {
  const resources = there as unknown as Declared<'Resource'>[]
  return planExposure(
    {
      service: one,
      children: resources.filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid === UID)),
      find: name => resources.find(({ metadata }) => metadata.name === name),
    },
    context(refusal),
  ).steps
}
const child = (one: KubeObject) => {
  const [step] = plan(one)
  return step?.do === 'apply' ? step.object : expect.fail(JSON.stringify(step))
}
const mistake = (one: KubeObject, there: KubeObject[] = []) => {
  const steps = plan(one, there)
  const [step] = steps
  expect(steps).toHaveLength(1)
  return step?.do === 'tell' ? step.message : expect.fail(JSON.stringify(step))
}

describe('a Service that asks to be exposed', () => {
  it('is a Resource with its name, its ports and nobody who may reach it', () => {
    const { metadata, spec } = child(service({ expose: 'office' }))
    expect(spec).toEqual({
      remoteNetworkRef: { name: 'office' },
      address: 'web.team.svc.cluster.local',
      protocols: {
        tcp: { policy: 'Restricted', ports: [{ start: 80, end: 80 }] },
        udp: { policy: 'DenyAll' },
        icmp: 'Deny',
      },
    })
    expect(metadata).toMatchObject({
      name: 'web',
      namespace: 'team',
      labels: { 'app.kubernetes.io/managed-by': 'sallyport-operator' },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Service', name: 'web', uid: UID, controller: true }],
    })
  })

  it('is reached by Groups, has aliases and another name, in whatever spacing', () => {
    const annotations = {
      expose: 'net/office',
      groups: 'a, ops/b,,a',
      aliases: 'web.internal ,w.internal',
      name: 'shop',
    }
    const { metadata, spec } = child(service(annotations))
    expect(metadata.name).toBe('shop')
    expect(spec).toMatchObject({
      remoteNetworkRef: { name: 'office', namespace: 'net' },
      aliases: ['web.internal', 'w.internal'],
      access: [{ group: 'a' }, { group: 'ops/b' }],
    })
  })

  it('has each port of each protocol once', () => {
    const ports = [
      { port: 53, protocol: 'UDP' },
      { port: 443 },
      { port: 53, protocol: 'TCP' },
      { port: 443, protocol: 'TCP' },
    ]
    expect(child(service({ expose: 'office' }, { ports })).spec).toMatchObject({
      protocols: {
        tcp: {
          ports: [
            { start: 53, end: 53 },
            { start: 443, end: 443 },
          ],
        },
        udp: { policy: 'Restricted', ports: [{ start: 53, end: 53 }] },
      },
    })
  })

  it('is at rest then, and again when someone has changed the Resource', () => {
    const one = service({ expose: 'office', groups: 'a' })
    const live = child(one)
    expect(plan(one, [live])).toEqual([])
    const changed = { ...live, spec: { ...(live.spec as object), address: 'db.prod.internal' } }
    expect(plan(one, [changed])).toEqual([{ do: 'apply', object: live }])
    const bare = service({ expose: 'office' })
    expect(plan(bare, [live])).toEqual([{ do: 'apply', object: child(bare) }])
    expect(child(bare).spec).not.toHaveProperty('access')
  })

  it('takes its Resource with it to another name', () => {
    const live = child(service({ expose: 'office' }))
    const [made, removed] = plan(service({ expose: 'office', name: 'shop' }), [live])
    expect(made).toMatchObject({ do: 'apply', object: { metadata: { name: 'shop' } } })
    expect(removed).toEqual({ do: 'remove', object: live })
  })

  it('loses its Resource with the annotation, and nobody else’s', () => {
    const live = child(service({ expose: 'office' }))
    const others = { ...live, metadata: { ...live.metadata, name: 'mine', labels: {} } }
    expect(plan(service({}), [live, others])).toEqual([{ do: 'remove', object: live }])
    expect(plan(service({}))).toEqual([])
  })
})

describe('a mistake in its annotations', () => {
  const expose = { expose: 'office' }
  it.each<[string, KubeObject, string]>([
    [
      'no network',
      service({ expose: '' }),
      'sallyport.dev/expose: "" is not the name of a RemoteNetwork: write name or namespace/name',
    ],
    ['a network that is no name', service({ expose: 'a/b/c' }), 'sallyport.dev/expose: "a/b/c" is not the name of'],
    [
      'a Group that is no name',
      service({ ...expose, groups: 'a,B!' }),
      'sallyport.dev/groups: "B!" is not the name of a Group',
    ],
    ['an alias that is no name', service({ ...expose, aliases: 'a b' }), 'sallyport.dev/aliases: '],
    ['a wildcard as an alias', service({ ...expose, aliases: '*.internal' }), 'sallyport.dev/aliases: '],
    ['a name that is none', service({ ...expose, name: 'Web' }), 'sallyport.dev/name: '],
    ['too long a name', service(expose, {}, 'w'.repeat(51)), 'sallyport.dev/name: '],
    [
      'an ExternalName',
      service(expose, { type: 'ExternalName' }),
      'a Service of type ExternalName stands for something elsewhere',
    ],
    [
      'no port that can be reached',
      service(expose, { ports: [{ port: 1, protocol: 'SCTP' }] }),
      'the Service has no TCP or UDP port',
    ],
  ])('is told, and changes nothing: %s', (_, one, wanted) => {
    const live = child(service(expose))
    expect(mistake(one, [live])).toContain(wanted)
  })

  it('is a name that another Resource has', () => {
    const live = child(service(expose))
    const others = { ...live, metadata: { ...live.metadata, labels: {}, ownerReferences: [] } }
    expect(mistake(service(expose), [others])).toBe(
      "Resource team/web is there already and is not this Service's: choose another name with sallyport.dev/name",
    )
  })

  it('is what the API server refuses', () => {
    expect(plan(service(expose), [], 'quota exceeded')).toMatchObject([
      { do: 'apply' },
      { do: 'tell', reason: 'NotExposed', message: 'quota exceeded' },
    ])
  })
})
