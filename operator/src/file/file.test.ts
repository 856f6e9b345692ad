import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Controller, configFrom, startController } from '@sallyport/controller'
import { createLog, createMetrics, silentLog } from '@sallyport/runtime'
import { API_VERSION, type Kind } from '@sallyport/schema'
import { eventually, freePorts, type Run, run } from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readConfig } from '../config.ts'
import { type Operator, startOperator } from '../operator.ts'

const root = mkdtempSync(join(tmpdir(), 'sallyport-file-'))
const [directory, state] = [join(root, 'objects'), join(root, 'state')]
const main = join(import.meta.dirname, '../main.ts')

const log = process.env.SALLYPORT_TEST_LOG === undefined ? silentLog : createLog('test', 'info')

let url: string
let ports: number[]
let controller: Controller
let operator: Operator | undefined
let metrics = createMetrics('operator')

const declare = (kind: Kind, name: string, spec: object = {}) =>
  writeFileSync(
    join(directory, `${kind}-${name}.yaml`.toLowerCase()),
    JSON.stringify({ apiVersion: API_VERSION, kind, metadata: { name }, spec }),
  )
const withdraw = (kind: Kind, name: string) => rmSync(join(directory, `${kind}-${name}.yaml`.toLowerCase()))
const flags = (more: Record<string, string> = {}) =>
  Object.entries({
    provider: 'file',
    dir: directory,
    'state-dir': state,
    'controller-url': url,
    'metrics-listen': '127.0.0.1:0',
    ...more,
  }).map(([name, value]) => `--${name}=${value}`)
const start = async (more: Record<string, string> = {}) => {
  metrics = createMetrics('operator')
  operator = await startOperator(readConfig(flags(more), process.env), { log, metrics })
}
const stop = async () => {
  await operator?.close()
  operator = undefined
}

type Status = {
  observedGeneration: number
  conditions: { type: string; status: string; reason: string; message: string }[]
}
const status = (kind: Kind, name: string): Status | undefined => {
  const path = join(state, 'status', kind, 'default', `${name}.json`)
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined
}
const condition = (kind: Kind, name: string, type: string, wanted: string, reason?: string) =>
  eventually(`${type}=${wanted} at ${kind} ${name}`, () =>
    status(kind, name)?.conditions.find(
      one => one.type === type && one.status === wanted && (reason === undefined || one.reason === reason),
    ),
  )
const secret = (name: string, entry: string) => join(state, 'secrets/default', name, entry)
const pidOf = (name: string): number | undefined => {
  const path = join(state, 'process', `default-${name}.json`)
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).pid : undefined
}
/** What has ended and nobody has collected is not alive. */
function isAlive(pid: number): boolean {
  const path = `/proc/${pid}/stat`
  return existsSync(path) && !/\) Z /.test(readFileSync(path, 'utf8'))
}

async function writes(): Promise<number> {
  const metric = await metrics.registry.getSingleMetric('sallyport_operator_writes_total')?.get()
  return metric?.values.reduce((sum, { value }) => sum + value, 0) ?? 0
}

/** Resolves when nothing is left to do, and has not been for a moment. */
async function settled(): Promise<number> {
  let last = -1
  let since = 0
  await eventually('the operator at rest', async () => {
    const now = await writes()
    if (now !== last || !operator?.isIdle) since = performance.now()
    last = now
    // Longer than a status waits for the Controller's answer.
    return performance.now() - since > 800
  })
  return last
}

beforeAll(async () => {
  ports = await freePorts(4)
  url = `https://127.0.0.1:${ports[0]}`
  mkdirSync(directory)
  await start()
  controller = await startController(
    configFrom({
      url,
      listen: `127.0.0.1:${ports[0]}`,
      metricsListen: '127.0.0.1:0',
      database: { path: join(root, 'controller.sqlite') },
      storeKeyFile: secret('sallyport-store-key', 'key'),
      tls: {
        certFile: secret('sallyport-controller-tls', 'tls.crt'),
        keyFile: secret('sallyport-controller-tls', 'tls.key'),
      },
      tenants: [
        {
          name: 'default',
          operators: [
            {
              issuer: 'sallyport-operator',
              subject: 'operator',
              jwks: { file: join(state, 'operator-jwks.json') },
              source: 'files',
            },
          ],
        },
      ],
    }),
    { log: silentLog },
  )
})
afterAll(async () => {
  await stop()
  await controller.close()
  rmSync(root, { recursive: true, force: true })
})

