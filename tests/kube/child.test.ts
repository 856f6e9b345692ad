import { createLog } from '@sallyport/runtime'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeKube, eventually } from './cluster.ts'
import { KubeInstallation, type Live, NAMESPACE, object } from './installation.ts'

const COLLECTION_MS = 50_000
/** Says that pods keep apart from those of an application: several such terms of a pod have the same topology. */
const apart = (app: string) => ({
  topologyKey: 'kubernetes.io/hostname',
  labelSelector: { matchLabels: { app } },
})

describeKube('what the operator makes', cluster => {
  let installation: KubeInstallation
  beforeAll(async () => {
    const log = process.env.SALLYPORT_TEST_LOG === undefined ? undefined : createLog('test', 'info')
    installation = await KubeInstallation.prepare(cluster(), log)
    await installation.start()
    await cluster().kube(['create', 'namespace', 'team'])
    await cluster().kube(['label', 'namespace', 'team', 'access=office'])
    await cluster().kube(['create', 'namespace', 'stranger'])
  }, 180_000)
  afterAll(() => installation.close())

  const network = (replicas: number, more: object = {}) =>
    object('RemoteNetwork', 'office', { connectors: { replicas }, ...more })
  const appears = (kind: string, name: string) => eventually(`${kind} ${name}`, () => installation.find(kind, name))
  /** The collector learns of kinds that are new half a minute after they have come: only then it removes what they own. */
  const vanishes = (kind: string, name: string) =>
    eventually(
      `${kind} ${name} to go`,
      async () => ((await installation.find(kind, name)) === undefined ? true : undefined),
      COLLECTION_MS,
    )

  describe('of a RemoteNetwork', () => {
    it('is one Connector, one Secret and one Deployment per replica, owned so that they go with it', async () => {
      await installation.apply(network(2))
      for (const name of ['office-0', 'office-1']) {
        const connector = await appears('Connector', name)
        const office = await appears('RemoteNetwork', 'office')
        expect(owners(connector)).toEqual([office.metadata.uid])
        expect(connector.spec).toEqual({ remoteNetworkRef: { name: 'office' }, deployment: 'Managed' })
        const [deployment, secret] = [await appears('Deployment', name), await appears('Secret', name)]
        expect(owners(deployment)).toEqual([connector.metadata.uid])
        expect(owners(secret)).toEqual([connector.metadata.uid])
        expect(Object.keys(secret.data ?? {}).sort()).toEqual(['token', 'trust.json'])
      }
    })

    it('is made again when someone deletes it', async () => {
      const before = await appears('Deployment', 'office-0')
      await cluster().kube(['delete', 'deployment', 'office-0', '-n', NAMESPACE])
      const after = await appears('Deployment', 'office-0')
      expect(after.metadata.uid).not.toBe(before.metadata.uid)
      await cluster().kube(['delete', 'connectors.sallyport.dev', 'office-1', '-n', NAMESPACE])
      await appears('Connector', 'office-1')
    })

    it('keeps what a person has added to it, and loses what they have changed of its own', async () => {
      const patch = {
        metadata: { annotations: { team: 'mine' } },
        spec: { paused: true, template: { spec: { terminationGracePeriodSeconds: 1 } } },
      }
      await cluster().kube(['patch', 'deployment', 'office-0', '-n', NAMESPACE, '-p', JSON.stringify(patch)])
      const { spec, metadata } = await eventually('its own field', async () => {
        const live = await installation.find('Deployment', 'office-0')
        return JSON.stringify(live?.spec ?? {}).includes('"terminationGracePeriodSeconds":40') ? live : undefined
      })
      expect(metadata.annotations?.team).toBe('mine')
      expect(spec.paused).toBe(true)
      await installation.settled()
      const before = installation.operatorWrites().length
      await cluster().kube(['annotate', 'deployment', 'office-0', '-n', NAMESPACE, 'team=yours', '--overwrite'])
      await installation.settled()
      expect(installation.operatorWrites().slice(before)).toEqual([])
      const resumed = JSON.stringify({ spec: { paused: null } })
      await cluster().kube(['patch', 'deployment', 'office-0', '-n', NAMESPACE, '-p', resumed])
    })

    it('follows what the network says of its pods, in anyone’s notation, and is silent then', async () => {
      const connectors = {
        replicas: 2,
        drainSeconds: 5,
        logLevel: 'debug' as const,
        resources: { requests: { cpu: '0.1', memory: '67108864' } },
        podTemplate: {
          ...{ nodeSelector: { zone: 'a' }, env: [{ name: 'TZ' as const, value: 'UTC' }] },
          affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [apart('a'), apart('b')] } },
          topologySpreadConstraints: [
            { ...apart('a'), maxSkew: 1, whenUnsatisfiable: 'ScheduleAnyway' },
            { ...apart('b'), maxSkew: 2, whenUnsatisfiable: 'DoNotSchedule' },
          ],
        },
      }
      await installation.apply(object('RemoteNetwork', 'office', { connectors }))
      const deployment = await eventually('the new pods', async () => {
        const live = await installation.find('Deployment', 'office-0')
        return JSON.stringify(live?.spec ?? {}).includes('"zone":"a"') ? live : undefined
      })
      const text = JSON.stringify(deployment?.spec)
      expect(text).toContain('"terminationGracePeriodSeconds":15')
      expect(text).toContain('{"name":"TZ","value":"UTC"}')
      await installation.settled()
      const before = installation.operatorWrites().length
      await cluster().kube(['label', 'deployment', 'office-0', '-n', NAMESPACE, 'touched=yes'])
      await installation.settled()
      expect(installation.operatorWrites().slice(before)).toEqual([])
    })

    it('loses what the network no longer says', async () => {
      await installation.apply(network(2))
      await eventually('the former pods', async () => {
        const text = JSON.stringify((await installation.find('Deployment', 'office-0'))?.spec ?? {})
        return text.includes('zone') || text.includes('"TZ"') ? undefined : true
      })
    })

    it('is not what someone else has made under its name: network and Connector say so, once, until it is gone', async () => {
      const labels = { app: 'theirs' }
      const container = { name: 'theirs', image: 'theirs' }
      await installation.apply({
        ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'lab-0', namespace: NAMESPACE, labels } },
        spec: {
          selector: { matchLabels: labels },
          template: { metadata: { labels }, spec: { containers: [container] } },
        },
      })
      const theirs = await appears('Deployment', 'lab-0')
      await installation.apply(object('RemoteNetwork', 'lab', { connectors: { replicas: 1 } }))
      const refused = { status: 'False', reason: 'Refused' }
      for (const kind of ['RemoteNetwork', 'Connector'] as const) {
        const name = kind === 'Connector' ? 'lab-0' : 'lab'
        await installation.condition(kind, name, { type: 'Ready', ...refused })
        const { message } = await installation.condition(kind, name, { type: 'Progressing', ...refused })
        expect(message).toContain('Deployment sallyport/lab-0 is there already')
      }
      await installation.settled()
      const before = installation.operatorWrites().length
      const failures = async () => {
        const metric = await installation.metrics.registry.getSingleMetric('sallyport_operator_failures_total')?.get()
        return metric?.values.find(({ labels }) => labels?.kind === 'RemoteNetwork')?.value ?? 0
      }
      const from = await failures()
      await eventually('some more attempts', async () => ((await failures()) >= from + 2 ? true : undefined))
      expect(installation.operatorWrites().slice(before)).toEqual([])
      expect((await installation.find('Deployment', 'lab-0'))?.metadata.uid).toBe(theirs.metadata.uid)
      await cluster().kube(['delete', 'deployment', 'lab-0', '-n', NAMESPACE])
      await eventually('its own', async () => {
        const live = await installation.find('Deployment', 'lab-0')
        return live !== undefined && owners(live)?.length === 1 ? live : undefined
      })
      await installation.condition('Connector', 'lab-0', { type: 'Ready', status: 'False', reason: 'NotEnrolled' })
      await installation.condition('RemoteNetwork', 'lab', { type: 'Progressing', status: 'True' })
      await cluster().kube(['delete', 'remotenetworks.sallyport.dev', 'lab', '-n', NAMESPACE])
    }, 180_000)

    it('goes down to the number of replicas', async () => {
      await installation.apply(network(1))
      await vanishes('Connector', 'office-1')
      await vanishes('Secret', 'office-1')
      expect(await installation.find('Connector', 'office-0')).toBeDefined()
    })
  })

  describe('of a Relay', () => {
    const relay = (replicas: number) =>
      object('Relay', 'edge', { replicas, address: { fromService: true }, service: { type: 'NodePort' } })

    it('waits for an address, and takes a Node’s with the Service’s NodePort', async () => {
      await installation.apply(relay(1))
      await installation.condition('Relay', 'edge', { type: 'Available', status: 'False', reason: 'AddressPending' })
      const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-a' } }
      await installation.apply(node)
      const status = { status: { addresses: [{ type: 'InternalIP', address: '192.0.2.7' }] } }
      await cluster().kube(['patch', 'node', 'node-a', '--subresource=status', '-p', JSON.stringify(status)])
      const { spec } = await appears('Service', 'edge-0')
      const [{ nodePort }] = spec.ports as [{ nodePort: number }]
      const shown = await eventually('its endpoint', async () => {
        const { endpoints } = (await installation.find('Relay', 'edge'))?.status ?? {}
        return endpoints as { address: string }[] | undefined
      })
      expect(shown).toEqual([
        { index: 0, name: 'r0.edge.sallyport.sallyport.internal', address: `192.0.2.7:${nodePort}` },
      ])
    })

    it('is a Deployment, a Service and a Secret for each replica, and goes with the replica', async () => {
      await installation.apply(relay(2))
      for (const name of ['edge-0', 'edge-1']) {
        await appears('Deployment', name)
        const { data } = await appears('Secret', name)
        expect(Object.keys(data ?? {}).sort()).toEqual(['relay.json', 'tls.crt', 'tls.key'])
      }
      await installation.apply(relay(1))
      for (const kind of ['Deployment', 'Service', 'Secret']) await vanishes(kind, 'edge-1')
      expect(await installation.find('Secret', 'edge-0')).toBeDefined()
    })

    it('is no matter of a Connector of the same name', async () => {
      const before = await appears('Deployment', 'edge-0')
      const namesake = object('Connector', 'edge-0', { remoteNetworkRef: { name: 'office' }, deployment: 'External' })
      await installation.apply(namesake)
      await installation.condition('Connector', 'edge-0', { type: 'Enrolled', status: 'False', reason: 'Refused' })
      expect((await installation.find('Deployment', 'edge-0'))?.metadata.uid).toBe(before.metadata.uid)
      await cluster().kube(['delete', 'connectors.sallyport.dev', 'edge-0', '-n', NAMESPACE])
    })

    it('never takes over a Secret that someone else has made', async () => {
      await cluster().kube([
        'create',
        'secret',
        'generic',
        'mine-0',
        '-n',
        NAMESPACE,
        '--from-literal=password=hunter2',
      ])
      const mine = object('Relay', 'mine', {
        replicas: 1,
        deployment: 'External',
        address: { list: ['192.0.2.1:443'] },
      })
      await installation.apply(mine)
      const { message } = await installation.condition('Relay', 'mine', {
        type: 'Ready',
        status: 'False',
        reason: 'Refused',
      })
      expect(message).toContain('Secret sallyport/mine-0 is there already')
      expect((await installation.find('Secret', 'mine-0'))?.data).toEqual({
        password: Buffer.from('hunter2').toString('base64'),
      })
      const ca = await installation.find('Secret', 'sallyport-ca')
      await installation.apply(
        object('Connector', 'sallyport-ca', { remoteNetworkRef: { name: 'office' }, deployment: 'External' }),
      )
      await installation.condition('Connector', 'sallyport-ca', { type: 'Enrolled', status: 'False' })
      await installation.settled()
      expect((await installation.find('Secret', 'sallyport-ca'))?.data).toEqual(ca?.data)
      await cluster().kube(['delete', 'secret', 'mine-0', '-n', NAMESPACE])
      await installation.condition('Relay', 'mine', { type: 'Ready', status: 'False', reason: 'NoRegistration' })
    })
  })

  describe('for Resources of other namespaces', () => {
    const resource = (name: string, address: string, namespace: string, aliases: string[] = []) =>
      object(
        'Resource',
        name,
        { remoteNetworkRef: { name: 'office', namespace: NAMESPACE }, address, aliases },
        namespace,
      )
    const accepted = (name: string, namespace: string, status: string, reason: string) =>
      installation.condition('Resource', name, { type: 'Accepted', status, reason, namespace })

    const service = (name: string, spec: object) => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: 'team' },
      spec: { ports: [{ port: 80 }], ...spec },
    })

    /** Age counts in whole seconds: what is made after this is younger than all that is there. */
    const later = async () => {
      const [newest = ''] = (await Promise.all(['team', 'stranger'].map(one => installation.list('Resource', one))))
        .flat()
        .map(({ metadata }) => metadata.creationTimestamp)
        .sort()
        .reverse()
      await eventually('the next second', () => (Date.now() >= Date.parse(newest) + 1000 ? true : undefined))
    }

    /** The namespaces of the two that want one name, the younger first. */
    const byAge = async () => {
      const both = await Promise.all(
        ['team', 'stranger'].map(namespace => installation.find('Resource', 'db', namespace)),
      )
      const age = (one: Live | undefined) => `${one?.metadata.creationTimestamp} ${one?.metadata.uid}`
      return both.sort((a, b) => (age(a) > age(b) ? -1 : 1)).map(one => one?.metadata.namespace)
    }

    it('is nothing unless the network admits the namespace, by its labels', async () => {
      await installation.apply(
        resource('db', 'db.team.internal', 'team'),
        resource('db', 'db.team.internal', 'stranger'),
      )
      await accepted('db', 'team', 'False', 'NamespaceNotAllowed')
      const allowedNamespaces = [
        {
          from: 'Selector' as const,
          selector: { matchLabels: { access: 'office' } },
          addresses: ['*.team.internal', '10.1.0.0/16'],
          names: ['team.internal'],
        },
      ]
      await installation.apply(network(1, { allowedNamespaces }))
      await accepted('db', 'team', 'True', 'Accepted')
      await accepted('db', 'stranger', 'False', 'NamespaceNotAllowed')
      await cluster().kube(['label', 'namespace', 'stranger', 'access=office'])
      const [younger] = await byAge()
      await accepted('db', younger!, 'False', 'NameTaken')
    })

    it('is nothing beyond the addresses and names that are listed for them', async () => {
      await installation.apply(
        resource('inside', '10.1.2.0/24', 'team'),
        resource('outside', '10.2.0.0/24', 'team'),
        resource('alias', 'a.team.internal', 'team', ['db.prod.internal']),
        service('web', { selector: { app: 'web' } }),
        service('proxy', { type: 'ExternalName', externalName: 'db.prod.internal', ports: undefined }),
        service('manual', {}),
        resource('service', 'web.team.svc.cluster.local', 'team'),
        resource('proxy', 'proxy.team.svc.cluster.local', 'team'),
        resource('manual', 'manual.team.svc', 'team'),
        resource('absent', 'absent.team.svc', 'team'),
        resource('others', 'web.stranger.svc.cluster.local', 'team'),
      )
      await accepted('inside', 'team', 'True', 'Accepted')
      await accepted('service', 'team', 'True', 'Accepted')
      for (const name of ['outside', 'alias', 'others', 'proxy', 'manual', 'absent']) {
        await accepted(name, 'team', 'False', 'AddressNotAllowed')
      }
    })

    it('is nothing for a Service of theirs from the moment at which it stands for something else', async () => {
      await installation.apply(service('absent', { selector: { app: 'absent' } }))
      await accepted('absent', 'team', 'True', 'Accepted')
      await installation.apply(service('absent', { selector: null }))
      await accepted('absent', 'team', 'False', 'AddressNotAllowed')
      await installation.apply(service('web', { type: 'ExternalName', externalName: 'db.prod.internal' }))
      const { message } = await accepted('service', 'team', 'False', 'AddressNotAllowed')
      expect(message).toContain('Service team/web is an ExternalName')
    })

    it('takes no name from another by an alias, whatever the namespaces', async () => {
      await installation.apply(resource('first', 'first.team.internal', 'team', ['shared.team.internal']))
      await accepted('first', 'team', 'True', 'Accepted')
      await later()
      await installation.apply(
        resource('second', 'shared.team.internal', 'stranger'),
        resource('third', '10.1.9.9', 'stranger', ['FIRST.team.internal']),
      )
      const { message } = await accepted('second', 'stranger', 'False', 'NameTaken')
      expect(message).toBe('"shared.team.internal" belongs to the older Resource team/first of the same RemoteNetwork')
      await accepted('third', 'stranger', 'False', 'NameTaken')
      await cluster().kube(['delete', 'resources.sallyport.dev', 'first', '-n', 'team'])
      await accepted('second', 'stranger', 'True', 'Accepted')
      await accepted('third', 'stranger', 'True', 'Accepted')
    })

    it('gives a name to the older, and to the younger once the older is gone', async () => {
      const [younger, older] = await byAge()
      await accepted('db', older!, 'True', 'Accepted')
      await cluster().kube(['delete', 'resources.sallyport.dev', 'db', '-n', older!])
      await accepted('db', younger!, 'True', 'Accepted')
    })
  })

  it('is nothing for networks, Connectors and Relays outside of the managed namespaces', async () => {
    const spec = { remoteNetworkRef: { name: 'office' }, deployment: 'External' as const }
    await installation.apply(
      object('RemoteNetwork', 'office', {}, 'team'),
      object('Connector', 'one', spec, 'team'),
      object('Relay', 'one', { replicas: 1, address: { list: ['192.0.2.1:443'] } }, 'team'),
    )
    for (const [kind, name] of [
      ['RemoteNetwork', 'office'],
      ['Connector', 'one'],
      ['Relay', 'one'],
    ] as const) {
      const wanted = { type: 'Accepted', status: 'False', reason: 'NamespaceNotManaged', namespace: 'team' }
      await installation.condition(kind, name, wanted)
    }
    expect(JSON.parse(await cluster().kube(['get', 'secrets,deployments', '-n', 'team', '-o', 'json'])).items).toEqual(
      [],
    )
  })

  it('goes with its network', async () => {
    await cluster().kube(['delete', 'remotenetworks.sallyport.dev', 'office', '-n', NAMESPACE])
    await vanishes('Connector', 'office-0')
    await vanishes('Deployment', 'office-0')
    await vanishes('Secret', 'office-0')
  })
})

const owners = ({ metadata }: Live) => metadata.ownerReferences?.map(({ uid }) => uid)
