import { generateKeyPairSync } from 'node:crypto'
import type { IdentityProvider, TenantConfig } from '@sallyport/schema'
import { randomSecret } from '@sallyport/trust'
import type { FastifyInstance } from 'fastify'
import type { LoginDeps } from '../login-seam.ts'
import { createEmbedded, EMBEDDED_PATH, type Embedded, type EmbeddedKeys } from './embedded.ts'
import { embeddedAdapter } from './embedded-adapter.ts'
import { LoginError } from './error.ts'
import { createProviderClient, type ProviderClient } from './provider.ts'
import { putRecord, type RecordKey, readRecord } from './record.ts'

/** Our own client at an embedded provider. */
const EMBEDDED_CLIENT = 'sallyport-controller'

/** A tenant as the login routes see it. */
export type LoginTenant = {
  name: string
  /** Public URL, without a slash at its end. */
  url: string
  /** Path of its routes: empty for the tenant `default`. */
  prefix: string
  callbackUrl: string
  tokenUrl: string
  providers: IdentityProvider[]
  /** Client of the provider `name`; undefined where there is none. */
  client(name: string): Promise<ProviderClient | undefined>
  /** The embedded provider, made at its first use. */
  embedded?: () => Promise<Embedded>
}

/** Path under which a tenant's login stands. */
export const tenantPrefix = (name: string): string => (name === 'default' ? '' : `/t/${name}`)

/** Public URL of a tenant's login, without a slash at its end. */
export function tenantUrl(controllerUrl: string, tenant: Pick<TenantConfig, 'name' | 'url'>): string {
  return (tenant.url ?? `${controllerUrl}${tenantPrefix(tenant.name)}`).replace(/\/+$/, '')
}

/** Sets up the providers of a tenant; nothing is contacted or loaded before the first login. */
export function createLoginTenant(deps: LoginDeps, app: FastifyInstance, config: TenantConfig): LoginTenant {
  const url = tenantUrl(deps.url, config)
  const providers = config.identityProviders ?? []
  const callbackUrl = `${url}/oauth/callback`
  const clients = new Map<string, Promise<ProviderClient>>()
  const ownProvider = providers.find(({ type }) => type === 'embedded')
  const clientSecret = randomSecret()

  let loading: Promise<Embedded> | undefined
  const embedded = (provider: IdentityProvider) => () => {
    loading ??= loadEmbedded(deps, config.name, { provider, url, callbackUrl, clientSecret }).catch(error => {
      loading = undefined
      throw error
    })
    return loading
  }

  return {
    name: config.name,
    url,
    prefix: tenantPrefix(config.name),
    callbackUrl,
    tokenUrl: `${url}/oauth/token`,
    providers,
    client: async name => {
      const provider = providers.find(candidate => candidate.name === name)
      if (provider === undefined) return undefined
      const known = clients.get(name)
      if (known !== undefined) return known
      const made = Promise.resolve(
        provider.type === 'oidc'
          ? createProviderClient(provider)
          : createProviderClient(provider, {
              issuer: `${url}${EMBEDDED_PATH}`,
              clientId: EMBEDDED_CLIENT,
              clientSecret,
              fetch: inProcess(app, `${tenantPrefix(config.name)}${EMBEDDED_PATH}`, `${url}${EMBEDDED_PATH}`),
              prompt: 'login',
            }),
      )
      clients.set(name, made)
      return made
    },
    ...(ownProvider === undefined ? {} : { embedded: embedded(ownProvider) }),
  }
}

async function loadEmbedded(
  deps: LoginDeps,
  tenant: string,
  given: { provider: IdentityProvider; url: string; callbackUrl: string; clientSecret: string },
): Promise<Embedded> {
  return createEmbedded({
    provider: given.provider,
    url: given.url,
    clientId: EMBEDDED_CLIENT,
    clientSecret: given.clientSecret,
    redirectUri: given.callbackUrl,
    keys: await embeddedKeys(deps, tenant),
    adapter: embeddedAdapter(deps.store, tenant, () => deps.clock.now()),
  })
}

async function embeddedKeys(deps: LoginDeps, tenant: string): Promise<EmbeddedKeys> {
  const key: RecordKey = { tenant, kind: 'idp-keys', id: 'keys' }
  const name = `${tenant}/idp-keys/keys`
  const kept = await readRecord(deps.store.db, key, deps.clock.now())
  if (kept !== undefined) return JSON.parse(deps.open(name, kept)) as EmbeddedKeys
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const jwk = { ...privateKey.export({ format: 'jwk' }), kid: randomSecret().slice(0, 16), alg: 'ES256', use: 'sig' }
  const made = { jwk, cookieKey: randomSecret() }
  await putRecord(deps.store.db, key, deps.seal(name, JSON.stringify(made)), {})
  return made
}

/** Calls the embedded provider without a socket: the Controller need not be able to reach its own public URL. */
function inProcess(app: FastifyInstance, path: string, issuer: string) {
  return async (url: string, options: { method: string; headers: Record<string, string>; body?: unknown }) => {
    if (!url.startsWith(`${issuer}/`))
      throw new LoginError('bad_answer', 'the embedded provider named a URL of another host')
    const answer = await app.inject({
      method: options.method as 'GET' | 'POST',
      url: `${path}${url.slice(issuer.length)}`,
      headers: options.headers,
      ...(options.body === undefined || options.body === null ? {} : { payload: String(options.body) }),
    })
    const headers = new Headers()
    for (const [name, value] of Object.entries(answer.headers)) {
      if (value !== undefined) headers.set(name, String(value))
    }
    return new Response(answer.body, { status: answer.statusCode, headers })
  }
}
