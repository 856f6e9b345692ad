/** A whole installation on loopback from one directory: operator, Controller, Relays and Connectors, each a process of its own. */
import { createHash, X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ControllerConfigInput, Kind } from '@sallyport/schema'
import { parse } from 'yaml'
import { Device } from './device.ts'
import { eventually } from './eventually.ts'
import { freePorts } from './port.ts'
import { type Run, run } from './process.ts'
import { type Program, programFile } from './program.ts'
import { type Manifest, manifestFile, writeManifest } from './quickstart.ts'

const RELAYS = 2
/** Namespace of objects that name none. */
const NAMESPACE = 'default'

export type InstallationOptions = {
  dir: string
  /** `host:port` of the resolver that the Connectors ask. */
  resolver: string
  /** The declared objects, given the addresses at which the Relays are dialled. */
  objects: (relays: string[]) => Manifest[]
  /** Accounts of the embedded identity provider. */
  accounts: { email: string; groups?: string[] }[]
  admins?: string[]
  tenant?: string
  /** Directory of bundles, which run instead of the sources. */
  bundles?: string | undefined
  /** What differs from the Controller's usual configuration. */
  controller?: Partial<ControllerConfigInput>
  /** Stands in front of a Relay: given the port that it listens on, returns the one that is dialled. */
  inFrontOfRelay?: (index: number, port: number) => Promise<number>
}

type Part = { args: string[]; env: NodeJS.ProcessEnv; metrics: number; run: Run | undefined; wanted: boolean }
type Ports = { controller: number; controllerMetrics: number; operatorMetrics: number }

export class Installation {
  readonly dir: string
  readonly url: string
  /** Directory that the operator watches. */
  readonly manifests: string
  /** The operator's own directory: statuses, Secrets, certificates. */
  readonly state: string
  readonly #parts = new Map<string, Part>()
  readonly #devices: Device[] = []
  readonly #resolver: string
  readonly #tenant: string
  readonly #bundles: string | undefined

  private constructor({ dir, resolver, tenant = 'default', bundles }: InstallationOptions, port: number) {
    this.dir = dir
    this.url = `https://127.0.0.1:${port}`
    this.manifests = join(dir, 'manifests')
    this.state = join(dir, 'operator')
    this.#resolver = resolver
    this.#tenant = tenant
    this.#bundles = bundles
  }

  /** Starts everything; resolves when every declared object is Ready. `step` hears what is being waited for. */
  static async start(options: InstallationOptions, step: (text: string) => void = () => {}): Promise<Installation> {
    const [controller, controllerMetrics, operatorMetrics] = (await freePorts(3)) as [number, number, number]
    const self = new Installation(options, controller)
    for (const dir of [self.manifests, self.state, join(self.dir, 'log')])
      mkdirSync(dir, { recursive: true, mode: 0o700 })
    try {
      await self.#start(options, { controller, controllerMetrics, operatorMetrics }, step)
    } catch (cause) {
      await self.close()
      throw cause
    }
    return self
  }

  async #start(options: InstallationOptions, ports: Ports, step: (text: string) => void) {
    const relays: { listen: number; metrics: number; dial: number }[] = []
    for (let index = 0; index < RELAYS; index++) {
      const [listen, metrics] = (await freePorts(2)) as [number, number]
      relays.push({ listen, metrics, dial: (await options.inFrontOfRelay?.(index, listen)) ?? listen })
    }
    const objects = options.objects(relays.map(({ dial }) => `127.0.0.1:${dial}`))
    for (const object of objects) this.write(object)

