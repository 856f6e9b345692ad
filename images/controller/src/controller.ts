import type { Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import {
  type Clock,
  createMetrics,
  formatHostPort,
  type Log,
  logSupervisor,
  type Metrics,
  requireHostPort,
  startHealthServer,
  systemClock,
} from '@sallyport/runtime'
import type { ControllerConfig } from '@sallyport/schema'
import { systemRandom } from '@sallyport/trust'
import type { FastifyInstance } from 'fastify'
import { buildApp } from './app.ts'
import { appendAudit } from './audit.ts'
import { clientChannels } from './channel/client.ts'
import { connectorChannels } from './channel/connector.ts'
import { operatorChannels } from './channel/operator.ts'
import { serveUpgrades } from './channel/upgrade.ts'
import { startHousekeeping } from './housekeeping.ts'
import { createSealer } from './key/store-key.ts'
import { createAuthenticator } from './login/index.ts'
import type { LoginDeps } from './login-seam.ts'
import { addMetrics } from './metric.ts'
import { createOperatorAuth } from './operator-auth.ts'
import type { Context, LocatedConfig } from './route/context.ts'
import { type ServingFiles, waitForFiles, watchCertificate, watchUrl } from './serving.ts'
import { lockDatabase, openStore, readJson, type Store, sqliteDialect, type UserRow } from './store/index.ts'
import { openTenants, type Tenants } from './tenant.ts'

/** Time for control channels to close at the end. */
const GOODBYE_MS = 200

export type ControllerDeps = {
  log: Log
  /** Aborted when it is to end before it has started. */
  signal?: AbortSignal | undefined
  clock?: Clock
  metrics?: Metrics
  /** Called when its URL is another one from now on: the process has to end and be started anew. */
  onMoved?: (url: string) => void
}

/** A running Controller. */
export type Controller = {
  /** Where it listens, as an `https:` URL. */
  url: string
  metricsAddress: string
  close(): Promise<void>
}

/** Starts the Controller: waits for its files, opens the store, serves. */
export async function startController(config: ControllerConfig, deps: ControllerDeps): Promise<Controller> {
  const { log, signal, clock = systemClock, metrics = createMetrics('controller') } = deps
  let notReady: string | undefined = 'starting'
  const readiness = [{ name: 'serving', failing: () => notReady }]
  const health = await startHealthServer({ listen: requireHostPort(config.metricsListen), metrics, readiness })
  const closers: (() => unknown)[] = [() => health.close()]
  const closeAll = async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  try {
    const files = await waitForFiles(config, { clock, log, signal })
    const { path } = config.database
    const waitSeconds = config.startupWaitSeconds
    const lock = await lockDatabase(path, { waitSeconds, clock, log, signal })
    closers.push(() => lock.close())
    const store = await openStore(sqliteDialect(path), () => clock.now())
    closers.push(() => store.close())
    const located = { ...config, url: files.url }
    const context = await createContext(located, { log, clock, metrics, store, files })
    const { tenants, supervisor } = context
    closers.push(() => supervisor.settled())
    closers.push(() => storeFloored(tenants))
    addMetrics(metrics, tenants)

    const app = await buildApp({ ...context, login: context.login, notReady: () => notReady, tls: files })
    closers.push(() => app.close())
    serveChannels(app, context, () => notReady === 'stopping')
    const watch = watchCertificate(config.tls, files, pair => serverOf(app).setSecureContext(pair), { clock, log })
    closers.push(() => watch.close())
    const moved = (url: string) => {
      log.warn({ url, was: files.url }, 'the public URL has changed: ending, to be started anew with it')
      deps.onMoved?.(url)
    }
    const location = watchUrl(config, files.url, moved, { clock, log })
    closers.push(() => location.close())
    const relayKeys = { store, sealer: context.sealer, clock, relayKeys: config.relayKeys }
    const housekeeping = startHousekeeping({ store, tenants, clock, log, supervisor, config, relayKeys })
    closers.push(() => housekeeping.close())

    const { host, port } = requireHostPort(config.listen)
    await app.listen({ host, port })
    const { address, port: bound } = serverOf(app).address() as AddressInfo
    const url = `https://${formatHostPort({ host: address, port: bound })}`
    notReady = undefined
    log.info({ url, metrics: health.address, tenants: [...tenants.keys()] }, 'serving')
    closers.push(async () => {
      notReady = 'stopping'
      await sayGoodbye(tenants, clock)
    })
    return { url, metricsAddress: health.address, close: closeAll }
  } catch (error) {
    await closeAll()
    throw error
  }
}

type Parts = { log: Log; clock: Clock; metrics: Metrics; store: Store; files: ServingFiles }

async function createContext(config: LocatedConfig, { log, clock, metrics, store, files }: Parts) {
  const supervisor = logSupervisor(log)
  const sealer = createSealer(files.storeKey)
  const tenants = await openTenants({ store, sealer, clock, supervisor, random: systemRandom, config })
  const isAdmin = (tenant: string, user: UserRow) => isNamedAdmin(tenants, tenant, user)
  const login: LoginDeps = {
    store,
    tenants: new Map(config.tenants.map(tenant => [tenant.name, tenant])),
    url: config.url,
    lifetimes: config.login,
    clockLeewaySeconds: config.clockLeewaySeconds,
    signingKeys: (tenant, purpose) => tenants.get(tenant)!.keys.signing(purpose),
    seal: sealer.seal,
    open: sealer.openText,
    isInvited: (tenant, person) => {
      const { hub, config } = tenants.get(tenant)!
      const { provider, email, groups } = person
      return hub.access.isInvited(person) || isListed(config, { provider, email, groups })
    },
    isAdmin,
    audit: (tx, entry) => appendAudit(tx, entry, clock.now()),
    clock,
    log,
  }
  const authenticateOperator = createOperatorAuth(config, { clock, log })
  const authenticateClient = createAuthenticator(login)
  const context: Context = {
    ...{ config, store, sealer, tenants, clock, log, metrics, supervisor },
    ...{ authenticateOperator, authenticateClient, isAdmin },
  }
  return { ...context, login }
}

function isNamedAdmin(tenants: Tenants, tenant: string, user: UserRow): boolean {
  const config = tenants.get(tenant)?.config
  if (config === undefined) return false
  const { provider, email, emailVerified, groups } = user
  return isListed(config, { provider, email: emailVerified === 1 ? email : undefined, groups: readJson(groups) })
}

type Named = { provider: string; email: string | undefined; groups: readonly string[] }

function isListed(
  { admins = [], adminGroups = [] }: { admins?: string[]; adminGroups?: { provider: string; name: string }[] },
  { provider, email, groups }: Named,
): boolean {
  const wanted = email?.toLowerCase()
  return (
    (wanted !== undefined && admins.some(admin => admin.toLowerCase() === wanted)) ||
    adminGroups.some(group => group.provider === provider && groups.includes(group.name))
  )
}

function serveChannels(app: FastifyInstance, context: Context & { login: LoginDeps }, isStopping: () => boolean): void {
  const { config, log, authenticateClient, authenticateOperator, isAdmin } = context
  const deps = { ...context, clockLeewaySeconds: config.clockLeewaySeconds }
  const handlers = {
    '/v1/connector': connectorChannels(deps),
    '/v1/client': clientChannels({ ...deps, url: config.url, authenticate: authenticateClient, isAdmin }),
    '/v1/operator': operatorChannels({ ...deps, authenticateOperator }),
  }
  serveUpgrades(serverOf(app), handlers, { log, isStopping })
}

/** Fastify was given `https` options. */
const serverOf = (app: FastifyInstance) => app.server as unknown as Server

async function sayGoodbye(tenants: Tenants, clock: Clock): Promise<void> {
  for (const { hub } of tenants.values()) {
    const feeds = [...hub.connectors.values(), ...[...hub.clients.values()].flatMap(set => [...set]), ...hub.operators]
    for (const feed of feeds) feed.goodbye('stopping', 'the Controller stops')
  }
  await new Promise<void>(resolve => clock.timer(GOODBYE_MS, resolve))
}

async function storeFloored(tenants: Tenants): Promise<void> {
  for (const { hub } of tenants.values()) {
    await hub.caughtUp()
    await hub.floors.noteKept()
  }
}
