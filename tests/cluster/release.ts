/** A release of the chart with the try-out's values, the quickstart beside it, and people outside of the cluster's network. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bySocks, Device, eventually, httpGet, type Way } from '@sallyport/testkit'
import { find, helm, image, kube, kubectl, makeNodeDirectory } from './cluster.ts'

const root = join(import.meta.dirname, '../..')
const OVERLAY = join(root, 'examples/quickstart/overlays/node')
const USER = 65532

/** Namespace of the release and of what the quickstart declares. */
export const NAMESPACE = 'sallyport'
export const RELEASE = 'sallyport'
/** Namespace of the quickstart's private services. */
export const OFFICE = 'office'
export const CHART: string = join(root, 'charts/sallyport')
/** Every kind that is declared, for kubectl. */
export const ALL_KINDS = 'remotenetworks,connectors,resources,groups,relays'
/** Time for what has no measure of its own: a machine may be slow. */
export const LONG_MS = 600_000
/** A page of the quickstart: its name, its port, and what it says. */
export const WEB = { host: 'web.office.internal', port: 8080, says: 'hello from a private service\n' } as const
/** The quickstart's service that sends back what it is sent. */
export const TCP = { host: 'tcp.office.internal', port: 9000, says: 'hello from a private TCP service\n' } as const

const NETWORK_LABEL = 'sallyport.dev/remote-network=office'

type Condition = { type: string; status: string }
type Network = { status: { connectors?: { desired: number; ready: number }; conditions: Condition[] } }
export type Pod = {
  metadata: {
    name: string
    uid: string
    annotations?: Record<string, string>
    labels?: Record<string, string>
    deletionTimestamp?: string
  }
  spec: { nodeName?: string; containers: { image: string }[] }
  status: { conditions?: Condition[]; containerStatuses?: ContainerStatus[] }
}
type ContainerStatus = {
  restartCount: number
  lastState: { terminated?: { exitCode: number; reason: string; finishedAt: string } }
}

/** Somebody's device: gets a page by its name, and dials by name. */
export type Person = { get: (host: string, port: number) => Promise<string>; dial: Way; device: Device }

export const isReady = ({ status: { conditions = [] } }: Pod): boolean =>
  conditions.some(({ type, status }) => type === 'Ready' && status === 'True')

/** Seconds that have passed since `sinceMs` of the monotonic clock, for print. */
export const seconds = (sinceMs: number): string => `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`

/** One at a time: it takes the names that the examples have. */
export class Release {
  readonly work: string = mkdtempSync(join(tmpdir(), 'sallyport-chart-'))
  readonly #database = join(this.work, 'database')
  readonly #devices: Device[] = []
  #login: string | undefined