    step('the operator makes the CA, certificates and keys')
    this.#startOperator(ports)
    step('the Controller starts')
    writeFileSync(join(this.dir, 'controller.json'), JSON.stringify(this.#controllerConfig(options, ports), null, 2))
    this.#launch('controller', 'controller', ports.controllerMetrics, {
      args: ['--config', join(this.dir, 'controller.json')],
    })
    step('Relays and Connectors start from what the operator wrote into their Secrets')
    await Promise.all(relays.map((ports, index) => this.#startRelay(index, ports)))
    const connectors = objects.filter(({ kind, spec }) => kind === 'Connector' && spec.deployment === 'External')
    await Promise.all(connectors.map(({ metadata }) => this.startConnector(metadata.name)))
    step('every object becomes Ready')
    await Promise.all(objects.map(({ kind, metadata }) => this.ready(kind as Kind, metadata.name)))
  }

  #startOperator({ operatorMetrics }: Ports) {
    const flags = {
      provider: 'file',
      dir: this.manifests,
      'state-dir': this.state,
      'controller-url': this.url,
      'metrics-listen': `127.0.0.1:${operatorMetrics}`,
      'connector-resolver': this.#resolver,
    }
    const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`)
    this.#launch('operator', 'operator', operatorMetrics, { args })
  }

  #controllerConfig(options: InstallationOptions, ports: Ports): ControllerConfigInput {
    const { admins = [], accounts } = options
    return {
      url: this.url,
      listen: `127.0.0.1:${ports.controller}`,
      metricsListen: `127.0.0.1:${ports.controllerMetrics}`,
      database: { path: join(this.dir, 'controller.sqlite') },
      storeKeyFile: this.file('sallyport-store-key', 'key'),
      tls: {
        certFile: this.file('sallyport-controller-tls', 'tls.crt'),
        keyFile: this.file('sallyport-controller-tls', 'tls.key'),
      },
      tenants: [
        {
          name: this.#tenant,
          operators: [
            {
              issuer: 'sallyport-operator',
              jwks: { file: join(this.state, 'operator-jwks.json') },
              subject: 'operator',
              source: 'files',
            },
          ],
          identityProviders: [{ name: 'tryout', type: 'embedded', embedded: true, accounts }],
          admins,
        },
      ],
      ...options.controller,
    }
  }

  async #startRelay(index: number, { listen, metrics }: { listen: number; metrics: number }) {
    const directory = this.secret(`relay-${index}`)
    await eventually(`the Secret of relay-${index}`, () =>
      ['relay.json', 'tls.crt', 'tls.key'].every(name => existsSync(join(directory, name))),
    )
    this.#launch(`relay-${index}`, 'relay', metrics, {
      env: {
        SALLYPORT_RELAY_DIR: directory,
        SALLYPORT_LISTEN: `127.0.0.1:${listen}`,
        SALLYPORT_METRICS_LISTEN: `127.0.0.1:${metrics}`,
      },
    })
  }

  /** Starts the Connector of a Connector object declared External, in a directory of its own. */
  async startConnector(name: string): Promise<void> {
    const directory = this.secret(name)
    const [metrics] = (await freePorts(1)) as [number]
    await eventually(`the Secret of ${name}`, () =>
      ['token', 'trust.json'].every(file => existsSync(join(directory, file))),
    )
    this.#launch(name, 'connector', metrics, {
      env: {
        SALLYPORT_CONNECTOR_DIR: directory,
        SALLYPORT_STATE_DIR: this.connectorState(name),
        SALLYPORT_METRICS_LISTEN: `127.0.0.1:${metrics}`,
        SALLYPORT_RESOLVER: this.#resolver,
        SALLYPORT_CONNECT_TIMEOUT_SECONDS: '3',
      },
    })
  }

  connectorState = (name: string): string => join(this.dir, 'connector', name)

  #launch(
    name: string,
    program: Program,
    metrics: number,
    { args = [], env = {} }: { args?: string[]; env?: NodeJS.ProcessEnv },
  ) {
    this.#parts.set(name, {
      args: [programFile(program, this.#bundles), ...args],
      env,
      metrics,
      run: undefined,
      wanted: false,
    })
    this.revive(name)
  }

  /** Starts a part that is not running. */
  revive(name: string): Run {
    const part = this.#part(name)
    part.wanted = true
    part.run = run({ name, args: part.args, env: part.env, logFile: join(this.dir, 'log', `${name}.log`) })
    return part.run
  }

  /** Ends a part, at once unless another signal is given; it stays away until {@link revive}. */
  async kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<number | string | undefined> {
    const part = this.#part(name)
    part.wanted = false
    return part.run?.stop(signal)
  }

  /** Lines that a part has printed since it was started last. */
  log(name: string): string[] {
    return this.#part(name).run?.lines ?? []
  }

  /** Names of all parts, in the order of their start. */
  get parts(): string[] {
    return [...this.#parts.keys()]
  }

  /** Processes that were to run and have ended, with their last line. */
  get fallen(): string[] {
    const gone = [...this.#parts].filter(
      ([, { run: one, wanted }]) =>
        wanted && one !== undefined && (one.child.exitCode !== null || one.child.signalCode !== null),
    )
    return gone.map(([name, { run: one }]) => `${name}: ${one?.lines.at(-1) ?? ''}`)
  }

  /** Whether a part says that it is ready. */
  async isReady(name: string): Promise<boolean> {
    const answer = await fetch(`http://127.0.0.1:${this.#part(name).metrics}/readyz`).catch(() => undefined)
    return answer?.ok ?? false
  }

