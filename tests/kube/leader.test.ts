/**
 * Two replicas of the operator and one Lease: handed over at once, taken over after a kill, never held by two. `CHANGES` and `KILLS` say how
 * long the leader is killed for (500 and 20 for the long form).
 */
import { join } from 'node:path'
import { type Operator, readConfig, startOperator } from '@sallyport/operator'
import { createMetrics, silentLog } from '@sallyport/runtime'
import type { Kind } from '@sallyport/schema'
import type { Run } from '@sallyport/testkit'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { pathOf } from './api.ts'
import { describeKube, eventually } from './cluster.ts'
import { KubeInstallation, NAMESPACE, object } from './installation.ts'
import { Way } from './way.ts'

const LEASE = 'sallyport-operator'
const CHANGES = Number(process.env.CHANGES ?? 40)
const KILLS = Number(process.env.KILLS ?? 2)
const ELECT = { 'leader-election': 'true' }
/** What is tried many times need not wait long; a busy machine still renews in time. */
const SHORT = { ...ELECT, 'lease-seconds': '6' }

type Lease = { holderIdentity: string; leaseDurationSeconds: number; acquireTime: string; renewTime: string }

describeKube('of two operators', cluster => {
  let installation: KubeInstallation
  const running = new Set<Operator>()
  beforeAll(async () => {
    installation = await KubeInstallation.prepare(cluster())
    await installation.startOperator()
    await installation.startController()
    await installation.stopOperator()
  }, 180_000)
  afterAll(async () => {
    for (const operator of running) await operator.close()
    await installation.close()
  })

  const start = async (flags: Record<string, string>) => {
    const lost: string[] = []
    const metrics = createMetrics('operator')
    const deps = {
      ...{ log: silentLog, metrics },
      onLost: (reason: string) => void lost.push(reason),
    }
    const operator = await startOperator(readConfig(installation.flags(flags), {}), deps)
    running.add(operator)
    const isLeading = async () => {
      const gauge = await metrics.registry.getSingleMetric('sallyport_operator_leading')?.get()
      return gauge?.values[0]?.value === 1
    }
    return { operator, lost, isLeading }
  }
  const stop = async (operator: Operator) => {
    running.delete(operator)
    await operator.close()
  }
  const lease = async (): Promise<Lease> => (await installation.find('Lease', LEASE))!.spec as Lease
  const holder = async () => String((await installation.find('Lease', LEASE))?.spec.holderIdentity ?? '')
  const programmed = (name: string) =>
    installation.condition('Group', name, { type: 'Programmed', status: 'True', reason: 'Unused' })

  it('one leads, and gives the Lease back when it stops: the other leads', async () => {
    const first = await start({ ...ELECT, 'lease-seconds': '60' })
    await first.operator.leading
    const before = await lease()
    const second = await start({ ...ELECT, 'lease-seconds': '60' })
    await installation.apply(object('Group', 'one', {}))
    await programmed('one')
    expect((await lease()).holderIdentity).toBe(before.holderIdentity)
    const last = await lease()
    const fromMs = performance.now()
    await stop(first.operator)
    await second.operator.leading
    const took = ((performance.now() - fromMs) / 1000).toFixed(1)
    console.log(`handed over within ${took} s; the other looks every 6 s here, every second by default`)
    const after = await lease()
    expect(after.holderIdentity).not.toBe(before.holderIdentity)
    expect(seconds(last.renewTime, after.acquireTime)).toBeLessThan(last.leaseDurationSeconds)
    await installation.apply(object('Group', 'two', {}))
    await programmed('two')
    expect([...first.lost, ...second.lost]).toEqual([])
    await stop(second.operator)
    expect(await holder()).toBe('')
  }, 180_000)

  it('the other takes over when the Lease of one that was killed has run out, not sooner', async () => {
    const killed = installation.spawnOperator(ELECT)
    await killed.line(/"leading"/, 120_000)
    const { operator } = await start(ELECT)
    await killed.stop('SIGKILL')
    const { renewTime, leaseDurationSeconds, holderIdentity } = await lease()
    await operator.leading
    const after = await lease()
    expect(after.holderIdentity).not.toBe(holderIdentity)
    const tookSeconds = seconds(renewTime, after.acquireTime)
    console.log(
      `taken over ${tookSeconds.toFixed(1)} s after the last renewal; the Lease is for ${leaseDurationSeconds} s`,
    )
    expect(tookSeconds).toBeGreaterThanOrEqual(leaseDurationSeconds)
    const { operator: back } = await start(ELECT)
    await eventually('the one that is back to stand by', async () => {
      return (await fetch(`http://${back.metricsAddress}/readyz`)).status === 200
    })
    await installation.apply(object('Group', 'three', {}))
    await programmed('three')
    expect((await lease()).holderIdentity).toBe(after.holderIdentity)
    await stop(back)
    await stop(operator)
  }, 300_000)

  it('the leader steps down when someone else holds its Lease', async () => {
    const { operator, lost } = await start(ELECT)
    await operator.leading
    const patch = { spec: { holderIdentity: 'someone-else' } }
    await cluster().kube(['patch', 'lease', LEASE, '-n', NAMESPACE, '--type=merge', '-p', JSON.stringify(patch)])
    await eventually('the loss', () => (lost.length > 0 ? true : undefined))
    expect(lost).toEqual(['"someone-else" leads'])
    await stop(operator)
    await cluster().kube(['delete', 'lease', LEASE, '-n', NAMESPACE])
  }, 180_000)

  it('the leader steps down when the API server is silent to it, and the other takes over', async () => {
    const kubeconfig = join(installation.dir, 'kubeconfig-way')
    const way = await Way.open(join(installation.dir, 'kubeconfig'), kubeconfig)
    const first = await start({ ...SHORT, kubeconfig })
    await first.operator.leading
    const second = await start(SHORT)
    way.slow(600_000)
    await eventually('the loss', () => (first.lost.length > 0 ? true : undefined))
    expect(first.lost).toEqual(['the Lease could not be renewed in time'])
    await second.operator.leading
    await installation.apply(object('Group', 'four', {}))
    await programmed('four')
    way.close()
    await stop(second.operator)
    await stop(first.operator)
  }, 300_000)

  it('one that is stopped while it lists does not begin to act on what it has listed', async () => {
    const kubeconfig = join(installation.dir, 'kubeconfig-way')
    const way = await Way.open(join(installation.dir, 'kubeconfig'), kubeconfig)
    const there = await start({})
    await there.operator.leading
    expect(await there.isLeading()).toBe(true)
    await stop(there.operator)
    way.slow(2_000)
    const { operator, isLeading } = await start({ kubeconfig })
    await eventually('the listing', async () => {
      const text = await (await fetch(`http://${operator.metricsAddress}/readyz`)).text()
      return text.includes('it has yet to list') ? true : undefined
    })
    await stop(operator)
    await operator.leading
    expect(await isLeading()).toBe(false)
    way.close()
  }, 180_000)

  it(`the leader is killed ${KILLS} times during ${CHANGES} changes, and what is declared is what is there`, async () => {
    const before = { api: installation.operatorWrites().length, rows: installation.rows('audit').length }
    const declared = new Declared(installation)
    const replicas = new Replicas(() => installation.spawnOperator({ ...SHORT, 'resync-seconds': '5' }), 2)
    const part = Math.ceil(CHANGES / (2 * KILLS))
    for (let kill = 0; kill < KILLS; kill++) {
      const leader = await eventually('a leader', async () => replicas.withLine(await holder()), 120_000)
      await declared.change(part)
      await leader.stop('SIGKILL')
      await declared.change(part)
    }
    await declared.isThere()
    const after = { api: installation.operatorWrites().length, rows: installation.rows('audit').length }
    console.log(
      `${2 * KILLS * part} changes, ${KILLS} kills: ${after.api - before.api} writes to the API server, ${after.rows - before.rows} to the Controller`,
    )
    await replicas.close()
  }, 600_000)
})

