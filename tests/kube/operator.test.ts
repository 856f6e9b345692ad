import { createLog } from '@sallyport/runtime'
import { freePorts } from '@sallyport/testkit'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeKube, eventually } from './cluster.ts'
import { KubeInstallation, object } from './installation.ts'

const office = object('RemoteNetwork', 'office', { connectors: { replicas: 0 }, guardExceptions: ['127.0.0.0/8'] })
const connector = (name: string) =>
  object('Connector', name, { remoteNetworkRef: { name: 'office' }, deployment: 'External' })
const web = object('Resource', 'web', {
  remoteNetworkRef: { name: 'office' },
  address: 'web.office.internal',
  access: [{ group: 'developers' }],
})
const developers = object('Group', 'developers', { members: ['ada@example.com'] })

describeKube('the operator', cluster => {
  let installation: KubeInstallation
  let relays: string[]
  beforeAll(async () => {
    const log = process.env.SALLYPORT_TEST_LOG === undefined ? undefined : createLog('test', 'info')
    installation = await KubeInstallation.prepare(cluster(), log)
    relays = (await freePorts(2)).map(port => `127.0.0.1:${port}`)
    await installation.start()
  }, 60_000)
  afterAll(() => installation.close())

  it('brings External Relays and Connectors, a network, a Resource and a Group to Ready, in any order', async () => {
    await installation.apply(web, connector('office-a'))
    await installation.condition('Resource', 'web', {
      type: 'ResolvedRefs',
      status: 'False',
      reason: 'RemoteNetworkNotFound',
    })
    await installation.condition('Connector', 'office-a', {
      type: 'Ready',
      status: 'False',
      reason: 'RemoteNetworkNotFound',
    })
    await installation.apply(
      connector('office-b'),
      developers,
      office,
      object('Relay', 'relay', { deployment: 'External', address: { list: relays } }),
    )
    await installation.condition('Relay', 'relay', { type: 'Ready', status: 'False', reason: 'NoRegistration' })
    await installation.startRelay('relay-0', relays[0]!)
    await installation.startRelay('relay-1', relays[1]!)
    await installation.startConnector('office-a')
    await installation.startConnector('office-b')
    for (const [kind, name] of [
      ['Connector', 'office-a'],
      ['Connector', 'office-b'],
      ['RemoteNetwork', 'office'],
      ['Relay', 'relay'],
      ['Group', 'developers'],
      ['Resource', 'web'],
    ] as const) {
      await installation.condition(kind, name, { type: 'Ready', status: 'True' })
    }
  }, 60_000)

  it('writes nothing more once everything has converged, not even at a second apply or a resync', async () => {
    await installation.settled()
    const [before, rowsBefore] = [installation.operatorWrites().length, await installation.rowWrites()]
    await installation.apply(web, office, developers, connector('office-a'), connector('office-b'))
    await installation.settled()
    expect(installation.operatorWrites().slice(before)).toEqual([])
    expect(await installation.rowWrites()).toBe(rowsBefore)
    await installation.stopOperator()
    await installation.startOperator({ 'resync-seconds': '1' })
    await eventually('two resyncs', async () => {
      const sum = await installation.metrics.registry.getSingleMetric('sallyport_operator_resyncs_total')?.get()
      return (sum?.values[0]?.value ?? 0) >= 2 ? true : undefined
    })
    await installation.settled()
    expect(installation.operatorWrites().slice(before)).toEqual([])
    expect(await installation.rowWrites()).toBe(0)
  }, 60_000)
})
