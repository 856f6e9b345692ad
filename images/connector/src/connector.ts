import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  Backoff,
  type Check,
  type Clock,
  createMetrics,
  type Log,
  logSupervisor,
  type Service,
  sleep,
  startHealthServer,
  systemClock,
} from '@sallyport/runtime'
import type { AccessLogRecord, ConnectorTrust } from '@sallyport/schema'
import { TrustError } from '@sallyport/trust'
import type { ConnectorConfig } from './config.ts'
import { enrol } from './enrol.ts'
import { AccessLog } from './log/access-log.ts'
import { connectorMetrics, servingGauges } from './metrics.ts'
import { SecretWatch } from './secret-watch.ts'
import { Serving } from './serving.ts'
import {
  type Enrolment,
  type Identity,
  loadEnrolment,
  loadIdentity,
  makeIdentity,
  saveEnrolment,
} from './state/identity.ts'
import { loadState } from './state/saved-state.ts'
import { TrustView } from './state/trust-view.ts'
import { createReach } from './target/reach.ts'
import { resolveBy, resolveBySystem } from './target/resolve.ts'
import { VERSION } from './version.ts'

export { type ConnectorConfig, readConfig } from './config.ts'

/** Time for the last access-log records to be acknowledged. */
const LOG_FLUSH_MS = 2_000
/** Longest pause between two looks at a Secret that is not complete. */
const SECRET_PAUSE_MS = 10_000

export type ConnectorDeps = { log: Log; clock?: Clock; random?: () => number }

/** A running Connector. */
export type RunningConnector = Service & {
  /** host:port of `/healthz`, `/readyz` and `/metrics`. */
  metricsAddress: string
}

/** Starts a Connector: it answers health checks at once, and enrols, registers and serves by itself. */
export async function startConnector(config: ConnectorConfig, deps: ConnectorDeps): Promise<RunningConnector> {
  const connector = new Connector(config, deps)
  const health = await startHealthServer({
    listen: config.metricsListen,
    metrics: connector.metrics,
    readiness: connector.readiness,
  })
  await connector.start()
  deps.log.info({ version: VERSION, metrics: health.address }, 'Connector started')
  return {
    metricsAddress: health.address,
    close: async () => {
      await connector.close()
      await health.close()
    },
  }
}

/** The parts of a Connector over its life, in which its identity may change. */
class Connector {
  readonly metrics = createMetrics('connector')
  readonly #counters = connectorMetrics(this.metrics)
  readonly #config: ConnectorConfig
  readonly #clock: Clock
  readonly #random: () => number
  readonly #log: Log
  readonly #accessLines: Log
  readonly #supervisor: ReturnType<typeof logSupervisor>
  readonly #secret: SecretWatch
  readonly #stop = new AbortController()
  #accessLog: AccessLog | undefined
  #trust: TrustView | undefined
  #serving: Serving | undefined
  #notServing = 'starting'
  /** Ends the present identity. */
  #replaceIdentity = () => {}

