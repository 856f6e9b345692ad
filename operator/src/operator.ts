import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { type Clock, createMetrics, type Log, type Metrics, startHealthServer, systemClock } from '@sallyport/runtime'
import { randomId } from '@sallyport/trust'
import manifest from '../package.json' with { type: 'json' }
import type { OperatorConfig } from './config.ts'
import { DeclaredClient } from './controller/client.ts'
import { Mirror } from './controller/mirror.ts'
import { FileProvider } from './file/provider.ts'
import { installationNames } from './installation.ts'
import { KubernetesProvider } from './kubernetes/provider.ts'
import { operatorMetrics } from './metrics.ts'
import { hasPublicCa } from './plan/public-url.ts'
import type { Settings } from './plan/step.ts'
import type { ChangeListener, Provider } from './provider.ts'
import { Reconciler } from './reconciler.ts'
import { World } from './world.ts'

/** Version that the operator states. */
const VERSION: string = manifest.version

export type OperatorDeps = {
  log: Log
  clock?: Clock
  metrics?: Metrics
  /** Called when another replica leads, or the Lease could not be renewed: the process has to end. */
  onLost?: (reason: string) => void
}

/** A running operator. */
export type Operator = {
  /** host:port of /healthz, /readyz and /metrics. */
  metricsAddress: string
  /** Whether nothing is left to do but what waits for its time. */
  readonly isIdle: boolean
  /** Resolves when it leads and has listed everything. */
  leading: Promise<void>
  close(): Promise<void>
}

/** Starts the operator: lists, waits for leadership, reconciles until it is closed. */
export async function startOperator(config: OperatorConfig, deps: OperatorDeps): Promise<Operator> {
  const { log, clock = systemClock, metrics = createMetrics('operator'), onLost = () => undefined } = deps
  const parts: { reconciler?: Reconciler; mirror?: Mirror; client?: DeclaredClient } = {}
  let phase: 'waiting' | 'listing' | 'leading' = 'waiting'
  const counters = operatorMetrics(metrics, {
    leading: () => phase === 'leading',
    queueLength: () => parts.reconciler?.queueLength ?? 0,
    removalHeld: () => parts.reconciler?.isHolding ?? false,
    relistedAtMs: () => parts.reconciler?.relistedAtMs,
  })
  const onWrite = (verb: string, kind: string) => counters.writes.inc({ verb, kind })
  const onWatchFailure = (source: string) => counters.watchFailures.inc({ source })
  let closed = false
  let lost = false
  const onChange: ChangeListener = change => {
    // Until there is someone to act, the world only takes note.
    if (parts.reconciler === undefined) world.concerned(change)
    else parts.reconciler.objectChanged(change)
  }
  const provider = createProvider(config, { clock, log, onChange, onWrite, onWatchFailure })
  const watches = { name: 'watches', failing: () => provider.stale() }
  const health = await startHealthServer({
    listen: config.metricsListen,
    metrics,
    liveness: [watches],
    readiness: [
      watches,
      // One that waits is ready to take over as long as it can see whether it has to.
      { name: 'lease', failing: () => (phase === 'waiting' ? provider.leaderless() : undefined) },
      { name: 'listed', failing: () => (phase === 'listing' ? 'it has yet to list what is declared' : undefined) },
      { name: 'controller', failing: () => (phase === 'leading' ? parts.mirror?.down : undefined) },
    ],
  })

  const caFile = config.controller.caFile === undefined ? undefined : await readFile(config.controller.caFile, 'utf8')
  const settings = settingsOf(config, provider, caFile)
  const world = new World(
    provider.store,
    {
      get known() {
        return parts.mirror?.known ?? false
      },
      get reachable() {
        return parts.mirror?.reachable ?? false
      },
      get isWhole() {
        return parts.mirror?.isWhole ?? false
      },
      get trust() {
        return parts.mirror?.trust
      },
      row: uid => parts.mirror?.row(uid),
      slot: uid => parts.mirror?.slot(uid),
      refusal: uid => parts.mirror?.refusal(uid),
    },
    settings,
  )

  const lead = async () => {
    await provider.lead(reason => {
      log.error({ reason }, 'leadership is lost')
      lost = true
      phase = 'waiting'
      // Nothing more is begun from this moment on: another may lead already.
      parts.reconciler?.close().then(
        () => onLost(reason),
        error => log.error({ err: error }, 'the work could not be ended'),
      )
      if (parts.reconciler === undefined) onLost(reason)
    })
    if (closed || lost) return
    phase = 'listing'
    await provider.start()
    // What has been closed meanwhile has not listed everything: nothing must be concluded from that.
    if (closed || lost) return
    const { url, publicUrl = url } = config.controller
    const isPublic = hasPublicCa(url, publicUrl, settings)
    const ca = () => (isPublic ? undefined : (caFile ?? world.installationCa ?? ''))
    const options = { url, ca, token: () => provider.token(), proxy: config.proxy }
    const client = new DeclaredClient(options, (method, kind) => onWrite(method, `row/${kind}`))
    const mirror = new Mirror({
      ...options,
      clock,
      log,
      version: VERSION,
      onChange: change => parts.reconciler?.controllerChanged(change),
    })
    Object.assign(parts, { client, mirror })
    parts.reconciler = new Reconciler({
      ...{ provider, client, mirror, world, clock, log, metrics: counters },
      told: new Map(),
      namespace: config.namespace,
      names: settings.names,
      caSeconds: config.certificates.caSeconds,
      certificateSeconds: config.certificates.certificateSeconds,
      now: () => clock.now(),
      removalWaitSeconds: config.removalWaitSeconds,
      resyncSeconds: config.resyncSeconds,
    })
    phase = 'leading'
    parts.reconciler.begin([])
  }
  const leading = lead()
  // Whoever waits for it hears of a failure; so does the log.
  leading.catch(error => {
    if (!closed) log.error({ err: error }, 'the operator cannot start')
    if (!closed) onLost('the operator cannot start')
  })

  return {
    metricsAddress: health.address,
    leading,
    get isIdle() {
      return parts.reconciler?.isIdle ?? false
    },
    close: async () => {
      closed = true
      await parts.reconciler?.close()
      await parts.mirror?.close()
      parts.client?.close()
      await provider.close()
      await health.close()
    },
  }
}

