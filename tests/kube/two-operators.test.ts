/** Two installations in one cluster, each with namespaces of its own: neither touches what is the other's. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeKube, eventually } from './cluster.ts'
import { KubeInstallation, object } from './installation.ts'

const NAMESPACES = ['north', 'south']
const RESYNCS = 3

describeKube('of two operators in one cluster', cluster => {
  const installations: KubeInstallation[] = []
  beforeAll(async () => {
    for (const namespace of NAMESPACES) {
      const values = { operator: { watchNamespaces: [namespace] } }
      const installation = await KubeInstallation.prepare(cluster(), undefined, values, namespace)
      installations.push(installation)
      await installation.startOperator({ 'watch-namespaces': namespace, 'resync-seconds': '1' })
      await installation.startController()
    }
  }, 240_000)
  afterAll(() => Promise.all(installations.map(installation => installation.close())))

  const declared = (namespace: string) => [
    object('RemoteNetwork', 'office', { connectors: { replicas: 1 } }, namespace),
    object('Group', 'staff', { members: ['ada@example.com'] }, namespace),
    object(
      'Resource',
      'web',
      { remoteNetworkRef: { name: 'office' }, address: 'web.internal', access: [{ group: 'staff' }] },
      namespace,
    ),
  ]

  it('each gives its Controller what its own namespaces declare, the same names included', async () => {
    await installations[0]!.apply(...NAMESPACES.flatMap(declared))
    for (const installation of installations) {
      await installation.condition('Resource', 'web', { type: 'Programmed', status: 'False', reason: 'NoConnector' })
      await eventually('the Deployment', () => installation.find('Deployment', 'office-0'))
      await installation.settled()
      const kinds = ['RemoteNetwork', 'Connector', 'Group', 'Resource']
      const own = (await Promise.all(kinds.map(kind => installation.list(kind)))).flat()
      const rows = installation.rows('declared').map(({ uid }) => uid)
      expect(rows.sort()).toEqual(own.map(({ metadata }) => metadata.uid).sort())
    }
  }, 240_000)

  it('neither has written in the namespaces of the other, and both are at rest', async () => {
    const before = installations.map(installation => installation.operatorWrites())
    for (const [index, installation] of installations.entries()) {
      const other = `/namespaces/${NAMESPACES[1 - index]}/`
      expect(before[index]!.filter(write => write.includes(other))).toEqual([])
      expect(before[index]!.length).toBeGreaterThan(0)
      const seen = await installation.resyncs()
      await eventually('resyncs', async () => ((await installation.resyncs()) >= seen + RESYNCS ? true : undefined))
    }
    expect(installations.map(installation => installation.operatorWrites())).toEqual(before)
  }, 240_000)
})