describe('a directory of files', () => {
  it('is declared as it stands; an edit is noticed at once', async () => {
    declare('Group', 'people', { members: [] })
    await condition('Group', 'people', 'Programmed', 'True', 'Unused')
    const times: number[] = []
    for (let round = 0; round < 5; round++) {
      const before = await settled()
      const from = performance.now()
      declare('Group', 'people', { members: [`p${round}@example.com`] })
      await eventually('the first write', async () => (await writes()) > before, { everyMs: 2 })
      times.push(performance.now() - from)
    }
    console.log(`from an edit to the first write: ${Math.round(times.sort((a, b) => a - b)[2]!)} ms (median of 5)`)
  })

  it('keeps the time at which an object was first seen, and counts the changes of its spec', async () => {
    const seen = () => JSON.parse(readFileSync(join(state, 'objects.json'), 'utf8'))['Group/default/people']
    await settled()
    const before = seen()
    await stop()
    await start()
    declare('Group', 'people', { members: ['ada@example.com'] })
    await eventually(
      'the next generation',
      () => status('Group', 'people')?.observedGeneration === before.generation + 1,
    )
    expect(seen().createdAt).toBe(before.createdAt)
  })

  it('tells of what is wrong in it, and takes nothing else away', async () => {
    declare('Resource', 'web', { remoteNetworkRef: { name: 'office' }, address: '10.0.0.1/8' })
    const { message } = await condition('Resource', 'web', 'Accepted', 'False', 'Invalid')
    expect(message).toContain('spec.address has host bits set')
    writeFileSync(join(directory, 'broken.yaml'), 'a: [')
    writeFileSync(join(directory, 'later.yaml'), `apiVersion: ${API_VERSION}\nkind: Tunnel\nmetadata: {name: x}\n`)
    const problems = await eventually('the problems', () => {
      const text = existsSync(join(state, 'problems.json')) ? readFileSync(join(state, 'problems.json'), 'utf8') : ''
      return text.includes('Tunnel') ? (JSON.parse(text) as { file: string; message: string }[]) : undefined
    })
    expect(problems.map(({ file }) => file).sort()).toEqual(['broken.yaml', 'later.yaml', 'resource-web.yaml'])
    await condition('Group', 'people', 'Ready', 'True')
    for (const file of ['broken.yaml', 'later.yaml']) rmSync(join(directory, file))
    withdraw('Resource', 'web')
    await eventually('no problems', () => readFileSync(join(state, 'problems.json'), 'utf8').trim() === '[]')
  })

  it('writes nothing more once everything has converged, not even after a restart', async () => {
    await settled()
    await stop()
    await start({ 'resync-seconds': '1' })
    await eventually('two resyncs', async () => {
      const metric = await metrics.registry.getSingleMetric('sallyport_operator_resyncs_total')?.get()
      return (metric?.values[0]?.value ?? 0) >= 2
    })
    expect(await settled()).toBe(0)
    await stop()
    await start()
  })

  it('takes nothing away when it cannot be read', async () => {
    const before = await settled()
    rmSync(join(root, 'away'), { recursive: true, force: true })
    renameSync(directory, join(root, 'away'))
    await eventually('the failure', async () => {
      const answer = await fetch(`http://${operator!.metricsAddress}/readyz`)
      return answer.status === 503
    })
    expect(await writes()).toBe(before)
    renameSync(join(root, 'away'), directory)
    await eventually('readiness', async () => (await fetch(`http://${operator!.metricsAddress}/readyz`)).status === 200)
    expect(await settled()).toBe(before)
  })
})