const seconds = (from: string, to: string) => (Date.parse(to) - Date.parse(from)) / 1000

/** Processes of which one that has ended is replaced, as a Deployment does. */
class Replicas {
  readonly #running = new Set<Run>()
  readonly #spawn: () => Run
  #isClosed = false

  constructor(spawn: () => Run, count: number) {
    this.#spawn = spawn
    for (let index = 0; index < count; index++) this.#start()
  }

  /** The one that has said so much. */
  withLine(text: string): Run | undefined {
    if (text === '') return undefined
    return [...this.#running].find(({ lines }) => lines.some(line => line.includes(text)))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#running].map(one => one.stop()))
  }

  #start(): void {
    const one = this.#spawn()
    this.#running.add(one)
    void one.ended.then(() => {
      this.#running.delete(one)
      if (!this.#isClosed) this.#start()
    })
  }
}

/** Objects that are declared and changed one after another, each time another way, and what must be there in the end. */
class Declared {
  readonly #installation: KubeInstallation
  readonly #objects = new Map<string, { kind: Kind; name: string; spec: object }>()
  #count = 0

  constructor(installation: KubeInstallation) {
    this.#installation = installation
  }

  /** The next `count` changes: of three two make something, the third edits or deletes what is there. */
  async change(count: number): Promise<void> {
    for (const end = this.#count + count; this.#count < end; this.#count++) {
      const [oldest] = this.#objects.values()
      if (this.#count % 6 === 5 && oldest !== undefined && oldest.kind !== 'RemoteNetwork') await this.#delete(oldest)
      else if (this.#count % 3 === 2 && oldest !== undefined) await this.#edit(oldest)
      else await this.#make()
    }
  }

  async #make(): Promise<void> {
    const name = `object-${this.#count}`
    const network = { remoteNetworkRef: { name: 'office' } }
    if (this.#count === 0) return this.#put('RemoteNetwork', 'office', { connectors: { replicas: 2 } })
    const kinds = ['Group', 'Resource', 'Connector'] as const
    const kind = kinds[this.#count % kinds.length]!
    if (kind === 'Group') return this.#put(kind, name, { members: [`${name}@example.com`] })
    if (kind === 'Resource') return this.#put(kind, name, { ...network, address: `${name}.internal` })
    return this.#put(kind, name, { ...network, deployment: 'External' })
  }

  async #edit({ kind, name, spec }: { kind: Kind; name: string; spec: object }): Promise<void> {
    this.#objects.delete(`${kind}/${name}`)
    const edits: Partial<Record<Kind, object>> = {
      Group: { displayName: `edited by ${this.#count}` },
      Resource: { visible: true },
      RemoteNetwork: { displayName: `edited by ${this.#count}` },
    }
    await this.#put(kind, name, { ...spec, ...edits[kind] })
  }

  async #put(kind: Kind, name: string, spec: object): Promise<void> {
    this.#objects.set(`${kind}/${name}`, { kind, name, spec })
    const path = `${pathOf(kind, NAMESPACE, name)}?fieldManager=test&force=true`
    const headers = { 'content-type': 'application/apply-patch+yaml' }
    await this.#installation.api.take('PATCH', path, object(kind, name, spec as never), headers)
  }

  async #delete({ kind, name }: { kind: Kind; name: string }): Promise<void> {
    this.#objects.delete(`${kind}/${name}`)
    await this.#installation.api.take('DELETE', pathOf(kind, NAMESPACE, name))
  }