  constructor(config: ConnectorConfig, { log, clock = systemClock, random = Math.random }: ConnectorDeps) {
    this.#config = config
    this.#clock = clock
    this.#random = random
    this.#log = log
    this.#accessLines = log.child({ log: 'access' }, log.level === 'silent' ? {} : { level: 'info' })
    this.#supervisor = logSupervisor(log)
    this.#secret = new SecretWatch(config.directory, clock, () =>
      this.#supervisor.run('read Secret', () => this.#secretChanged()),
    )
    servingGauges(this.metrics, {
      serving: () => this.#serving,
      accessLogWaiting: () => this.#accessLog?.waiting ?? 0,
    })
  }

  get readiness(): Check[] {
    const names = ['registered', 'acl', 'draining'] as const
    const failing = (name: string) =>
      this.#serving === undefined ? 'not enrolled' : this.#serving.checks.find(check => check.name === name)?.failing()
    return [
      { name: 'enrolled', failing: () => (this.#serving === undefined ? this.#notServing : undefined) },
      ...names.map(name => ({ name, failing: () => failing(name) })),
    ]
  }

  async start(): Promise<void> {
    await mkdir(this.#config.stateDirectory, { recursive: true, mode: 0o700 })
    this.#accessLog = await AccessLog.open({
      directory: join(this.#config.stateDirectory, 'access-log'),
      clock: this.#clock,
      log: this.#log,
      send: records => this.#serving?.sendRecords(records) ?? false,
      onDropped: records => this.#counters.accessLogDropped.inc(records),
    })
    this.#supervisor.run('connector', () => this.#runForever())
  }

  /** Drains, delivers the access log, and ends. */
  async close(): Promise<void> {
    this.#stop.abort()
    this.#secret.close()
    await this.#serving?.drain(this.#config.drainSeconds * 1000)
    await this.#accessLog?.close(this.#serving?.connected ? LOG_FLUSH_MS : 0)
    await this.#serving?.close()
    this.#replaceIdentity()
    await this.#supervisor.settled()
  }

  /** One round for each identity: as a rule there is only one. */
  async #run(): Promise<void> {
    const { stateDirectory } = this.#config
    let identity = await loadIdentity(stateDirectory)
    for (;;) {
      const trust = await this.#awaitTrust()
      const known = await loadEnrolment(stateDirectory, identity)
      if (known !== undefined && known.network !== trust.current.network) identity = await makeIdentity(stateDirectory)
      const isEnrolled = known?.connectorId === identity.connectorId
      const enrolment = isEnrolled ? known : await this.#enrol(identity)
      await this.#serve(identity, enrolment, trust)
      this.#stop.signal.throwIfAborted()
      this.#log.warn('the Controller does not know this Connector: it makes a new key and enrols again')
      identity = await makeIdentity(stateDirectory)
    }
  }

  async #awaitTrust(): Promise<TrustView> {
    for (;;) {
      const { trust } = await this.#secret.read()
      const view = trust === undefined ? undefined : this.#viewOf(trust)
      if (view !== undefined) {
        this.#trust = view
        return view
      }
      this.#notServing = 'there is no readable trust.json in the Secret yet'
      await this.#secret.pause(SECRET_PAUSE_MS, this.#stop.signal)
    }
  }

  async #enrol(identity: Identity): Promise<Enrolment> {
    this.#notServing = 'not enrolled yet'
    const enrolment = await enrol({
      identity,
      readSecret: () => this.#secret.read(),
      pause: (delayMs, signal) => this.#secret.pause(delayMs, signal),
      onWaiting: reason => {
        this.#notServing = reason
      },
      proxy: this.#config.proxy,
      clock: this.#clock,
      random: this.#random,
      log: this.#log,
      signal: this.#stop.signal,
    })
    await saveEnrolment(this.#config.stateDirectory, enrolment)
    this.#log.info({ connectorId: enrolment.connectorId }, 'enrolled')
    return enrolment
  }

  /** Serves until the Controller says that it does not know the identity, or the Connector is stopped. */
  async #serve(identity: Identity, enrolment: Enrolment, trust: TrustView): Promise<void> {
    const { stateDirectory, resolvers, connectTimeoutMs, proxy } = this.#config
    const saved = await loadState(stateDirectory, enrolment.network)
    this.#stop.signal.throwIfAborted()
    const { promise: replaced, resolve } = Promise.withResolvers<void>()
    this.#replaceIdentity = resolve
    const serving = new Serving({
      stateDirectory,
      identity,
      enrolment,
      trust,
      saved,
      reach: createReach({
        resolve: resolvers === undefined ? resolveBySystem : resolveBy(resolvers),
        clock: this.#clock,
        timeoutMs: connectTimeoutMs,
      }),
      accessLog: this.#accessLog!,
      record: record => this.#record(record),
      proxy,
      clock: this.#clock,
      log: this.#log,
      metrics: this.#counters,
      supervisor: this.#supervisor,
      onUnknownIdentity: resolve,
    })
    this.#serving = serving
    await replaced
    if (this.#stop.signal.aborted) return
    this.#serving = undefined
    await serving.close()
  }

  async #secretChanged(): Promise<void> {
    const { trust } = await this.#secret.read()
    if (trust === undefined || this.#trust === undefined) return
    const { tenant, network } = this.#trust.current
    if (trust.tenant !== tenant || trust.network !== network) {
      this.#log.warn('trust.json names another tenant or network')
      this.#replaceIdentity()
      return
    }
    try {
      if (!this.#trust.replace(trust)) return
    } catch (error) {
      if (!(error instanceof TrustError)) throw error
      this.#log.error({ code: error.code }, `trust.json is not usable: ${error.message}`)
      return
    }
    this.#log.info('trust.json has changed')
    this.#serving?.trustReplaced()
  }

  #viewOf(trust: ConnectorTrust): TrustView | undefined {
    try {
      return new TrustView(trust)
    } catch (error) {
      if (!(error instanceof TrustError)) throw error
      this.#log.error({ code: error.code }, `trust.json is not usable: ${error.message}`)
      return undefined
    }
  }

  #record(record: AccessLogRecord): void {
    this.#accessLines.info(record, record.event)
    this.#accessLog?.add(record)
  }

  /** Serves, one identity after the other, until it is stopped; what fails otherwise is logged and begun again. */
  async #runForever(): Promise<void> {
    const { signal } = this.#stop
    const backoff = new Backoff(this.#random)
    while (!signal.aborted) {
      try {
        await this.#run()
      } catch (error) {
        if (signal.aborted) return
        this.#log.error({ err: error }, 'the Connector failed and begins again')
        this.#notServing = 'it failed and begins again'
        await this.#serving?.close()
        this.#serving = undefined
        await sleep(this.#clock, backoff.next(), signal).catch(() => undefined)
      }
    }
  }
}