type ProviderDeps = {
  clock: Clock
  log: Log
  onChange: ChangeListener
  onWrite: (verb: string, kind: string) => void
  onWatchFailure: (source: string) => void
}

function createProvider(config: OperatorConfig, deps: ProviderDeps): Provider {
  const { provider, namespace, managedNamespaces, watchNamespaces, controller, release } = config
  switch (provider.kind) {
    case 'kubernetes': {
      const identity = `${hostname()}_${randomId()}`
      return new KubernetesProvider({
        ...{ ...provider, ...deps, namespace, managedNamespaces, watchNamespaces, identity },
        names: installationNames(release),
        controllerService: controller.service,
        certificates: config.certificates.issuer,
      })
    }
    case 'file': {
      const { directory, stateDirectory, tokenIssuer: iss, tokenSubject: sub } = provider
      return new FileProvider({
        ...deps,
        directory,
        stateDirectory,
        namespace,
        commands: {
          connector: provider.connectorCommand ?? processCommand('connector'),
          relay: provider.relayCommand ?? processCommand('relay'),
        },
        inherited: config.inherited,
        token: { iss, sub, aud: controller.audience },
      })
    }
  }
}

/** What starts a Relay or Connector of this version: its source, or the bundle beside this one. */
function processCommand(name: string): string[] {
  const { filename, dirname } = import.meta
  const path = filename.endsWith('.ts')
    ? join(dirname, '../../images', name, 'src/main.ts')
    : join(dirname, `${name}.mjs`)
  return [process.execPath, path]
}

function settingsOf(config: OperatorConfig, { platform }: Provider, controllerCa: string | undefined): Settings {
  const { namespace, managedNamespaces, clusterDomain, connectorImage, relayImage, connectorResolver, controller } =
    config
  return {
    ...{ namespace, managedNamespaces, clusterDomain, connectorImage, relayImage, connectorResolver, platform },
    imagePullSecrets: config.imagePullSecrets,
    controllerUrl: controller.url,
    controllerPublicUrl: controller.publicUrl,
    pinsLogin: controller.pinsLogin,
    controllerService: controller.service,
    controllerCa,
    certificates: config.certificates.issuer,
    names: installationNames(config.release),
    controllerNames: controller.names,
    readsCluster: platform === 'cluster' && config.watchNamespaces === undefined,
  }
}
