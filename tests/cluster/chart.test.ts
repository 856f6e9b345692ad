/**
 * The chart on a real node, as a newcomer uses it: `helm install` with the try-out's values, `kubectl apply -k` of the quickstart, the login
 * that the notes print, and a pod's Service is reached from outside of the cluster's network. Then all of it goes, but for what must stay.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ADA, bySocks, Device, eventually, httpGet } from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { apply, find, helm, image, kube, kubectl, makeNodeDirectory } from './cluster.ts'

const root = join(import.meta.dirname, '../..')
const OVERLAY = join(root, 'examples/quickstart/overlays/node')
const NAMESPACE = 'sallyport'
const RELEASE = 'sallyport'
const EVE = 'eve@example.com'
const ALL_KINDS = 'remotenetworks,connectors,resources,groups,relays'
const GREETING = 'hello from a private service\n'
const LONG_MS = 600_000
const USER = 65532
const NETWORK_LABEL = 'sallyport.dev/remote-network=office'

const INSTALL = [
  ...['install', RELEASE, join(root, 'charts/sallyport'), '--namespace', NAMESPACE, '--create-namespace'],
  ...['--values', join(root, 'examples/values-tryout.yaml'), '--values', '-'],
]

type Network = {
  status: {
    connectors?: { desired: number; ready: number }
    conditions: Condition[]
  }
}
type Condition = { type: string; status: string }
type Pod = { metadata: { name: string; annotations?: Record<string, string> }; status: { conditions?: Condition[] } }

const isReady = ({ conditions = [] }: Pod['status']) =>
  conditions.some(({ type, status }) => type === 'Ready' && status === 'True')
/** Pods of the network's Connectors. */
const pods = async () => {
  const found = await kube(['get', 'pods', '-n', NAMESPACE, '-l', NETWORK_LABEL, '-o', 'json'])
  return (JSON.parse(found) as { items: Pod[] }).items
}
const seconds = (sinceMs: number) => `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`

