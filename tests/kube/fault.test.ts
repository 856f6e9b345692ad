/** What stands between the operator and the API server breaks in every way; the operator converges, and says what it is doing. */
import { join } from 'node:path'
import type { Operator } from '@sallyport/operator'
import { createLog } from '@sallyport/runtime'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeKube, eventually } from './cluster.ts'
import { KubeInstallation, NAMESPACE, object } from './installation.ts'
import { Way } from './way.ts'

const STALE_SECONDS = 2
/** How long there is no way at all. */
const AWAY_MS = 30_000

describeKube('an operator on its way to the API server', cluster => {
  let installation: KubeInstallation
  let way: Way
  let operator: Operator
  const said: string[] = []
  beforeAll(async () => {
    const log = createLog('operator', 'info', { write: (line: string) => void said.push(line) })
    installation = await KubeInstallation.prepare(cluster(), log)
    const kubeconfig = join(installation.dir, 'kubeconfig-way')
    way = await Way.open(join(installation.dir, 'kubeconfig'), kubeconfig)
    operator = await installation.startOperator({ kubeconfig, 'stale-seconds': String(STALE_SECONDS) })
    await installation.startController()
    await installation.apply(object('RemoteNetwork', 'office', { connectors: { replicas: 0 } }))
  }, 240_000)
  afterAll(async () => {
    way?.close()
    await installation.close()
  })

  const programmed = (name: string, timeoutMs = 60_000) =>
    installation.condition('Group', name, { type: 'Programmed', status: 'True', reason: 'Unused', timeoutMs })
  const declare = (name: string) => installation.apply(object('Group', name, {}))
  const remove = (name: string) => cluster().kube(['delete', 'groups.sallyport.dev', name, '-n', NAMESPACE])
  const uidOf = async (name: string) => (await installation.find('Group', name))!.metadata.uid
  const rowGoes = (uid: string) =>
    eventually('the row to go', async () =>
      (await installation.rowExists('groups', uid)) === undefined ? true : undefined,
    )
  const metric = async (name: string) => {
    const found = await installation.metrics.registry.getSingleMetric(`sallyport_operator_${name}`)?.get()
    return (found?.values ?? []).reduce((sum, { value }) => sum + value, 0)
  }
  const health = async (path: string) => {
    const answer = await fetch(`http://${operator.metricsAddress}/${path}`)
    return { status: answer.status, text: await answer.text() }
  }

  it('follows again when its connections are cut, and counts and tells what failed', async () => {
    await declare('before')
    await programmed('before')
    const failures = await metric('watch_failures_total')
    way.cut()
    await eventually('the failed watches', async () =>
      (await metric('watch_failures_total')) > failures ? true : undefined,
    )
    await declare('after')
    await programmed('after')
    expect(said.join('')).toContain('a watch failed; it begins again with a list')
  }, 240_000)

  it('sees what was made and deleted while there was no way, and says so once that has lasted', async () => {
    const uid = await uidOf('before')
    way.block()
    const backMs = performance.now() + AWAY_MS
    await declare('meanwhile')
    await remove('before')
    const unwell = await eventually('the health', async () => {
      const { status, text } = await health('readyz')
      return status === 503 && text.includes('watches') ? text : undefined
    })
    expect(unwell).toMatch(/(Group|Resource|Secret|RemoteNetwork|Connector|Relay|Namespace|Node|Service|Deployment) /)
    expect((await health('healthz')).status).toBe(503)
    expect(await installation.rowExists('groups', uid)).toBe(true)
    await eventually('the end of the outage', () => (performance.now() > backMs ? true : undefined))
    way.unblock()
    await programmed('meanwhile')
    await rowGoes(uid)
    await eventually('the health again', async () => ((await health('readyz')).status === 200 ? true : undefined))
    expect((await health('healthz')).status).toBe(200)
  }, 240_000)

  it('lists again when the version that it watches from is gone', async () => {
    const uid = await uidOf('after')
    way.expire()
    await remove('after')
    await declare('expired')
    await programmed('expired')
    await rowGoes(uid)
    await eventually('the answers with 410', () => (way.answered410 > 0 ? true : undefined))
    await declare('after-that')
    await programmed('after-that')
  }, 240_000)

  it('converges over a way that is slow', async () => {
    way.slow(300)
    const uid = await uidOf('expired')
    await declare('slow')
    await remove('expired')
    await programmed('slow')
    await rowGoes(uid)
    way.slow(0)
  }, 240_000)

  it('converges to what is declared when events change places', async () => {
    way.shuffle(true)
    const names = Array.from({ length: 20 }, (_, index) => `shuffled-${index}`)
    await installation.apply(...names.map(name => object('Group', name, {})))
    const uids = await Promise.all(names.map(uidOf))
    await installation.apply(...names.map(name => object('Group', name, { displayName: name })))
    await cluster().kube(['delete', 'groups.sallyport.dev', '-n', NAMESPACE, ...names.slice(10)])
    for (const name of names.slice(0, 10)) await programmed(name)
    for (const uid of uids.slice(10)) await rowGoes(uid)
    expect(way.swapped).toBeGreaterThan(0)
    way.shuffle(false)
    await installation.settled()
    const rows = installation.rows('declared').map(row => row.uid)
    const declared = [...(await installation.list('Group')), ...(await installation.list('RemoteNetwork'))]
    expect(rows.sort()).toEqual(declared.map(({ metadata }) => metadata.uid).sort())
  }, 240_000)

  it('notices connections that are open and dead, with a call under way on one of them', async () => {
    way.slow(1000)
    await declare('under-way')
    await eventually('the call', () => (operator.isIdle ? undefined : true))
    way.freeze()
    way.slow(0)
    await programmed('under-way', 60_000)
    await declare('frozen')
    await programmed('frozen', 60_000)
  }, 240_000)
})
