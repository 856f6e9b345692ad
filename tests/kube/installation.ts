import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type Controller, configFrom, startController } from '@sallyport/controller'
import { type Operator, readConfig, startOperator } from '@sallyport/operator'
import {
  type ControllerClient,
  ControllerError,
  createControllerClient,
  createMetrics,
  type Log,
  type Metrics,
  silentLog,
} from '@sallyport/runtime'
import { API_VERSION, type ControllerConfigInput, type Kind, type Specs } from '@sallyport/schema'
import { freePorts, type Run, run } from '@sallyport/testkit'
import { parse } from 'yaml'
import { asList, renderRights, type Values } from '../chart/helm.ts'
import { type Api, openApi, pathOf } from './api.ts'
import { type Cluster, eventually } from './cluster.ts'

const root = join(import.meta.dirname, '../..')
/** Namespace of the operator, which it manages, unless a test has two. */
export const NAMESPACE = 'sallyport'
const ACCOUNT = 'sallyport-operator'
const TOKEN_SECONDS = 7200
/** Entries of a Relay's Secret, and of a Connector's. */
const RELAY_FILES = ['relay.json', 'tls.crt', 'tls.key']
const CONNECTOR_FILES = ['token', 'trust.json']

type Condition = { type: string; status: string; reason: string; message: string; observedGeneration: number }
export type Live = {
  kind: string
  metadata: {
    name: string
    namespace: string
    uid: string
    generation: number
    resourceVersion: string
    creationTimestamp: string
    annotations?: Record<string, string>
    ownerReferences?: { uid: string }[]
    managedFields?: { subresource?: string }[]
  }
  spec: Record<string, unknown>
  data?: Record<string, string>
  status?: { conditions?: Condition[]; [field: string]: unknown }
}

/** Operator (with its own account's rights only) and Controller on loopback, over a real API server. */
export class KubeInstallation {
  readonly cluster: Cluster
  readonly namespace: string
  /** The API server as the administrator. */
  readonly api: Api
  readonly dir: string
  readonly url: string
  readonly #ports: number[]
  readonly #processes = new Map<string, Run>()
  readonly #log: Log
  readonly #user: string
  metrics: Metrics = createMetrics('operator')
  operator: Operator | undefined
  controller: Controller | undefined

  private constructor(cluster: Cluster, namespace: string, ports: number[], log: Log) {
    this.cluster = cluster
    this.namespace = namespace
    this.#user = `system:serviceaccount:${namespace}:${ACCOUNT}`
    this.api = openApi(cluster.kubeconfig)
    this.dir = mkdtempSync(join(tmpdir(), 'sallyport-kube-test-'))
    this.#ports = ports
    this.#log = log
    this.url = `https://127.0.0.1:${ports[0]}`
  }

  /** Prepares namespace, account and the rights that the chart gives with these values; starts nothing. */
  static async prepare(
    cluster: Cluster,
    log: Log = silentLog,
    values: Values = {},
    namespace = NAMESPACE,
  ): Promise<KubeInstallation> {
    const self = new KubeInstallation(cluster, namespace, await freePorts(2), log)
    const exists = await cluster.kubectl(['get', 'namespace', namespace])
    if (exists.code !== 0) await cluster.kube(['create', 'namespace', namespace])
    await cluster.kube(['apply', '-f', '-'], asList(await renderRights(values, { namespace })))
    await self.#writeAccount()
    return self
  }

  async start(controller: Partial<ControllerConfigInput> = {}): Promise<void> {
    await this.startOperator()
    await this.startController(controller)
  }