  /** Value of a metric of a part, summed over its labels that `labels` matches; 0 when it has none. */
  async metric(name: string, metric: string, labels = ''): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${this.#part(name).metrics}/metrics`)
    const lines = (await answer.text())
      .split('\n')
      .filter(line => line.startsWith(`${metric}{`) || line.startsWith(`${metric} `))
    return lines
      .filter(line => line.includes(labels))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
  }

  /** Declares an object, or changes it. */
  write(object: Manifest): void {
    writeManifest(this.manifests, object)
  }

  read(kind: Kind, name: string): Manifest {
    return parse(readFileSync(this.manifestPath(kind, name), 'utf8'))
  }

  remove(kind: Kind, name: string): void {
    rmSync(this.manifestPath(kind, name))
  }

  manifestPath(kind: Kind, name: string): string {
    return join(this.manifests, manifestFile({ kind, metadata: { name } }))
  }

  /** Resolves when the object's condition Ready is True; of an object that has just been changed, what was said before may still stand. */
  async ready(kind: Kind, name: string): Promise<void> {
    let seen: unknown
    await eventually(
      `${kind} ${name} to be Ready`,
      () => {
        seen = this.status(kind, name)
        return this.condition(kind, name, 'Ready') === 'True'
      },
      { timeoutMs: 120_000 },
    ).catch(cause => {
      throw new Error(
        `${kind} ${name} is not Ready: ${JSON.stringify(seen)}; ended: ${this.fallen.join('; ') || 'none'}`,
        { cause },
      )
    })
  }

  status(
    kind: Kind,
    name: string,
  ): { conditions?: { type: string; status: string; reason: string; message: string }[] } | undefined {
    const path = join(this.state, 'status', kind, NAMESPACE, `${name}.json`)
    return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined
  }

  condition(kind: Kind, name: string, type: string): string | undefined {
    return this.status(kind, name)?.conditions?.find(condition => condition.type === type)?.status
  }

  /** Directory with the files of a Secret. */
  secret = (name: string): string => join(this.state, 'secrets', NAMESPACE, name)
  file = (secret: string, name: string): string => join(this.secret(secret), name)
  get caFile(): string {
    return this.file('sallyport-ca', 'ca.crt')
  }

  /** What a person types after `sallyport login`: the Controller with the pin of the installation CA. */
  get loginUrl(): string {
    const spki = new X509Certificate(readFileSync(this.caFile)).publicKey.export({ type: 'spki', format: 'der' })
    const path = this.#tenant === 'default' ? '' : `/t/${this.#tenant}`
    return `${this.url}${path}#sha256:${createHash('sha256').update(spki).digest('hex')}`
  }

  /** A device of its own, not logged in. */
  device(name: string, environment: NodeJS.ProcessEnv = {}): Device {
    const device = new Device({
      home: join(this.dir, 'device', name),
      environment,
      ...(this.#bundles === undefined ? {} : { bundles: this.#bundles }),
    })
    this.#devices.push(device)
    return device
  }

  /** Ends every process, the dependent ones first. */
  async close(): Promise<void> {
    await Promise.all(this.#devices.map(device => device.close()))
    for (const name of this.parts.reverse()) await this.kill(name, 'SIGTERM')
  }

  #part(name: string): Part {
    const part = this.#parts.get(name)
    if (part === undefined) throw new TypeError(`no part "${name}", there are ${this.parts.join(', ')}`)
    return part
  }
}
