/** A finalizer of someone keeps a deleted object where it is for as long as they like; what it gave ends with its deletion. */
import { createLog, silentLog } from '@sallyport/runtime'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { pathOf } from './api.ts'
import { describeKube, eventually } from './cluster.ts'
import { KubeInstallation, NAMESPACE, object } from './installation.ts'

const FINALIZER = 'example.com/hold'
const TEAM = 'team'
const log = process.env.SALLYPORT_TEST_LOG === undefined ? silentLog : createLog('test', 'info')
const held = (one: object) => {
  const { metadata, ...rest } = one as { metadata: object }
  return { ...rest, metadata: { ...metadata, finalizers: [FINALIZER] } }
}
const resource = (name: string, alias: string, namespace: string) =>
  object(
    'Resource',
    name,
    {
      remoteNetworkRef: { name: 'office', namespace: NAMESPACE },
      ...{ address: `${name}.office.internal`, aliases: [alias] },
      access: [{ group: `${NAMESPACE}/${name}` }],
    },
    namespace,
  )

describeKube('what is deleted and kept by a finalizer', cluster => {
  let installation: KubeInstallation
  beforeAll(async () => {
    installation = await KubeInstallation.prepare(cluster(), log)
    await cluster().kube(['create', 'namespace', TEAM])
    await installation.start()
    const allowedNamespaces = [{ from: 'All' as const, addresses: ['*.internal'], names: ['internal'] }]
    await installation.apply(
      object('RemoteNetwork', 'office', { connectors: { replicas: 0 }, allowedNamespaces }),
      ...['first', 'second'].map(name => object('Group', name, { members: ['ada@example.com'] })),
    )
    await installation.apply(...['first', 'second'].map(name => held(resource(name, `${name}.internal`, TEAM))))
    for (const name of ['first', 'second']) await row(name)
  }, 180_000)
  afterAll(() => installation.close())

  const find = (name: string) => installation.find('Resource', name, TEAM)
  const hasRow = async (name: string) => installation.rowExists('resources', (await find(name))?.metadata.uid ?? '')
  const row = (name: string) => eventually(`the row of ${name}`, () => hasRow(name))
  const noRow = (name: string) =>
    eventually(`no row of ${name}`, async () => ((await hasRow(name)) === undefined ? true : undefined))
  const remove = (kind: string, name: string, namespace: string) =>
    installation.api.take('DELETE', pathOf(kind, namespace, name))
  const group = (name: string, reason: string) =>
    eventually(`Group ${name} to be ${reason}`, async () => {
      const conditions = (await installation.find('Group', name))?.status?.conditions ?? []
      return conditions.some(one => one.type === 'Programmed' && one.reason === reason) ? true : undefined
    })

  it('gives no access from the moment of its deletion, and its names to the next', async () => {
    // Times of creation are whole seconds, and of two in one second anyone may be the older.
    const madeAtMs = Date.parse((await find('first'))?.metadata.creationTimestamp ?? '')
    await eventually('the next second', async () => (Date.now() >= madeAtMs + 1000 ? true : undefined))
    await installation.apply(resource('next', 'first.internal', NAMESPACE))
    await installation.condition('Resource', 'next', { type: 'Accepted', status: 'False', reason: 'NameTaken' })
    await installation.settled()
    const { status } = (await find('first'))!
    await remove('Resource', 'first', TEAM)
    await noRow('first')
    await group('first', 'Unused')
    await installation.condition('Resource', 'next', { type: 'Accepted', status: 'True' })
    await installation.settled()
    expect(await find('first')).toMatchObject({ metadata: { deletionTimestamp: expect.any(String) }, status })
    expect(await hasRow('second')).toBe(true)
    expect(await find('second')).toMatchObject({ status: { resourceID: expect.any(String) } })
  }, 120_000)

  it('gives none either where the operator did not see the deletion', async () => {
    await installation.stopOperator()
    await remove('Resource', 'second', TEAM)
    expect(await hasRow('second')).toBe(true)
    await installation.startOperator()
    await noRow('second')
    await group('second', 'Unused')
    expect(await find('second')).toMatchObject({ metadata: { deletionTimestamp: expect.any(String) } })
  }, 120_000)

  it('is what it was once it is gone and declared again', async () => {
    const former = (await find('first'))!
    const free = { metadata: { finalizers: null } }
    await installation.api.take('PATCH', pathOf('Resource', TEAM, 'first'), free, {
      'content-type': 'application/merge-patch+json',
    })
    await eventually('the object to go', async () => ((await find('first')) === undefined ? true : undefined))
    await installation.apply(resource('first', 'once-more.internal', TEAM))
    await row('first')
    expect((await find('first'))?.metadata.uid).not.toBe(former.metadata.uid)
  }, 120_000)
})