describe('what a directory declares as Managed', () => {
  const relays = () => [`127.0.0.1:${ports[2]}`, `127.0.0.1:${ports[3]}`]

  it('runs as processes of this machine, until it is Ready', async () => {
    declare('Relay', 'relay', { address: { list: relays() } })
    declare('RemoteNetwork', 'office', { connectors: { replicas: 1 } })
    await condition('RemoteNetwork', 'office', 'Ready', 'True')
    await condition('Relay', 'relay', 'Ready', 'True')
    for (const name of ['office-0', 'relay-0', 'relay-1']) expect(isAlive(pidOf(name) ?? 0)).toBe(true)
    expect(statSync(secret('office-0', 'token')).mode & 0o077).toBe(0)
    expect(statSync(secret('relay-0', 'tls.key')).mode & 0o077).toBe(0)
  })

  it('starts again when it dies', async () => {
    const before = pidOf('relay-0')!
    process.kill(before, 'SIGKILL')
    await eventually('another process', () => pidOf('relay-0') !== before && isAlive(pidOf('relay-0') ?? 0))
  })

  it('gets its Secret again when someone removes it', async () => {
    const before = readFileSync(secret('office-0', 'token'), 'utf8')
    rmSync(join(state, 'secrets/default/office-0'), { recursive: true })
    const after = await eventually('the Secret', () =>
      existsSync(secret('office-0', 'token')) ? readFileSync(secret('office-0', 'token'), 'utf8') : undefined,
    )
    expect(after).not.toBe(before)
  })

  it('outlives an operator that is killed, and is taken up by the next', async () => {
    await settled()
    const before = ['office-0', 'relay-0', 'relay-1'].map(pidOf)
    await stop()
    await eventually('their end', () => before.every(pid => !isAlive(pid!)))
    const first: Run = run({ name: 'operator', args: [main, ...flags()] })
    await eventually('all of them', () => ['office-0', 'relay-0', 'relay-1'].every(name => isAlive(pidOf(name) ?? 0)))
    await first.line(/in contact with the Controller/)
    await first.stop('SIGKILL')
    const running = ['office-0', 'relay-0', 'relay-1'].map(pidOf)
    expect(running.every(pid => isAlive(pid!))).toBe(true)
    await start()
    await condition('RemoteNetwork', 'office', 'Ready', 'True')
    expect(['office-0', 'relay-0', 'relay-1'].map(pidOf)).toEqual(running)
  })

  it('goes when its file goes', async () => {
    const pid = pidOf('office-0')!
    withdraw('RemoteNetwork', 'office')
    await eventually('its end', () => !isAlive(pid))
    await eventually('its Secret to go', () => !existsSync(join(state, 'secrets/default/office-0')))
  })

  it('goes when its file went while no operator ran', async () => {
    await stop()
    const killed = run({ name: 'operator', args: [main, ...flags()] })
    await eventually('the Relays', () => ['relay-0', 'relay-1'].every(name => isAlive(pidOf(name) ?? 0)))
    await killed.stop('SIGKILL')
    const pids = ['relay-0', 'relay-1'].map(name => pidOf(name)!)
    withdraw('Relay', 'relay')
    await start()
    await eventually('their end', () => pids.every(pid => !isAlive(pid)))
  })
})

describe('many objects that vanish at once', () => {
  const groups = Array.from({ length: 30 }, (_, index) => `group-${index}`)
  const rows = async () => {
    const metric = await metrics.registry.getSingleMetric('sallyport_operator_writes_total')?.get()
    return metric?.values.find(({ labels }) => labels.verb === 'DELETE' && labels.kind === 'row/group')?.value ?? 0
  }

  it('stay until someone confirms it', async () => {
    for (const name of groups) declare('Group', name)
    for (const name of groups) await condition('Group', name, 'Ready', 'True')
    await settled()
    const before = await rows()
    for (const name of groups) withdraw('Group', name)
    const code = await eventually('the word of it', () => {
      const events = readFileSync(join(state, 'events.jsonl'), 'utf8')
      return /\d+ of \d+ rows would be removed.*confirm with ([\w-]+)/.exec(events)?.[1]
    })
    expect(await rows()).toBeLessThan(before + 5)
    writeFileSync(join(state, 'confirm-removal'), `${code}\n`)
    await eventually('their removal', async () => (await rows()) === before + 30)
    await settled()
    expect(status('Group', 'people')?.conditions[0]).toMatchObject({ status: 'True' })
  })
})
