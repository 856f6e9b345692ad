/** A list may be broken where the objects are not: nothing goes because of it, and what has really gone goes all the same. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pathOf } from './api.ts'
import { describeKube, eventually } from './cluster.ts'
import { KubeInstallation, NAMESPACE, object } from './installation.ts'
import { Way } from './way.ts'

describeKube('a list that is broken', cluster => {
  const [COUNT, WEB] = [25, 'web']
  const names = Array.from({ length: COUNT }, (_, index) => `resource-${index}`)
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'shop', namespace: WEB },
    spec: { selector: { app: 'shop' }, ports: [{ port: 80 }] },
  }
  const shop = {
    remoteNetworkRef: { name: 'small', namespace: NAMESPACE },
    address: `shop.${WEB}.svc.cluster.local`,
    access: [{ group: `${NAMESPACE}/staff` }],
  }
  let installation: KubeInstallation
  let way: Way
  let kubeconfig: string
  const flags = () => ({ kubeconfig, 'resync-seconds': '1', 'removal-wait-seconds': '1', 'stale-seconds': '5' })
  const declared = () => installation.rows('declared').map(({ uid }) => String(uid))
  const remove = (kind: string, name: string) => installation.api.request('DELETE', pathOf(kind, NAMESPACE, name))
  /** Each row with the network and the Groups that it names, and what has been written into rows and removed from them so far. */
  const state = () => ({
    rows: installation
      .rows('declared')
      .map(({ uid, body }) => [uid, JSON.parse(String(body)).network, JSON.parse(String(body)).groups])
      .sort(),
    written: installation.rows('audit').map(({ action, target }) => `${action} ${target}`),
  })
  const isHeld = (wanted: number) =>
    eventually(`held: ${wanted}`, async () => {
      const metric = await installation.metrics.registry.getSingleMetric('sallyport_operator_removal_held')?.get()
      return metric?.values[0]?.value === wanted ? true : undefined
    })
  const rounds = async (count: number) => {
    const from = await installation.resyncs()
    await eventually('some resyncs', async () => ((await installation.resyncs()) >= from + count ? true : undefined))
  }
  const rowGoes = (uid: string) => eventually('the row to go', () => (declared().includes(uid) ? undefined : true))
  const uidOf = async (kind: string, name: string) => (await installation.find(kind, name))!.metadata.uid

  beforeAll(async () => {
    installation = await KubeInstallation.prepare(cluster())
    kubeconfig = join(installation.dir, 'kubeconfig-way')
    way = await Way.open(join(installation.dir, 'kubeconfig'), kubeconfig)
    await installation.startOperator(flags())
    await installation.startController()
    await installation.apply(
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: WEB, labels: { team: WEB } } },
      object('RemoteNetwork', 'office', {
        connectors: { replicas: 2 },
        allowedNamespaces: [{ from: 'Selector', selector: { matchLabels: { team: WEB } }, addresses: ['*.internal'] }],
      }),
      object('RemoteNetwork', 'branch', { connectors: { replicas: 0 } }),
      object('Group', 'staff', {}),
      object('Group', 'guests', {}),
      ...names.map(name =>
        object(
          'Resource',
          name,
          {
            ...{ remoteNetworkRef: { name: 'office', namespace: NAMESPACE }, address: `${name}.internal` },
            access: [{ group: `${NAMESPACE}/staff` }],
          },
          WEB,
        ),
      ),
    )
    await eventually('a row of each', () => (declared().length === COUNT + 6 ? true : undefined))
    await installation.settled()
  }, 300_000)
  afterAll(async () => {
    await installation.close()
    way.close()
  })

  it.each([
    ['RemoteNetworks', 'remotenetworks'],
    ['Groups', 'groups'],
    ['Connectors', 'connectors'],
    ['Resources', 'resources'],
  ])(
    'nothing is taken when %s are listed as none, while it runs and when it starts',
    async (_, plural) => {
      const before = state()
      way.hide(plural)
      await rounds(3)
      expect(state()).toEqual(before)
      await installation.stopOperator()
      await installation.startOperator(flags())
      await rounds(3)
      expect(state()).toEqual(before)
      way.hide()
      await isHeld(0)
      await rounds(1)
      expect(state()).toEqual(before)
    },
    300_000,
  )

  it('nothing is taken when Namespaces are listed as none, and the operator says so and waits when it starts', async () => {
    const before = state()
    way.hide('namespaces')
    await rounds(3)
    expect(state()).toEqual(before)
    await installation.stopOperator()
    const { metricsAddress } = await installation.startOperator(flags())
    await eventually('the health', async () => {
      const text = await (await fetch(`http://${metricsAddress}/readyz`)).text()
      return text.includes('a cluster has some') ? true : undefined
    })
    way.hide()
    await rounds(1)
    expect(state()).toEqual(before)
  }, 300_000)

  it('a RemoteNetwork that is really deleted goes at once, and the row of no other', async () => {
    const uid = await uidOf('RemoteNetwork', 'branch')
    const before = declared()
    await remove('RemoteNetwork', 'branch')
    await rowGoes(uid)
    await rounds(2)
    expect(declared().sort()).toEqual(before.filter(one => one !== uid).sort())
  }, 300_000)

  it('one of which no word came goes as soon as a list lacks it, and a Group as well', async () => {
    const group = await uidOf('Group', 'guests')
    const before = declared()
    way.block()
    await remove('Group', 'guests')
    way.unblock()
    await rowGoes(group)
    await rounds(2)
    expect(declared().sort()).toEqual(before.filter(one => one !== group).sort())
  }, 300_000)

  it('a RemoteNetwork on which most rests goes at once when word of it comes', async () => {
    await rounds(1)
    await remove('RemoteNetwork', 'office')
    await eventually('all but one Group', () => (declared().length === 1 ? true : undefined))
  }, 300_000)

  describe('of a few, while it runs', () => {
    beforeAll(async () => {
      for (const namespace of [NAMESPACE, WEB]) await cluster().kube(['delete', 'sallyport', '--all', '-n', namespace])
      await eventually('no row', () => (declared().length === 0 ? true : undefined))
      await installation.apply(
        object('RemoteNetwork', 'small', {
          connectors: { replicas: 1 },
          allowedNamespaces: [{ from: 'Selector', selector: { matchLabels: { team: WEB } } }],
        }),
        object('Relay', 'edge', { deployment: 'External', replicas: 1, address: { list: ['edge.example.com:443'] } }),
        object('Group', 'staff', {}),
        object('Resource', 'shop', shop, WEB),
        service,
      )
      await eventually('a row of each', () => (declared().length === 5 ? true : undefined))
      await installation.settled()
    }, 300_000)

    it.each([
      ['RemoteNetworks', 'remotenetworks'],
      ['Groups', 'groups'],
      ['Connectors', 'connectors'],
      ['Resources', 'resources'],
      ['Relays', 'relays'],
      ['Services', 'services'],
      ['the Namespace', `namespaces/${WEB}`],
    ])(
      'nothing is taken when it lacks %s',
      async (_, hidden) => {
        const before = state()
        const asked = cluster().asked().length
        way.hide(hidden)
        await rounds(3)
        expect(state()).toEqual(before)
        const [plural] = hidden.split('/')
        const since = cluster().asked().slice(asked)
        expect(since.filter(({ verb, resource }) => verb === 'get' && resource === plural)).not.toEqual([])
        way.hide()
        await rounds(1)
        expect(state()).toEqual(before)
      },
      300_000,
    )
  })
})
