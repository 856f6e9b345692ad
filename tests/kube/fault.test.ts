import { readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { type Operator, readConfig, startOperator } from '@sallyport/operator'
import { createLog, createMetrics, silentLog } from '@sallyport/runtime'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeKube, eventually } from './cluster.ts'
import { KubeInstallation, NAMESPACE, object } from './installation.ts'

const LEASE = 'sallyport-operator'
const log = process.env.SALLYPORT_TEST_LOG === undefined ? silentLog : createLog('test', 'info')

describeKube('operators that fail', cluster => {
  let installation: KubeInstallation
  const running = new Set<Operator>()
  beforeAll(async () => {
    installation = await KubeInstallation.prepare(cluster(), log)
    await installation.startOperator()
    await installation.startController()
    await installation.stopOperator()
  }, 60_000)
  afterAll(async () => {
    for (const operator of running) await operator.close()
    await installation.close()
  })

  const start = async (flags: Record<string, string>) => {
    const metrics = createMetrics('operator')
    const lost: string[] = []
    const deps = { log, metrics, onLost: (reason: string) => void lost.push(reason) }
    const operator = await startOperator(readConfig(installation.flags(flags), {}), deps)
    running.add(operator)
    return { operator, lost }
  }
  const stop = async (operator: Operator) => {
    running.delete(operator)
    await operator.close()
  }
  const holder = async () => {
    const { code, stdout } = await cluster().kubectl(['get', 'lease', LEASE, '-n', NAMESPACE, '-o', 'json'])
    return code === 0 ? JSON.parse(stdout).spec.holderIdentity : undefined
  }
  const programmed = (name: string) =>
    installation.condition('Group', name, { type: 'Programmed', status: 'True', reason: 'Unused' })

  describe('of two replicas', () => {
    it('one leads, and hands over at once when it stops', async () => {
      const first = await start({ 'leader-election': 'true' })
      await first.operator.leading
      const leader = await holder()
      const second = await start({ 'leader-election': 'true' })
      await installation.apply(object('Group', 'one', {}))
      await programmed('one')
      expect(await holder()).toBe(leader)
      const from = performance.now()
      await stop(first.operator)
      await second.operator.leading
      expect(performance.now() - from).toBeLessThan(5_000)
      expect(await holder()).not.toBe(leader)
      await installation.apply(object('Group', 'two', {}))
      await programmed('two')
      expect([...first.lost, ...second.lost]).toEqual([])
      await stop(second.operator)
    }, 60_000)

    it('the other takes over within 15 s when one is killed, and it that comes back does not lead', async () => {
      const killed = installation.spawnOperator({ 'leader-election': 'true' })
      await killed.line(/"leading"/)
      const { operator } = await start({ 'leader-election': 'true' })
      const from = performance.now()
      await killed.stop('SIGKILL')
      await operator.leading
      expect(performance.now() - from).toBeLessThan(15_000)
      const leader = await holder()
      const back = installation.spawnOperator({ 'leader-election': 'true' })
      await installation.apply(object('Group', 'three', {}))
      await programmed('three')
      expect(await holder()).toBe(leader)
      await back.stop()
      await stop(operator)
    }, 60_000)

    it('the leader steps down when someone else holds its Lease', async () => {
      const { operator, lost } = await start({ 'leader-election': 'true' })
      await operator.leading
      const patch = { spec: { holderIdentity: 'someone-else' } }
      await cluster().kube(['patch', 'lease', LEASE, '-n', NAMESPACE, '--type=merge', '-p', JSON.stringify(patch)])
      await eventually('the loss', () => (lost.length > 0 ? true : undefined))
      expect(lost).toEqual(['"someone-else" leads'])
      await stop(operator)
      await cluster().kube(['delete', 'lease', LEASE, '-n', NAMESPACE])
    }, 60_000)
  })

  describe('to reach the API server', () => {
    let way: Way
    let operator: Operator
    beforeAll(async () => {
      const path = join(installation.dir, 'kubeconfig')
      const kubeconfig = JSON.parse(readFileSync(path, 'utf8'))
      way = await openWay(Number(new URL(kubeconfig.clusters[0].cluster.server).port))
      kubeconfig.clusters[0].cluster.server = `https://127.0.0.1:${way.port}`
      writeFileSync(join(installation.dir, 'kubeconfig-way'), JSON.stringify(kubeconfig))
      operator = (await start({ kubeconfig: join(installation.dir, 'kubeconfig-way') })).operator
      await operator.leading
    }, 60_000)
    afterAll(() => way.close())

    it('follow again when their connections are cut', async () => {
      await installation.apply(object('Group', 'before', {}))
      await programmed('before')
      way.cut()
      await installation.apply(object('Group', 'after', {}))
      await programmed('after')
    }, 60_000)

    it('see what was made and deleted while there was no way', async () => {
      const gone = (await installation.find('Group', 'before'))!
      way.block()
      await installation.apply(object('Group', 'meanwhile', {}))
      await cluster().kube(['delete', 'groups.sallyport.dev', 'before', '-n', NAMESPACE])
      expect(await installation.rowExists('groups', gone.metadata.uid)).toBe(true)
      way.unblock()
      await programmed('meanwhile')
      await eventually('the row to go', async () =>
        (await installation.rowExists('groups', gone.metadata.uid)) === undefined ? true : undefined,
      )
    }, 60_000)

    it('notice a connection that is open and dead within a minute', async () => {
      way.freeze()
      await installation.apply(object('Group', 'frozen', {}))
      await eventually(
        'the new connection',
        async () => {
          const live = await installation.find('Group', 'frozen')
          return live?.status?.conditions === undefined ? undefined : true
        },
        60_000,
      )
      await stop(operator)
    }, 90_000)
  })
})

/** A TCP way to a port that can be cut, closed, and left open but dead. */
type Way = { port: number; cut(): void; block(): void; unblock(): void; freeze(): void; close(): void }

async function openWay(target: number): Promise<Way> {
  const pairs = new Set<[Socket, Socket]>()
  let blocked = false
  const server: Server = createServer(socket => {
    if (blocked) return void socket.destroy()
    const upstream = connect(target, '127.0.0.1')
    const pair: [Socket, Socket] = [socket, upstream]
    pairs.add(pair)
    for (const [one, other] of [pair, [upstream, socket]] as const) {
      one.on('error', () => other.destroy())
      one.on('close', () => {
        other.destroy()
        pairs.delete(pair)
      })
      one.pipe(other)
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server has an address')
  const cut = () => {
    for (const [socket, upstream] of pairs) {
      socket.destroy()
      upstream.destroy()
    }
  }
  return {
    port: address.port,
    cut,
    block: () => {
      blocked = true
      cut()
    },
    unblock: () => {
      blocked = false
    },
    // What is open stays open and carries nothing more; new connections work.
    freeze: () => {
      for (const [socket, upstream] of pairs) {
        socket.unpipe(upstream)
        upstream.unpipe(socket)
        upstream.pause()
        socket.pause()
      }
    },
    close: () => {
      cut()
      server.close()
    },
  }
}
