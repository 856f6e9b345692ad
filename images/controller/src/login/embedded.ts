import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { EmbeddedAccount, IdentityProvider } from '@sallyport/schema'
import type { Adapter, Context } from 'oidc-provider'
import { errorPage, PAGE_HEADERS } from './page.ts'

/** Path below a tenant's URL at which its embedded provider stands. */
export const EMBEDDED_PATH = '/idp'
/** What is said wherever an embedded provider is in use. */
export const EMBEDDED_WARNING =
  'the embedded identity provider is on: it asks for no password, anyone who reaches the login page may be anyone it lists; for trying out only'

/** Seconds that a person has to choose, and that the browser remembers nothing beyond. */
const INTERACTION_SECONDS = 600
const CODE_SECONDS = 60

/** Keys that outlive a restart, so that a login under way does. */
export type EmbeddedKeys = { jwk: object; cookieKey: string }

export type EmbeddedOptions = {
  provider: IdentityProvider
  /** URL of the tenant, without a slash at its end. */
  url: string
  clientId: string
  clientSecret: string
  redirectUri: string
  keys: EmbeddedKeys
  adapter: (model: string) => Adapter
}

/** An embedded provider, to be mounted at {@link EMBEDDED_PATH}. */
export type Embedded = {
  issuer: string
  accounts: { id: string; email: string; name?: string | undefined }[]
  /** Answers a request below {@link EMBEDDED_PATH}. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>
  /** The choice that `request`, by its cookie, is about. Rejects where there is none. */
  interaction(request: IncomingMessage, response: ServerResponse): Promise<{ uid: string }>
  /** Chooses `account` and gives the URL at which the login goes on; undefined where there is no such account. */
  choose(request: IncomingMessage, response: ServerResponse, account: string): Promise<string | undefined>
}

/** Loads oidc-provider and sets it up over the configured accounts. */
export async function createEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { Provider } = await import('oidc-provider')
  const base = new URL(options.url)
  const mount = `${base.pathname === '/' ? '' : base.pathname}${EMBEDDED_PATH}`
  const issuer = `${options.url}${EMBEDDED_PATH}`
  const accounts = new Map((options.provider.accounts ?? []).map(account => [account.email.toLowerCase(), account]))
  const provider = new Provider(issuer, configuration(options, mount, accounts))
  provider.proxy = true
  const serve = provider.callback()

  return {
    issuer,
    accounts: [...accounts].map(([id, { email, name }]) => ({ id, email, name })),
    handle: (request, response) => serve(mounted(request, base, mount), response),
    interaction: (request, response) => provider.interactionDetails(mounted(request, base, mount), response),
    choose: async (request, response, account) =>
      accounts.has(account)
        ? await provider.interactionResult(mounted(request, base, mount), response, {
            login: { accountId: account, remember: false },
          })
        : undefined,
  }
}

/** The public URL decides scheme and host, not what a proxy or a caller says. */
function mounted(request: IncomingMessage, base: URL, mount: string): IncomingMessage {
  request.headers['x-forwarded-proto'] = base.protocol.slice(0, -1)
  request.headers['x-forwarded-host'] = base.host
  const path = request.url ?? '/'
  if (path.startsWith(mount)) Object.assign(request, { originalUrl: path, url: path.slice(mount.length) || '/' })
  return request
}

function configuration(options: EmbeddedOptions, mount: string, accounts: Map<string, EmbeddedAccount>) {
  return {
    adapter: function adapter(model: string) {
      return options.adapter(model)
    },
    clients: [
      {
        client_id: options.clientId,
        client_secret: options.clientSecret,
        redirect_uris: [options.redirectUri],
        response_types: ['code'],
        grant_types: ['authorization_code'],
        id_token_signed_response_alg: 'ES256',
      },
    ],
    jwks: { keys: [options.keys.jwk] },
    cookies: {
      keys: [options.keys.cookieKey],
      names: cookieNames(mount),
      long: { httpOnly: true, sameSite: 'lax', path: mount },
      short: { httpOnly: true, sameSite: 'lax' },
    },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
    scopes: ['openid', 'email', 'profile', 'groups'],
    conformIdTokenClaims: false,
    responseTypes: ['code'],
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: false } },
    interactions: { url: (_: Context, { uid }: { uid: string }) => `${mount}/interaction/${uid}` },
    ttl: {
      AccessToken: CODE_SECONDS,
      AuthorizationCode: CODE_SECONDS,
      Grant: INTERACTION_SECONDS,
      IdToken: INTERACTION_SECONDS,
      Interaction: INTERACTION_SECONDS,
      Session: INTERACTION_SECONDS,
    },
    findAccount: (_: Context, id: string) => {
      const account = accounts.get(id)
      if (account === undefined) return undefined
      return { accountId: id, claims: () => claimsOf(id, account) }
    },
    loadExistingGrant,
    renderError: (context: Context, out: { error: string }) => {
      context.set(PAGE_HEADERS)
      context.type = 'html'
      context.body = errorPage('bad_state', out.error)
    },
  }
}

const claimsOf = (id: string, { email, name, groups }: EmbeddedAccount) => ({
  sub: id,
  email,
  email_verified: true,
  groups: groups ?? [],
  ...(name === undefined ? {} : { name }),
})

/** There is one client, our own: nobody needs to be asked whether it may know the e-mail. */
async function loadExistingGrant({ oidc }: Context) {
  const { client, session, provider } = oidc
  if (client === undefined || session?.accountId === undefined) return undefined
  const known = session.grantIdFor(client.clientId)
  const existing = known === undefined ? undefined : await provider.Grant.find(known)
  if (existing !== undefined) return existing
  const grant = new provider.Grant({ accountId: session.accountId, clientId: client.clientId })
  grant.addOIDCScope('openid email profile groups')
  await grant.save()
  return grant
}

/** Providers of several tenants stand side by side on one host, and cookies do not keep apart what only the path does. */
function cookieNames(mount: string) {
  const suffix = createHash('sha256').update(mount).digest('hex').slice(0, 8)
  return { session: `_idp_${suffix}`, interaction: `_idp_interaction_${suffix}`, resume: `_idp_resume_${suffix}` }
}
