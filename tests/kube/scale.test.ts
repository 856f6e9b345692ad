/**
 * Many objects: converged from cold, silent then, and one edit programmed. `SCALE=5000,200,20` says how many, as `make bench-scale` does.
 * Times and memory are printed, never asserted.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Kind } from '@sallyport/schema'
import { freePorts, type Run } from '@sallyport/testkit'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { pathOf } from './api.ts'
import { describeKube, eventually } from './cluster.ts'
import { KubeInstallation, type Live, NAMESPACE, object } from './installation.ts'

const [RESOURCES = 100, GROUPS = 10, NETWORKS = 2] = (process.env.SCALE ?? '').split(',').filter(Boolean).map(Number)
const EDITS = 5
const TICKS_PER_SECOND = 100
const COLD_MS = 600_000
/** Seldom: looking takes processor time from what is measured. */
const LOOK_MS = 250
/** The one Connector that runs, so that something is programmed. */
const CONNECTOR = 'live'

describeKube(`${RESOURCES} Resources, ${GROUPS} Groups and ${NETWORKS} RemoteNetworks`, cluster => {
  let installation: KubeInstallation
  let controller: Run
  beforeAll(async () => {
    installation = await KubeInstallation.prepare(cluster())
    await installation.startOperator()
    controller = await installation.spawnController()
    await eventually(
      'contact',
      async () => (installation.operator?.isIdle && (await isReady()) ? true : undefined),
      60_000,
    )
    await installation.stopOperator()
    await declareAll()
  }, 600_000)
  afterAll(() => installation.close())

  const isReady = async () => (await fetch(`http://${installation.operator?.metricsAddress}/readyz`)).status === 200
  const put = (kind: Kind, name: string, spec: object) =>
    installation.api.take(
      'PATCH',
      `${pathOf(kind, NAMESPACE, name)}?fieldManager=test&force=true`,
      object(kind, name, spec as never),
      { 'content-type': 'application/apply-patch+yaml' },
    )
  const resource = (index: number, more: object = {}) =>
    put('Resource', `resource-${index}`, {
      remoteNetworkRef: { name: `network-${index % NETWORKS}` },
      address: `resource-${index}.internal`,
      access: [{ group: `group-${index % GROUPS}` }, { group: `group-${(index + 7) % GROUPS}` }],
      ...more,
    })
  const declareAll = async () => {
    const of = (count: number) => Array.from({ length: count }, (_, index) => index)
    await Promise.all(
      of(NETWORKS).map(index => put('RemoteNetwork', `network-${index}`, { connectors: { replicas: 0 } })),
    )
    await put('Connector', CONNECTOR, { remoteNetworkRef: { name: 'network-0' }, deployment: 'External' })
    const members = of(10).map(index => `person-${index}@example.com`)
    await Promise.all(of(GROUPS).map(index => put('Group', `group-${index}`, { members })))
    await Promise.all(of(RESOURCES).map(index => resource(index)))
  }
  const rowCount = () => {
    const database = new DatabaseSync(join(installation.dir, 'controller.sqlite'), { readOnly: true })
    const { count } = database.prepare('select count(*) as count from declared').get() as { count: number }
    database.close()
    return count
  }
  const unsaid = async () => {
    const lists = await Promise.all(
      (['Resource', 'Group', 'RemoteNetwork'] as const).map(kind => installation.list(kind)),
    )
    return lists.flat().filter(live => live.status?.observedGeneration !== live.metadata.generation || isUnderWay(live))
      .length
  }
  const isUnderWay = ({ status }: Live) => status?.conditions?.some(({ reason }) => reason === 'Pending') === true
  /** The operator as a process, and whether it has nothing to do: what its metrics say, since listing all of this slows what is measured. */
  const spawnOperator = async () => {
    const [port] = await freePorts(1)
    const run = installation.spawnOperator({ 'resync-seconds': '86400', 'metrics-listen': `127.0.0.1:${port}` })
    const isIdle = async () => {
      const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
      return /^sallyport_operator_queue_length 0$/m.test(text)
    }
    const rest = async () => ((await isIdle()) && (await unsaid()) === 0 ? true : undefined)
    return { run, rest: () => eventually('every status, and nothing to do', rest, COLD_MS, LOOK_MS) }
  }
  const seconds = (from: number) => ((performance.now() - from) / 1000).toFixed(2)

  it(
    'converge from cold, with a row and a status each',
    async () => {
      const from = performance.now()
      const operator = await spawnOperator()
      const rows = RESOURCES + GROUPS + NETWORKS + 1
      await eventually('every row', () => (rowCount() === rows ? true : undefined), COLD_MS, LOOK_MS)
      const rowsAfter = seconds(from)
      await operator.rest()
      console.log(`from cold: every row after ${rowsAfter} s, every status after ${seconds(from)} s`)
      console.log(`operator: ${cost(operator.run)}; Controller: ${cost(controller)}`)
      expect(rowCount()).toBe(rows)
      await operator.run.stop()
    },
    2 * COLD_MS,
  )

  it(
    'are silent once they have converged',
    async () => {
      await installation.startOperator()
      await installation.settled()
      const before = installation.operatorWrites().length
      await installation.stopOperator()
      await installation.startOperator({ 'resync-seconds': '2' })
      await eventually('two resyncs', async () => ((await installation.resyncs()) >= 2 ? true : undefined), COLD_MS)
      await installation.settled(COLD_MS)
      expect(installation.operatorWrites().slice(before)).toEqual([])
      expect(await installation.rowWrites()).toBe(0)
      await installation.stopOperator()
    },
    2 * COLD_MS,
  )

  it(
    'have one edit programmed',
    async () => {
      const operator = await spawnOperator()
      await installation.startConnector(CONNECTOR)
      const programmed = (generation?: number) =>
        eventually(
          'an edit programmed',
          async () => {
            const { status } = (await installation.find('Resource', 'resource-0'))!
            const found = status?.conditions?.find(({ type }) => type === 'Programmed')
            const isNew = generation === undefined || found?.observedGeneration === generation
            return isNew && found?.status === 'True' ? true : undefined
          },
          COLD_MS,
        )
      const edit = async (visible: boolean) => {
        const from = performance.now()
        const { metadata } = await resource(0, { visible })
        await programmed(metadata.generation)
        return seconds(from)
      }
      await programmed()
      console.log(`one edit programmed after ${await edit(true)} s while all that the Connector has got is told`)
      await operator.rest()
      const times: string[] = []
      for (let index = 0; index < EDITS; index++) times.push(await edit(index % 2 === 1))
      console.log(`at rest after ${times.join(', ')} s`)
      console.log(`operator: ${cost(operator.run)}; Controller: ${cost(controller)}`)
      expect(times).toHaveLength(EDITS)
      await operator.run.stop()
    },
    2 * COLD_MS,
  )
})

/** Memory of a process, now and at most since it started, and the CPU time that it has used. */
function cost({ pid }: Run): string {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  const of = (name: string) => Math.round(Number(new RegExp(`^${name}:\\s+([0-9]+) kB`, 'm').exec(text)?.[1]) / 1024)
  // proc(5): user and system time, the 14th and 15th field; the second may hold spaces.
  const [user, system] = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
    .slice(11, 13)
  const seconds = (Number(user) + Number(system)) / TICKS_PER_SECOND
  return `${of('VmRSS')} MiB (at most ${of('VmHWM')}), ${seconds.toFixed(1)} s of CPU`
}
