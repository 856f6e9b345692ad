import { readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { type Operator, readConfig, startOperator } from '@sallyport/operator'
import { type HealthReport, silentLog } from '@sallyport/runtime'
import { freePorts } from '@sallyport/testkit'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeKube, eventually } from './cluster.ts'
import { KubeInstallation, object } from './installation.ts'

describeKube('what an operator says of itself', cluster => {
  let installation: KubeInstallation
  const running = new Set<Operator>()
  beforeAll(async () => {
    installation = await KubeInstallation.prepare(cluster())
  })
  afterAll(async () => {
    for (const operator of running) await operator.close()
    await installation.close()
  })

  const start = async (flags: Record<string, string> = {}) => {
    const config = readConfig(installation.flags({ 'leader-election': 'true', ...flags }), {})
    const operator = await startOperator(config, { log: silentLog })
    running.add(operator)
    return operator
  }
  const ask = async (operator: Operator, path: string) => {
    const response = await fetch(`http://${operator.metricsAddress}/${path}`)
    return { status: response.status, text: await response.text() }
  }
  /** Names and reasons of the checks that fail. */
  const failing = async (operator: Operator, path: string) => {
    const { checks }: HealthReport = JSON.parse((await ask(operator, path)).text)
    return checks.filter(({ ok }) => !ok).map(({ name, reason }) => `${name}: ${reason}`)
  }
  const metric = async (operator: Operator, name: string, labels = '') => {
    const { text } = await ask(operator, 'metrics')
    const line = text.split('\n').find(line => line.startsWith(`sallyport_operator_${name}${labels} `))
    return line === undefined ? undefined : Number(line.split(' ')[1])
  }

  it('is that it leads, or that it is ready to: one of two', { timeout: 120_000 }, async () => {
    const first = await start()
    await first.leading
    const second = await start()
    await eventually('the second to be ready', async () => (await ask(second, 'readyz')).status === 200 || undefined)
    expect(await Promise.all([first, second].map(one => metric(one, 'leading')))).toEqual([1, 0])
    expect(await metric(second, 'last_relist_timestamp_seconds')).toBe(0)
    // Only who leads misses the Controller, which does not run.
    expect(await failing(first, 'readyz')).toEqual([expect.stringMatching(/^controller: /)])
    expect(await failing(second, 'readyz')).toEqual([])
    for (const one of [first, second]) expect((await ask(one, 'healthz')).status).toBe(200)
    await installation.startController()
    await eventually('the first to be ready', async () => (await ask(first, 'readyz')).status === 200 || undefined)

    running.delete(first)
    await first.close()
    await second.leading
    expect(await metric(second, 'leading')).toBe(1)
  })

  it('counts its work, and tells when it has listed everything', { timeout: 120_000 }, async () => {
    const [operator] = [...running] as [Operator]
    const before = (await metric(operator, 'reconciles_total', '{kind="Group"}')) ?? 0
    await installation.apply(object('Group', 'counted', {}))
    await eventually(
      'the work on the Group to be counted',
      async () => ((await metric(operator, 'reconciles_total', '{kind="Group"}')) ?? 0) > before || undefined,
    )
    expect(await metric(operator, 'last_relist_timestamp_seconds')).toBeGreaterThan(0)
    expect(await metric(operator, 'queue_length')).toBeDefined()
  })

  it('is that it should be started anew when the API server has fallen silent', { timeout: 300_000 }, async () => {
    const kubeconfig = JSON.parse(readFileSync(join(installation.dir, 'kubeconfig'), 'utf8'))
    const way = await openWay(Number(new URL(kubeconfig.clusters[0].cluster.server).port))
    try {
      kubeconfig.clusters[0].cluster.server = `https://127.0.0.1:${way.port}`
      const path = join(installation.dir, 'kubeconfig-way')
      writeFileSync(path, JSON.stringify(kubeconfig))
      const operator = await start({ kubeconfig: path, 'leader-election': 'false' })
      await operator.leading
      expect((await ask(operator, 'healthz')).status).toBe(200)
      way.silence()
      await eventually(
        'the silence to be noticed',
        async () => (await ask(operator, 'healthz')).status === 503 || undefined,
        240_000,
      )
      expect(await failing(operator, 'healthz')).toEqual([expect.stringMatching(/^watches: /)])
      way.speak()
      await eventually(
        'the word to be back',
        async () => (await ask(operator, 'healthz')).status === 200 || undefined,
        120_000,
      )
    } finally {
      way.close()
    }
  })

  it('is that it is not ready while it cannot see who leads, which no restart would mend', {
    timeout: 60_000,
  }, async () => {
    const [nobody] = (await freePorts(1)) as [number]
    const kubeconfig = JSON.parse(readFileSync(join(installation.dir, 'kubeconfig'), 'utf8'))
    kubeconfig.clusters[0].cluster.server = `https://127.0.0.1:${nobody}`
    const path = join(installation.dir, 'kubeconfig-nobody')
    writeFileSync(path, JSON.stringify(kubeconfig))
    const lonely = await start({ kubeconfig: path })
    await eventually('the reason', async () => /get Lease/.test((await failing(lonely, 'readyz')).join()) || undefined)
    expect((await ask(lonely, 'readyz')).status).toBe(503)
    expect((await ask(lonely, 'healthz')).status).toBe(200)
  })
})

/** A TCP way to a port that can fall silent: connections stay open, new ones are taken, and nothing passes. */
async function openWay(target: number) {
  const sockets = new Set<Socket>()
  let silent = false
  const server = createServer(socket => {
    sockets.add(socket.on('error', () => undefined))
    if (silent) return
    const upstream = connect(target, '127.0.0.1')
    sockets.add(upstream.on('error', () => socket.destroy()))
    socket.pipe(upstream).pipe(socket)
    socket.on('close', () => upstream.destroy())
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const destroyAll = () => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
  }
  return {
    port: (server.address() as AddressInfo).port,
    silence: () => {
      silent = true
      for (const socket of sockets) socket.unpipe().pause()
    },
    speak: () => {
      silent = false
      destroyAll()
    },
    close: () => {
      destroyAll()
      server.close()
    },
  }
}
