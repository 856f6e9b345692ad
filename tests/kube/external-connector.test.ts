/** What docs/operations/external-connector.md says, done as it says it. */
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { createLog } from '@sallyport/runtime'
import { freePorts, type Run, run } from '@sallyport/testkit'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parse } from 'yaml'
import { describeKube } from './cluster.ts'
import { KubeInstallation, NAMESPACE, object } from './installation.ts'

/** Time for a process to start on a busy machine. */
const START_MS = 120_000
const root = join(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'docs/operations/external-connector.md'), 'utf8')
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, 'g'))].map(match => match[1]!)
const [declaration] = blocks('yaml').map(text => parse(text))
const [take, container, start] = blocks('sh') as [string, string, string]

describeKube('a Connector outside of the cluster', cluster => {
  let installation: KubeInstallation
  let home: string
  let connector: Run | undefined

  beforeAll(async () => {
    const log = process.env.SALLYPORT_TEST_LOG === undefined ? undefined : createLog('test', 'info')
    installation = await KubeInstallation.prepare(cluster(), log)
    home = join(installation.dir, 'datacenter')
    mkdirSync(home)
    await installation.start()
    const [address] = (await freePorts(1)).map(port => `127.0.0.1:${port}`)
    await installation.apply(
      object('RemoteNetwork', 'office', { connectors: { replicas: 0 } }),
      object('Relay', 'relay', { deployment: 'External', replicas: 1, address: { list: [address!] } }),
      declaration,
    )
    await installation.startRelay('relay-0', address!)
  }, 120_000)
  afterAll(async () => {
    await connector?.stop('SIGKILL')
    await installation.close()
  })

  it('has all that it needs in its Secret', async () => {
    await installation.mount('datacenter-a', ['token', 'trust.json'], join(installation.dir, 'once'))
    const path = cluster().client.includes('/') ? [dirname(cluster().client)] : []
    const env = { ...process.env, KUBECONFIG: cluster().kubeconfig, PATH: [...path, process.env.PATH].join(':') }
    await promisify(execFile)('bash', ['-euc', take], { cwd: home, env })
    expect(readFileSync(join(home, 'connector/token'), 'utf8')).toMatch(/^spe_[A-Za-z0-9_-]{43}$/)
    expect(JSON.parse(readFileSync(join(home, 'connector/trust.json'), 'utf8'))).toMatchObject({
      controllerUrl: installation.url,
    })
  })

  it('starts as a plain process, and is Ready', async () => {
    const words = start.trim().split(' ')
    expect(words.slice(-2)).toEqual(['node', 'dist/connector.mjs'])
    const env = Object.fromEntries(words.slice(0, -2).map(word => word.split('=') as [string, string]))
    connector = run({
      ...{ name: 'datacenter-a', args: [join(root, 'images/connector/src/main.ts')], cwd: home },
      env: { ...env, SALLYPORT_METRICS_LISTEN: '127.0.0.1:0' },
    })
    await installation.condition('Connector', 'datacenter-a', { type: 'Ready', status: 'True', timeoutMs: START_MS })
    expect(await installation.find('Deployment', 'datacenter-a')).toBeUndefined()
  }, 180_000)

  it('is refused while it lives when someone starts a copy', async () => {
    const copy = await installation.startConnector('datacenter-a', 'copy')
    const wanted = { type: 'EnrolmentConflict', status: 'True', reason: 'SlotOccupied', timeoutMs: START_MS }
    await installation.condition('Connector', 'datacenter-a', wanted)
    await copy.stop('SIGKILL')
    await installation.condition('Connector', 'datacenter-a', { type: 'Ready', status: 'True' })
  }, 240_000)

  it('runs in a container with the same variables', () => {
    const named = (text: string) =>
      [...new Set(text.match(/SALLYPORT_\w+(?==)/g))].filter(name => !name.includes('METRICS'))
    expect(named(container)).toEqual(named(start))
    expect(declaration.metadata.namespace).toBe(NAMESPACE)
  })
})