  /** Waits until the Controller has a row of each object as it is, and no other; each slot and Secret the one live token. */
  async isThere(): Promise<void> {
    await eventually(
      'the declared rows',
      async () => ((await this.#difference()) === '' ? true : undefined),
      120_000,
    ).catch(async cause => {
      throw new Error(`${cause.message}: ${await this.#difference()}`)
    })
  }

  async #difference(): Promise<string> {
    const kinds: Kind[] = ['RemoteNetwork', 'Connector', 'Resource', 'Group']
    const live = (await Promise.all(kinds.map(kind => this.#installation.list(kind)))).flat()
    const wanted = live.map(({ metadata }) => `${metadata.uid} ${metadata.generation}`).sort()
    const rows = this.#installation
      .rows('declared')
      .map(({ uid, body }) => `${uid} ${JSON.parse(String(body)).metadata.generation}`)
    if (JSON.stringify(rows.sort()) !== JSON.stringify(wanted)) return `rows ${rows}, want ${wanted}`
    const connectors = await this.#installation.list('Connector')
    const slots = this.#installation.rows('slots').map(({ uid }) => uid)
    const uids = connectors.map(({ metadata }) => metadata.uid)
    if (JSON.stringify(slots.sort()) !== JSON.stringify([...uids].sort())) return `slots ${slots}, want ${uids}`
    const tokens = this.#installation.rows('enrolment_tokens').filter(({ used_at_ms: used }) => used === null)
    for (const { metadata } of connectors) {
      const secret = await this.#installation.find('Secret', metadata.name)
      const ids = tokens.filter(({ slot }) => slot === metadata.uid).map(({ id }) => id)
      const written = secret?.metadata.annotations?.['sallyport.dev/token-id']
      if (ids.length !== 1 || ids[0] !== written) return `tokens ${ids} of ${metadata.name}, its Secret has ${written}`
    }
    return ''
  }
}
