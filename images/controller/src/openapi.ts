import { createMetrics, logSupervisor, silentLog, systemClock } from '@sallyport/runtime'
import { createStoreKey } from '@sallyport/trust'
import { buildApp } from './app.ts'
import { configFrom } from './config.ts'
import { ApiError } from './error.ts'
import { createSealer } from './key/store-key.ts'
import type { LoginDeps } from './login-seam.ts'
import type { Context } from './route/context.ts'
import { openStore, sqliteDialect } from './store/index.ts'

/** Describes the REST API: the OpenAPI document of every route, as JSON text. */
export async function buildOpenApi(): Promise<string> {
  const { document } = await describeApi()
  return `${JSON.stringify(document, undefined, 2)}\n`
}

/** The OpenAPI document, and every route as the router has it, the login's among them. */
export async function describeApi(): Promise<{ document: object; routes: { method: string; url: string }[] }> {
  const store = await openStore(sqliteDialect(':memory:'), systemClock.now)
  const routes: { method: string; url: string }[] = []
  const onRoute = (method: string, url: string) => routes.push({ method, url })
  const app = await buildApp({ ...nobody(store), notReady: () => undefined, onRoute })
  await app.ready()
  const document = app.swagger()
  await app.close()
  await store.close()
  return { document, routes }
}

/** A Controller of no tenant, which admits no one. */
function nobody(store: Context['store']): Context & { login: LoginDeps } {
  const url = 'https://controller.invalid'
  const config = configFrom({
    url,
    database: { path: ':memory:' },
    storeKeyFile: '-',
    tls: { certFile: '-', keyFile: '-' },
    tenants: [{ name: 'default' }],
  })
  const refuse = async () => {
    throw new ApiError('unauthenticated')
  }
  const sealer = createSealer(createStoreKey())
  const shared = { store, clock: systemClock, log: silentLog, isAdmin: () => false }
  return {
    ...{ ...shared, config: { ...config, url }, sealer, tenants: new Map(), supervisor: logSupervisor(silentLog) },
    ...{ metrics: createMetrics('controller', { defaults: false }) },
    ...{ authenticateOperator: refuse, authenticateClient: refuse },
    login: {
      ...shared,
      tenants: new Map(config.tenants.map(tenant => [tenant.name, tenant])),
      url,
      lifetimes: config.login,
      clockLeewaySeconds: config.clockLeewaySeconds,
      signingKeys: () => {
        throw new ApiError('unavailable')
      },
      seal: sealer.seal,
      open: sealer.openText,
      isInvited: () => false,
      audit: refuse,
    },
  }
}