  /** Makes the directory of the database. */
  async prepare(): Promise<void> {
    await makeNodeDirectory(this.#database, USER)
  }

  /** Installs it with the further values; gives what helm has said. `chart` is its directory. */
  install(values: object = {}, chart: string = CHART): Promise<string> {
    return helm(['install', RELEASE, chart, '--create-namespace', ...this.valueFiles(values)], this.values())
  }

  /** `helm upgrade` with the further values; gives what helm has said. */
  upgrade(values: object = {}): Promise<string> {
    return helm(['upgrade', RELEASE, CHART, ...this.valueFiles(values)], this.values())
  }

  /** Arguments of helm after the chart's name; {@link values} go to its standard input. */
  valueFiles(values: object = {}): string[] {
    const more = join(this.work, 'values.json')
    writeFileSync(more, JSON.stringify(values))
    const files = [join(root, 'examples/values-tryout.yaml'), '-', more]
    return ['--namespace', NAMESPACE, ...files.flatMap(file => ['--values', file])]
  }

  /** What no example can know: the images under test, and a volume where nothing provisions one. */
  values(): string {
    const tag = image('operator').split(':').at(-1)
    const images = Object.fromEntries(['operator', 'controller', 'relay', 'connector'].map(name => [name, { tag }]))
    return JSON.stringify({ images, controller: { persistence: { hostPath: this.#database } } })
  }

  /** Waits for the Controller; gives the line to log in with. */
  async started(): Promise<string> {
    const written = await eventually(
      'the ConfigMap that says how to log in',
      () => find<{ data: { login: string } }>('configmap', `${RELEASE}-login`, NAMESPACE),
      { timeoutMs: LONG_MS, everyMs: 500 },
    )
    await kube(['rollout', 'status', `deployment/${RELEASE}-controller`, '-n', NAMESPACE, '--timeout=300s'])
    this.#login = written.data.login
    return this.#login
  }

  /** The quickstart's manifests, its private services run from the images under test. */
  async quickstart(): Promise<string> {
    return (await kube(['kustomize', OVERLAY])).replaceAll('sallyport/relay:0.1.0', image('relay'))
  }

  /** Waits until every object is Ready, and the private services are. */
  async ready(): Promise<void> {
    await kube(['wait', '--for=condition=Ready', '-n', NAMESPACE, '--all', '--timeout=300s', ALL_KINDS])
    for (const name of ['web', 'tcp']) {
      await kube(['rollout', 'status', `deployment/${name}`, '-n', OFFICE, '--timeout=120s'])
    }
  }

  /** All of it: the release, the quickstart, every object Ready. */
  async everything(values: object = {}, chart: string = CHART): Promise<void> {
    await this.prepare()
    await this.install(values, chart)
    await this.started()
    await kube(['apply', '-f', '-'], await this.quickstart())
    await this.ready()
  }

  /** Logs in, on a device of its own each time; throws when that person may not. */
  async person(email: string, environment: NodeJS.ProcessEnv = {}): Promise<Person> {
    const secret = await find<{ data: Record<string, string> }>('secret', `${RELEASE}-ca`, NAMESPACE)
    const caFile = join(this.work, 'ca.crt')
    writeFileSync(caFile, Buffer.from(secret!.data['ca.crt']!, 'base64'))
    const device = new Device({ home: join(this.work, `${email}-${this.#devices.length}`), environment })
    this.#devices.push(device)
    await device.login(this.#login ?? (await this.started()), email, caFile)
    const dial = bySocks((await device.proxies()).socks)
    return { device, dial, get: (host, port) => httpGet(dial, host, port).then(({ body }) => body.toString()) }
  }

  /** Writes these entries of a Secret into a directory, once it has them all; gives whether it has. */
  async takeSecret(name: string, entries: string[], directory: string): Promise<boolean> {
    const data = (await find<{ data?: Record<string, string> }>('secret', name, NAMESPACE))?.data ?? {}
    if (entries.some(entry => data[entry] === undefined)) return false
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    for (const entry of entries) writeFileSync(join(directory, entry), Buffer.from(data[entry]!, 'base64'))
    return true
  }

  /** Pods of the network's Connectors that are not going. */
  async connectors(): Promise<Pod[]> {
    const found = await kube(['get', 'pods', '-n', NAMESPACE, '-l', NETWORK_LABEL, '-o', 'json'])
    const { items } = JSON.parse(found) as { items: Pod[] }
    return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  }

  /** Changes the network's Connectors. */
  async setConnectors(connectors: object): Promise<void> {
    const patch = JSON.stringify({ spec: { connectors } })
    await kube(['patch', 'remotenetwork', 'office', '-n', NAMESPACE, '--type=merge', '-p', patch])
  }

  /** Waits until the network has so many Connectors, all ready, and nothing more to change. */
  async settled(count: number): Promise<void> {
    await eventually(
      `${count} Connectors`,
      async () => {
        const { status } = (await find<Network>('remotenetwork', 'office', NAMESPACE))!
        const atRest = status.conditions.some(({ type, status }) => type === 'Progressing' && status === 'False')
        return atRest && status.connectors?.ready === count && status.connectors.desired === count
      },
      { timeoutMs: LONG_MS, everyMs: 250 },
    )
  }

  /** Ends people's devices, and deletes all of it but for the CRDs; says which pods have been started again meanwhile. */
  async close(): Promise<void> {
    await this.#sayRestarts().catch(console.error)
    await Promise.all(this.#devices.map(device => device.close()))
    await kubectl(['delete', 'namespace', NAMESPACE, OFFICE, '--ignore-not-found', '--timeout=180s'])
    // What Helm and the chart keep outside of the namespace.
    const ours = ['-l', `app.kubernetes.io/instance=${RELEASE}`, '--ignore-not-found']
    await kubectl(['delete', 'clusterroles,clusterrolebindings,persistentvolumes', ...ours])
    rmSync(this.work, { recursive: true, force: true })
  }

  async #sayRestarts(): Promise<void> {
    const { items } = JSON.parse(await kube(['get', 'pods', '-n', NAMESPACE, '-o', 'json'])) as { items: Pod[] }
    for (const { metadata, status } of items) {
      for (const { restartCount, lastState } of status.containerStatuses ?? []) {
        if (restartCount === 0) continue
        const { stdout } = await kubectl(['logs', metadata.name, '-n', NAMESPACE, '--previous', '--tail=20'])
        console.log(`${metadata.name}: ${restartCount} restarts, ${JSON.stringify(lastState)}\n${stdout}`)
      }
    }
  }
}
