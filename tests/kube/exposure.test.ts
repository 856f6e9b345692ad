import { createLog } from '@sallyport/runtime'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeKube, eventually } from './cluster.ts'
import { KubeInstallation, NAMESPACE, object } from './installation.ts'

type Annotations = Record<string, string | null>

describeKube('a Service with annotations', cluster => {
  let installation: KubeInstallation

  beforeAll(async () => {
    const log = process.env.SALLYPORT_TEST_LOG === undefined ? undefined : createLog('test', 'info')
    for (const name of ['team', 'stranger']) await cluster().kube(['create', 'namespace', name])
    installation = await KubeInstallation.prepare(cluster(), log)
    await installation.start()
    const allowedNamespaces = [
      {
        from: 'Selector',
        selector: { matchLabels: { 'kubernetes.io/metadata.name': 'team' } },
        names: ['team.internal'],
      },
    ]
    await installation.apply(
      object('RemoteNetwork', 'office', { connectors: { replicas: 0 }, allowedNamespaces } as object),
      object('Group', 'developers', {}, 'team'),
    )
  }, 120_000)
  afterAll(() => installation.close())

  const annotated = (annotations: Annotations) => ({
    metadata: {
      annotations: Object.fromEntries(Object.entries(annotations).map(([key, text]) => [`sallyport.dev/${key}`, text])),
    },
  })
  const service = (name: string, annotations: Annotations, namespace = 'team', spec: object = {}) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, ...annotated(annotations).metadata },
    spec: { selector: { app: name }, ports: [{ port: 80 }], ...spec },
  })
  const annotate = (name: string, annotations: Annotations) =>
    cluster().kube(['patch', 'service', name, '-n', 'team', '-p', JSON.stringify(annotated(annotations))])
  const accepted = (name: string, status: string, namespace = 'team') =>
    installation.condition('Resource', name, { type: 'Accepted', status, namespace })
  const gone = (name: string) =>
    eventually(`Resource ${name} to go`, async () =>
      (await installation.find('Resource', name, 'team')) === undefined ? true : undefined,
    )
  const exposed = { expose: `${NAMESPACE}/office`, groups: 'developers' }
  const warnings = async (name: string): Promise<string[]> =>
    JSON.parse(await cluster().kube(['get', 'events.v1.events.k8s.io', '-n', 'team', '-o', 'json']))
      .items.filter(({ regarding }: Event) => regarding.kind === 'Service' && regarding.name === name)
      .map(({ reason, note }: Event) => `${reason}: ${note}`)

  it('is a Resource of its namespace, with its own ports, and the Group may reach it', async () => {
    const ports = [
      { name: 'web', port: 8080, targetPort: 80 },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ]
    await installation.apply(service('web', { ...exposed, aliases: 'web.team.internal' }, 'team', { ports }))
    await accepted('web', 'True')
    const live = await installation.find('Resource', 'web', 'team')
    expect(live?.spec).toEqual({
      remoteNetworkRef: { name: 'office', namespace: NAMESPACE },
      address: 'web.team.svc.cluster.local',
      aliases: ['web.team.internal'],
      protocols: {
        tcp: { policy: 'Restricted', ports: [{ start: 8080, end: 8080 }] },
        udp: { policy: 'Restricted', ports: [{ start: 53, end: 53 }] },
        icmp: 'Deny',
      },
      access: [{ group: 'developers' }],
    })
    await installation.condition('Resource', 'web', { type: 'ResolvedRefs', status: 'True', namespace: 'team' })
    await eventually('its row', () => installation.rowExists('resources', live!.metadata.uid))
  })

  it('follows its annotations and its ports, and is silent then', async () => {
    await annotate('web', { groups: null, aliases: null })
    await eventually('the Resource without Groups', async () => {
      const { access, aliases } = (await installation.find('Resource', 'web', 'team'))?.spec ?? {}
      return access === undefined && aliases === undefined ? true : undefined
    })
    await annotate('web', { name: 'shop' })
    await accepted('shop', 'True')
    await gone('web')
    await installation.settled()
    const before = installation.operatorWrites().length
    await cluster().kube(['label', 'service', 'web', '-n', 'team', 'touched=yes'])
    await installation.settled()
    expect(installation.operatorWrites().slice(before)).toEqual([])
  })

  it('has its Resource again when someone has deleted or changed it', async () => {
    const before = await installation.find('Resource', 'shop', 'team')
    await cluster().kube(['delete', 'resources.sallyport.dev', 'shop', '-n', 'team'])
    const after = await eventually('another', async () => {
      const live = await installation.find('Resource', 'shop', 'team')
      return live?.metadata.uid === before?.metadata.uid ? undefined : live
    })
    const patch = JSON.stringify({ spec: { address: 'db.prod.internal' } })
    await cluster().kube(['patch', 'resources.sallyport.dev', 'shop', '-n', 'team', '--type=merge', '-p', patch])
    await eventually('its address', async () => {
      const live = await installation.find('Resource', 'shop', 'team')
      return live!.metadata.generation > after!.metadata.generation + 1 && live?.spec.address === after?.spec.address
        ? true
        : undefined
    })
  })

  it('tells of a mistake at the Service, once and nowhere else, and stays as it was', async () => {
    await installation.settled()
    const before = installation.operatorWrites().length
    await annotate('web', { groups: 'developers, Ops!' })
    const wanted =
      'NotExposed: sallyport.dev/groups: "Ops!" is not the name of a Group: write name or namespace/name, separated by commas'
    await eventually('the Event', async () => ((await warnings('web')).includes(wanted) ? true : undefined))
    await cluster().kube(['label', 'service', 'web', '-n', 'team', 'touched=again', '--overwrite'])
    await installation.settled()
    expect(installation.operatorWrites().slice(before)).toHaveLength(1)
    expect(await warnings('web')).toEqual([wanted])
    await accepted('shop', 'True')
    await annotate('web', { groups: 'developers' })
    await eventually('the Group', async () => {
      const { access } = (await installation.find('Resource', 'shop', 'team'))?.spec ?? {}
      return JSON.stringify(access) === '[{"group":"developers"}]' ? true : undefined
    })
  })

  it('never takes over a Resource that someone else has declared', async () => {
    const spec = { remoteNetworkRef: { name: 'office', namespace: NAMESPACE }, address: 'mine.team.internal' }
    await installation.apply(object('Resource', 'mine', spec, 'team'), service('mine', exposed))
    await eventually('the Event', async () =>
      (await warnings('mine')).some(text => text.includes('Resource team/mine is there already')) ? true : undefined,
    )
    expect((await installation.find('Resource', 'mine', 'team'))?.spec).toEqual(spec)
  })

  it('is told nothing when it has none', async () => {
    await installation.apply(service('plain', {}), service('plain', { groups: 'developers' }, 'stranger'))
    await accepted('shop', 'True')
    await installation.settled()
    expect(await installation.find('Resource', 'plain', 'team')).toBeUndefined()
    expect(await installation.find('Resource', 'plain', 'stranger')).toBeUndefined()
    expect(await warnings('plain')).toEqual([])
  })

  it('gets no further than its namespace may', async () => {
    await installation.apply(service('web', exposed, 'stranger'))
    await accepted('web', 'False', 'stranger')
    await installation.apply(service('elsewhere', exposed, 'team', { selector: null }))
    const { message } = await accepted('elsewhere', 'False')
    expect(message).toContain('Service team/elsewhere has no selector')
  })

  it('takes its Resource with it, and its row, when the annotation goes', async () => {
    const { metadata } = (await installation.find('Resource', 'shop', 'team'))!
    await annotate('web', { expose: null })
    await gone('shop')
    await eventually('the row to go', async () =>
      (await installation.rowExists('resources', metadata.uid)) === undefined ? true : undefined,
    )
  })

  it('takes it when the annotation went while the operator was away', async () => {
    await annotate('web', { expose: exposed.expose })
    await accepted('shop', 'True')
    await installation.stopOperator()
    await annotate('web', { expose: null })
    await installation.startOperator()
    await gone('shop')
  }, 120_000)

  it('takes it when it goes itself', async () => {
    await annotate('web', { expose: exposed.expose })
    await accepted('shop', 'True')
    await cluster().kube(['delete', 'service', 'web', '-n', 'team'])
    await gone('shop')
  }, 120_000)
})

type Event = { reason: string; note: string; regarding: { kind: string; name: string } }