describe('the chart on a node', () => {
  const work = mkdtempSync(join(tmpdir(), 'sallyport-chart-'))
  const database = join(work, 'database')
  const devices: Device[] = []
  let installedAtMs: number
  let login: string
  let caFile: string
  let ada: (host: string, port: number) => Promise<string>

  /** What no example can know: the images under test, and a volume where nothing provisions one. */
  const values = () => {
    const tag = image('operator').split(':').at(-1)
    const images = Object.fromEntries(['operator', 'controller', 'relay', 'connector'].map(name => [name, { tag }]))
    return JSON.stringify({
      images,
      controller: { persistence: { hostPath: database } },
    })
  }

  /** The quickstart, its private services run from the images under test. */
  const quickstart = async () =>
    (await kube(['kustomize', OVERLAY])).replaceAll('sallyport/relay:0.1.0', image('relay'))

  beforeAll(() => makeNodeDirectory(database, USER))
  afterAll(async () => {
    await Promise.all(devices.map(device => device.close()))
    await kubectl(['delete', 'namespace', NAMESPACE, 'office', '--ignore-not-found', '--wait=false'])
    rmSync(work, { recursive: true, force: true })
  })

  async function person(email: string): Promise<(host: string, port: number) => Promise<string>> {
    const device = new Device({ home: join(work, email), environment: {} })
    devices.push(device)
    await device.login(login, email, caFile)
    const { socks } = await device.proxies()
    return (host, port) => httpGet(bySocks(socks), host, port).then(({ body }) => body.toString())
  }

  it('is installed with one command, and says how to log in', { timeout: LONG_MS }, async () => {
    installedAtMs = performance.now()
    const said = await helm(INSTALL, values())
    expect(said).toContain('kubectl apply -k examples/quickstart/overlays/node')
    expect(said).toContain('asks for NO PASSWORD')
    const command = /sallyport login "\$\((kubectl [^)]*)\)"/.exec(said)?.[1]
    expect(command).toBe(`kubectl -n ${NAMESPACE} get configmap ${RELEASE}-login -o jsonpath='{.data.login}'`)
    const written = await eventually(
      'the ConfigMap that says how to log in',
      () => find<{ data: { login: string } }>('configmap', `${RELEASE}-login`, NAMESPACE),
      { timeoutMs: LONG_MS, everyMs: 500 },
    )
    login = written.data.login
    expect(login).toMatch(/^https:\/\/[0-9.]+:[0-9]+#sha256:[A-Za-z0-9_-]{43}$/)
    await kube(['rollout', 'status', `deployment/${RELEASE}-controller`, '-n', NAMESPACE, '--timeout=300s'])
  })

  it('makes all that the quickstart declares Ready', { timeout: LONG_MS }, async () => {
    await kube(['apply', '-f', '-'], await quickstart())
    const wait = ['wait', '--for=condition=Ready', '-n', NAMESPACE, '--all', '--timeout=300s', ALL_KINDS]
    expect(await kubectl(wait)).toMatchObject({ code: 0, stderr: '' })
  })

  it('lets her reach a Service of the cluster whom a Group names, and nobody else', { timeout: LONG_MS }, async () => {
    const secret = await find<{ data: Record<string, string> }>('secret', `${RELEASE}-ca`, NAMESPACE)
    caFile = join(work, 'ca.crt')
    writeFileSync(caFile, Buffer.from(secret!.data['ca.crt']!, 'base64'))
    await kube(['rollout', 'status', 'deployment/web', '-n', 'office', '--timeout=120s'])
    ada = await person(ADA)
    expect(await ada('web.office.internal', 8080)).toBe(GREETING)
    console.log(`from helm install to the first byte: ${seconds(installedAtMs)}`)
    await expect(ada('web.office.internal', 8081)).rejects.toThrow('SOCKS reply 2')
    await expect(person(EVE)).rejects.toThrow('login as eve@example.com')
  })

  it('refuses nobody while Connectors and the Controller change', { timeout: LONG_MS }, async () => {
    const network = (spec: object) =>
      kube(['patch', 'remotenetwork', 'office', '-n', NAMESPACE, '--type=merge', '-p', JSON.stringify({ spec })])
    const ready = (count: number) =>
      eventually(
        `${count} Connectors`,
        async () => {
          const { status } = (await find<Network>('remotenetwork', 'office', NAMESPACE))!
          const settled = status.conditions.some(({ type, status }) => type === 'Progressing' && status === 'False')
          return settled && status.connectors?.ready === count && status.connectors.desired === count
        },
        { timeoutMs: LONG_MS, everyMs: 500 },
      )
    let step = 'nothing has changed yet'
    let over = false
    let answered = 0
    const failures: string[] = []
    const load = Array.from({ length: 2 }, async () => {
      while (!over)
        await ada('web.office.internal', 8080).then(
          () => answered++,
          error => failures.push(`${step}: ${error}`),
        )
    })
    const during = async (title: string, change: () => Promise<unknown>) => {
      step = title
      const before = answered
      await change()
      await eventually('requests beside it', () => answered > before)
    }
    await during('two Connectors more', async () => {
      await network({ connectors: { replicas: 4 } })
      await ready(4)
    })
    await during('two Connectors fewer', async () => {
      await network({ connectors: { replicas: 2 } })
      await ready(2)
    })
    await during('another pod template', async () => {
      await network({ connectors: { podTemplate: { metadata: { annotations: { 'example.com/change': '1' } } } } })
      await eventually(
        'pods of the new template',
        async () => {
          const changed = (await pods()).filter(({ metadata }) => metadata.annotations?.['example.com/change'] === '1')
          return changed.length === 2
        },
        { timeoutMs: LONG_MS, everyMs: 500 },
      )
      await ready(2)
    })
    await during('a Connector deleted by force', async () => {
      const [victim] = await pods()
      const { name } = victim!.metadata
      await kube(['delete', 'pod', name, '-n', NAMESPACE, '--force', '--grace-period=0'])
      const gone = performance.now()
      await eventually(
        'its successor',
        async () => {
          const serving = (await pods()).filter(({ metadata, status }) => metadata.name !== name && isReady(status))
          return serving.length === 2
        },
        { timeoutMs: LONG_MS, everyMs: 250 },
      )
      console.log(`from a Connector's pod deleted by force to the next one Ready: ${seconds(gone)}`)
    })
    await during('the Controller anew', async () => {
      await kube(['rollout', 'restart', `deployment/${RELEASE}-controller`, '-n', NAMESPACE])
      await kube(['rollout', 'status', `deployment/${RELEASE}-controller`, '-n', NAMESPACE, '--timeout=300s'])
    })
    over = true
    await Promise.all(load)
    console.log(`new connections meanwhile: ${answered} answered, ${failures.length} failed`)
    expect(failures).toEqual([])
  })

  it('exposes a Service while it is annotated', { timeout: LONG_MS }, async () => {
    const host = 'again.office.svc.cluster.local'
    const spec = { selector: { app: 'web' }, ports: [{ port: 8080 }] }
    await apply({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'again', namespace: 'office' }, spec })
    await expect(ada(host, 8080)).rejects.toThrow('SOCKS reply 2')
    const allowed = { spec: { allowedNamespaces: [{ from: 'All' }] } }
    await kube(['patch', 'remotenetwork', 'office', '-n', NAMESPACE, '--type=merge', '-p', JSON.stringify(allowed)])
    const annotate = (...annotations: string[]) =>
      kube(['annotate', 'service', 'again', '-n', 'office', ...annotations])
    await annotate(`sallyport.dev/expose=${NAMESPACE}/office`, `sallyport.dev/groups=${NAMESPACE}/developers`)
    const reached = () =>
      ada(host, 8080).then(
        answer => answer === GREETING,
        () => false,
      )
    await eventually('the Service to be reached', reached)
    await annotate('sallyport.dev/expose-', 'sallyport.dev/groups-')
    await eventually('it to be reached no more', async () => !(await reached()))
    expect(await find('resource', 'again', 'office')).toBeUndefined()
  })

  it('runs pods that are restricted, all of them', { timeout: LONG_MS }, async () => {
    for (const level of ['enforce', 'warn']) {
      const labels = ['label', 'namespace', NAMESPACE, '--overwrite', `pod-security.kubernetes.io/${level}=restricted`]
      // The server warns of each pod that would not be let in.
      expect((await kubectl([...labels, '--dry-run=server'])).stderr).toBe('')
    }
  })

  it('leaves what must stay, and finds it again', { timeout: LONG_MS }, async () => {
    const before = await find<{ data: object }>('secret', `${RELEASE}-ca`, NAMESPACE)
    await helm(['uninstall', RELEASE, '--namespace', NAMESPACE, '--wait'])
    const left = await kube(['get', 'deployments', '-n', NAMESPACE, '-o', 'name'])
    expect(left.split('\n').filter(name => name.includes(`/${RELEASE}-`))).toEqual([])
    expect(left).toContain('deployment.apps/office-0')
    await helm(INSTALL, values())
    await kube(['rollout', 'status', `deployment/${RELEASE}-controller`, '-n', NAMESPACE, '--timeout=300s'])
    expect((await find<{ data: object }>('secret', `${RELEASE}-ca`, NAMESPACE))?.data).toEqual(before?.data)
    await kube(['wait', '--for=condition=Ready', '-n', NAMESPACE, '--all', '--timeout=300s', ALL_KINDS])
  })
})