  async startOperator(flags: Record<string, string> = {}): Promise<Operator> {
    this.metrics = createMetrics('operator')
    this.operator = await startOperator(readConfig(this.flags(flags), {}), { log: this.#log, metrics: this.metrics })
    return this.operator
  }

  /** The operator as a process of its own: it can be killed. */
  spawnOperator(flags: Record<string, string> = {}): Run {
    return this.#run('operator', [join(root, 'operator/src/main.ts'), ...this.flags(flags)], {})
  }

  async stopOperator(): Promise<void> {
    await this.operator?.close()
    this.operator = undefined
  }

  async startController(config: Partial<ControllerConfigInput> = {}): Promise<void> {
    this.controller = await startController(configFrom(await this.#controllerConfig(config)), { log: this.#log })
  }

  /** The Controller as a process of its own: it can be measured. */
  async spawnController(): Promise<Run> {
    const path = join(this.dir, 'controller.json')
    writeFileSync(path, JSON.stringify(await this.#controllerConfig({})))
    return this.#run('controller', [join(root, 'images/controller/src/main.ts')], { SALLYPORT_CONFIG: path })
  }

  async #controllerConfig(config: Partial<ControllerConfigInput>): Promise<ControllerConfigInput> {
    const [storeKey, tls] = ['sallyport-store-key', 'sallyport-controller-tls'].map(name => join(this.dir, name))
    await this.mount('sallyport-store-key', ['key'], storeKey!)
    await this.mount('sallyport-controller-tls', ['tls.crt', 'tls.key', 'ca.crt'], tls!)
    const jwks = JSON.parse(await this.cluster.kube(['get', '--raw', '/openid/v1/jwks']))
    const discovery = JSON.parse(await this.cluster.kube(['get', '--raw', '/.well-known/openid-configuration']))
    return {
      url: this.url,
      listen: `127.0.0.1:${this.#ports[0]}`,
      metricsListen: '127.0.0.1:0',
      database: { path: join(this.dir, 'controller.sqlite') },
      storeKeyFile: join(storeKey!, 'key'),
      tls: { certFile: join(tls!, 'tls.crt'), keyFile: join(tls!, 'tls.key') },
      tenants: [
        {
          name: 'default',
          operators: [{ issuer: discovery.issuer, jwks: { keys: jwks.keys }, subject: this.#user, source: 'kube' }],
        },
      ],
      ...config,
    }
  }

  /** Starts a Relay's replica from its Secret, on the port at which it is dialled. */
  async startRelay(name: string, address: string): Promise<Run> {
    const directory = join(this.dir, 'relay', name)
    await this.mount(name, RELAY_FILES, directory)
    const environment = {
      SALLYPORT_RELAY_DIR: directory,
      SALLYPORT_LISTEN: address,
      SALLYPORT_METRICS_LISTEN: '127.0.0.1:0',
    }
    return this.#run(name, [join(root, 'images/relay/src/main.ts')], environment)
  }

  /** Starts a Connector from its Secret as it is now; with another `state` it is one that has never run. */
  async startConnector(name: string, state = 'state', environment: Record<string, string> = {}): Promise<Run> {
    const directory = join(this.dir, 'connector', name)
    await this.mount(name, CONNECTOR_FILES, directory)
    return this.#run(`${name}-${state}`, [join(root, 'images/connector/src/main.ts')], {
      SALLYPORT_CONNECTOR_DIR: directory,
      SALLYPORT_STATE_DIR: join(this.dir, state, name),
      SALLYPORT_METRICS_LISTEN: '127.0.0.1:0',
      ...environment,
    })
  }

  /** Writes the entries of a Secret into a directory, as a mount has them; waits until it has them all. */
  async mount(name: string, files: string[], directory: string): Promise<void> {
    const data = await eventually(`Secret ${name} with ${files.join(', ')}`, async () => {
      const found = (await this.find('Secret', name))?.data ?? {}
      return files.every(file => found[file] !== undefined) ? found : undefined
    })
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    for (const file of files) writeFileSync(join(directory, file), Buffer.from(data[file]!, 'base64'), { mode: 0o600 })
  }

  async apply(...objects: object[]): Promise<void> {
    await this.cluster.kube(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
  }

  async find(kind: string, name: string, namespace = this.namespace): Promise<Live | undefined> {
    const { status, body } = await this.api.request('GET', pathOf(kind, namespace, name))
    return status === 200 ? body : undefined
  }

  async list(kind: string, namespace = this.namespace): Promise<Live[]> {
    const { items } = await this.api.take('GET', pathOf(kind, namespace))
    return items.map((item: Live) => ({ ...item, kind }))
  }

  /** Waits until a condition is as wanted for the present generation; gives the condition. */
  async condition(
    kind: Kind,
    name: string,
    {
      type,
      status,
      reason,
      namespace = this.namespace,
      timeoutMs = 60_000,
    }: { type: string; status: string; reason?: string; namespace?: string; timeoutMs?: number },
  ): Promise<Condition> {
    let seen: unknown
    return eventually(
      `${type}=${status}${reason === undefined ? '' : `/${reason}`} at ${kind} ${name}`,
      async () => {
        const live = await this.find(kind, name, namespace)
        seen = live?.status?.conditions
        const found = live?.status?.conditions?.find(condition => condition.type === type)
        const fits =
          found?.status === status &&
          (reason === undefined || found.reason === reason) &&
          found.observedGeneration === live?.metadata.generation
        return fits ? found : undefined
      },
      timeoutMs,
    ).catch(cause => {
      throw new Error(`${cause.message}; it has ${JSON.stringify(seen)}`)
    })
  }

  /** Writes by the operator's account to the API server, leases left out. */
  operatorWrites(): string[] {
    return this.cluster
      .writes()
      .filter(({ user, uri }) => user === this.#user && !uri.includes('/leases'))
      .map(({ verb, uri }) => `${verb} ${uri.split('?')[0]}`)
  }

  /** Writes of the operator to the Controller. */
  async rowWrites(): Promise<number> {
    const metric = await this.metrics.registry.getSingleMetric('sallyport_operator_writes_total')?.get()
    return (metric?.values ?? [])
      .filter(({ labels }) => String(labels.kind).startsWith('row/'))
      .reduce((sum, { value }) => sum + value, 0)
  }

  /** The Controller's REST API with the operator's token. */
  rest(): ControllerClient {
    return createControllerClient({
      url: this.url,
      ca: () => readFileSync(join(this.dir, 'sallyport-controller-tls/ca.crt'), 'utf8'),
      headers: async () => ({ authorization: `Bearer ${readFileSync(join(this.dir, 'token'), 'utf8').trim()}` }),
    })
  }

  /** Whether the Controller has a row; undefined when it has none. */
  async rowExists(path: string, uid: string): Promise<true | undefined> {
    const client = this.rest()
    try {
      await client.request({ method: 'GET', path: `/v1/${path}/${uid}` })
      return true
    } catch (error) {
      if (error instanceof ControllerError && error.code === 'not_found') return undefined
      throw error
    } finally {
      client.close()
    }
  }

  /** Every table of the Controller's store as one text. */
  store(): Record<string, string> {
    const tables = this.rows('sqlite_master').filter(({ type }) => type === 'table')
    return Object.fromEntries(tables.map(({ name }) => [String(name), JSON.stringify(this.rows(String(name)))]))
  }

  /** All rows of a table of the Controller's store. */
  rows(table: string): Record<string, unknown>[] {
    const database = new DatabaseSync(join(this.dir, 'controller.sqlite'), { readOnly: true })
    try {
      return database.prepare(`select * from ${table}`).all()
    } finally {
      database.close()
    }
  }

  /** Times that the present operator has listed everything again. */
  async resyncs(): Promise<number> {
    const metric = await this.metrics.registry.getSingleMetric('sallyport_operator_resyncs_total')?.get()
    return metric?.values[0]?.value ?? 0
  }

  /** Resolves when nothing is left to do, and has not been for a moment. */
  async settled(timeoutMs = 60_000): Promise<void> {
    let last = ''
    let since = 0
    const isSettled = async () => {
      const now = `${this.operatorWrites().length} ${await this.rowWrites()}`
      if (now !== last || !this.operator?.isIdle) since = performance.now()
      last = now
      if (performance.now() - since <= 700) return undefined
      // The cluster's own controllers have their say about a Deployment that was just written, and the operator repeats it.
      const isObserved = ({ metadata, status }: Live) => Number(status?.observedGeneration ?? 0) >= metadata.generation
      if ((await this.list('Deployment')).every(isObserved)) return true
      since = performance.now()
      return undefined
    }
    await eventually('the operator at rest', isSettled, timeoutMs)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#processes.values()].map(process => process.stop('SIGKILL')))
    await this.stopOperator()
    await this.controller?.close().catch(() => undefined)
    this.api.close()
    rmSync(this.dir, { recursive: true, force: true })
  }

  #run(name: string, args: string[], env: Record<string, string>): Run {
    const process = run({ name, args, env })
    this.#processes.set(`${name} ${process.pid}`, process)
    return process
  }

  /** Flags of an operator: those of this installation, and `flags`. */
  flags(flags: Record<string, string> = {}): string[] {
    const all = {
      kubeconfig: join(this.dir, 'kubeconfig'),
      'token-file': join(this.dir, 'token'),
      'controller-url': this.url,
      namespace: this.namespace,
      'metrics-listen': '127.0.0.1:0',
      'leader-election': 'false',
      ...flags,
    }
    return Object.entries(all).map(([name, value]) => `--${name}=${value}`)
  }

  /** Writes the kubeconfig of an account, `namespace/name`, as a pod of it would have it; gives its path. */
  async kubeconfigOf(account: string): Promise<string> {
    const [namespace = '', name = ''] = account.split('/')
    const admin = parse(readFileSync(this.cluster.kubeconfig, 'utf8'))
    const token = (await this.#token(namespace, name)).trim()
    const kubeconfig = { ...admin, users: [{ name: 'admin', user: { token } }] }
    kubeconfig.contexts = [{ name: 'sallyport', context: { cluster: 'sallyport', user: 'admin' } }]
    const path = join(this.dir, `kubeconfig-${name}`)
    writeFileSync(path, JSON.stringify(kubeconfig), { mode: 0o600 })
    return path
  }

  #token(namespace: string, name: string, ...more: string[]): Promise<string> {
    return this.cluster.kube(['create', 'token', name, '-n', namespace, `--duration=${TOKEN_SECONDS}s`, ...more])
  }

  /** The operator's own kubeconfig and its token for the Controller, as its pod would have them projected. */
  async #writeAccount(): Promise<void> {
    renameSync(await this.kubeconfigOf(`${this.namespace}/${ACCOUNT}`), join(this.dir, 'kubeconfig'))
    const token = await this.#token(this.namespace, ACCOUNT, `--audience=${this.url}`)
    writeFileSync(join(this.dir, 'token'), token, { mode: 0o600 })
  }
}

/** An object of one of our kinds in the operator's namespace. */
export function object<K extends Kind>(kind: K, name: string, spec: Specs[K], namespace = NAMESPACE): object {
  return { apiVersion: API_VERSION, kind, metadata: { name, namespace }, spec }
}
