import { createHash } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { IdentityProvider, TenantConfig } from '@sallyport/schema'
import { ScriptedBrowser } from '@sallyport/testkit'
import {
  createDpopProof,
  createStoreKey,
  deviceIdOf,
  firstOf,
  generateKeyPair,
  type KeyPair,
  openText,
  randomSecret,
  seal,
  signingKey,
  thumbprintOf,
} from '@sallyport/trust'
import { fastify } from 'fastify'
import { Provider } from 'oidc-provider'
import { appendAudit } from '../audit.ts'
import type { AssertedPerson, LoginDeps } from '../login-seam.ts'
import { ensureTenant, openStore, type Store, sqliteDialect } from '../store/index.ts'
import { createAuthenticator } from './authenticate.ts'
import { registerLogin } from './routes.ts'
import { tenantPrefix } from './tenant.ts'
import type { TokenAnswer } from './token.ts'

const closers: (() => Promise<unknown>)[] = []

/** Ends everything that the tests of a file have started. */
export async function closeLabs(): Promise<void> {
  for (const close of closers.splice(0).reverse()) await close()
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  closers.push(
    () =>
      new Promise(resolve => {
        server.closeAllConnections()
        server.close(resolve)
      }),
  )
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server has an address')
  return `http://127.0.0.1:${address.port}`
}

export type Person = { sub: string; email?: string; email_verified?: boolean; groups?: string[] }

/** A real OpenID Connect provider of somebody else, which logs in `person` without asking. */
export async function startForeignProvider(controller: { callbackUrls: string[] }) {
  let person: Person = { sub: 'nobody' }
  const requests: string[] = []
  let handle: ReturnType<Provider['callback']> | undefined
  let provider: Provider | undefined
  const server = createServer((request, response) => {
    requests.push(request.url ?? '')
    const uid = /^\/interaction\/(.+)$/.exec(request.url ?? '')?.[1]
    if (uid === undefined) return void handle?.(request, response)
    void provider
      ?.interactionResult(request, response, { login: { accountId: person.sub, remember: false } })
      .then(location => response.writeHead(303, { location }).end())
  })
  const issuer = await listen(server)
  provider = new Provider(issuer, {
    clients: [{ client_id: 'sallyport', client_secret: 'secret', redirect_uris: controller.callbackUrls }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'] },
    scopes: ['openid', 'email', 'profile', 'groups'],
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    findAccount: (_: unknown, sub: string) => ({ accountId: sub, claims: () => ({ ...person, sub }) }),
    loadExistingGrant: async ({ oidc }: never | { oidc: Parameters<typeof grantFor>[0] }) => grantFor(oidc),
  })
  handle = provider.callback()
  return {
    issuer,
    requests,
    /** The next login is this person's. */
    become: (next: Person) => {
      person = next
    },
  }
}

async function grantFor(oidc: {
  provider: Provider
  client: { clientId: string }
  session: { accountId: string }
}): Promise<unknown> {
  const grant = new oidc.provider.Grant({ accountId: oidc.session.accountId, clientId: oidc.client.clientId })
  grant.addOIDCScope('openid email profile groups')
  await grant.save()
  return grant
}

type LabOptions = {
  providers(issuers: { controller: string }): Promise<IdentityProvider[]> | IdentityProvider[]
  invited?: (person: AssertedPerson) => boolean
  store?: Store
  storeKey?: ReturnType<typeof createStoreKey>
  /** Name of the tenant. */
  tenant?: string
}

/** A Controller's login over a real socket, with a device that can log in. */
export async function startLab({
  providers,
  invited = () => true,
  store: given,
  storeKey = createStoreKey(),
  tenant = 'default',
}: LabOptions) {
  let skewMs = 0
  const clock = { now: () => Math.floor(performance.timeOrigin + performance.now()) + skewMs }
  const store = given ?? (await openStore(sqliteDialect(':memory:'), clock.now))
  await ensureTenant(store, tenant, 0)
  let serve: Server['listeners'] extends never ? never : (request: never, response: never) => void = () => {}
  const server = createServer((request, response) => serve(request as never, response as never))
  const url = await listen(server)
  const tenants = new Map<string, TenantConfig>([
    [tenant, { name: tenant, identityProviders: await providers({ controller: url }) }],
  ])
  const key = firstOf(signingKey('accessToken'))
  const log: { message: string; fields: object }[] = []
  const note = (fields: object, message: string) => void log.push({ fields, message })
  const deps: LoginDeps = {
    store,
    tenants,
    url,
    lifetimes: { maxSessionSeconds: 7 * 86_400, accessTokenSeconds: 600 },
    clockLeewaySeconds: 30,
    signingKeys: () => key,
    seal: (name, text) => seal(text, name, storeKey),
    open: (name, sealed) => openText(sealed, name, [storeKey]),
    isInvited: (_, person) => invited(person),
    isAdmin: () => false,
    audit: (tx, entry) => appendAudit(tx, entry, clock.now()),
    clock,
    log: { debug: note, info: note, warn: note, error: note },
  }
  const app = fastify({
    serverFactory: handler => {
      serve = handler as never
      return server
    },
  })
  await registerLogin(app, deps)
  await app.ready()
  if (given === undefined) closers.push(() => store.close())
  return {
    /** Login URL of the tenant. */
    url: `${url}${tenantPrefix(tenant)}`,
    store,
    app,
    log,
    server,
    authenticate: createAuthenticator(deps),
    deps,
    pass: (ms: number) => {
      skewMs += ms
    },
  }
}
export type Lab = Awaited<ReturnType<typeof startLab>>

/** The Client's side of a login: a device key and a loopback address that hears the answer. */
export async function startDevice(lab: Pick<Lab, 'url' | 'deps'>, keys: KeyPair = generateKeyPair()) {
  const heard: URL[] = []
  const redirectBase = await listen(
    createServer((request, response) => {
      heard.push(new URL(request.url ?? '/', 'http://127.0.0.1'))
      response.end('done')
    }),
  )
  const redirectUri = `${redirectBase}/callback`
  const verifier = randomSecret()
  const clientState = randomSecret()
  const query = (changes: Record<string, string | undefined> = {}) => {
    const members: Record<string, string | undefined> = {
      response_type: 'code',
      client_id: 'sallyport',
      redirect_uri: redirectUri,
      state: clientState,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      dpop_jkt: thumbprintOf(keys.publicKey),
      ...changes,
    }
    const given = Object.entries(members).filter((entry): entry is [string, string] => entry[1] !== undefined)
    return new URLSearchParams(given).toString()
  }
  const proof = (method: string, url: string, accessToken?: string, by = keys) =>
    createDpopProof(
      by,
      accessToken === undefined ? { method, url } : { method, url, accessToken },
      lab.deps.clock.now(),
    )

  const post = async (form: Record<string, string>, dpop = proof('POST', `${lab.url}/oauth/token`)) => {
    const answer = await fetch(`${lab.url}/oauth/token`, {
      method: 'POST',
      headers: { dpop },
      body: new URLSearchParams({ client_id: 'sallyport', ...form }),
    })
    return {
      status: answer.status,
      body: (await answer.json()) as Partial<TokenAnswer> & { error?: string; error_description?: string },
    }
  }
  const trade = (code: string, changes: Record<string, string> = {}, dpop?: string) =>
    post(
      { grant_type: 'authorization_code', code, redirect_uri: redirectUri, code_verifier: verifier, ...changes },
      dpop,
    )
  return {
    id: deviceIdOf(keys.publicKey),
    keys,
    redirectUri,
    clientState,
    heard,
    proof,
    authorizeUrl: (changes?: Record<string, string | undefined>) => `${lab.url}/oauth/authorize?${query(changes)}`,
    post,
    trade,
    refresh: (token: string, more: Record<string, string> = {}, dpop?: string) =>
      post({ grant_type: 'refresh_token', refresh_token: token, ...more }, dpop),
    /** Goes through the whole login in a browser of its own; the answer heard at the loopback redirect. */
    browse: async (account?: string, browser = new ScriptedBrowser('')) => {
      const page = await browser.visit(`${lab.url}/oauth/authorize?${query()}`, (_, forms) =>
        account === undefined ? undefined : forms.find(({ text }) => text.includes(account)),
      )
      return { page, answer: heard.at(-1)?.searchParams }
    },
  }
}
export type Device = Awaited<ReturnType<typeof startDevice>>

/** Logs `device` in and gives its tokens. */
export async function login(device: Device, account?: string): Promise<TokenAnswer> {
  const { answer, page } = await device.browse(account)
  const code = answer?.get('code')
  if (code === null || code === undefined) throw new Error(`no code: ${answer ?? page.body}`)
  const { status, body } = await device.trade(code)
  if (status !== 200) throw new Error(`no tokens: ${JSON.stringify(body)}`)
  return body as TokenAnswer
}

/** A browser that stops before it opens a URL that begins with `stop`, and gives that URL. Its cookies are one jar: all hosts are loopback. */
export function steppingBrowser() {
  const jar = new Map<string, string>()
  return {
    jar,
    async follow(url: string, stop: string): Promise<string> {
      let at = url
      for (let steps = 0; steps < 20; steps++) {
        const answer = await fetch(at, {
          redirect: 'manual',
          headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') },
        })
        for (const line of answer.headers.getSetCookie()) {
          const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
          if (value === '') jar.delete(name)
          else jar.set(name, value)
        }
        const location = answer.headers.get('location')
        if (location === null) throw new Error(`${at} answered ${answer.status}: ${await answer.text()}`)
        at = new URL(location, at).href
        if (at.startsWith(stop)) return at
      }
      throw new Error(`more than 20 redirects from ${url}`)
    },
    async open(url: string): Promise<{ status: number; location: string | null; body: string }> {
      const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
      const answer = await fetch(url, { redirect: 'manual', headers: { cookie } })
      return { status: answer.status, location: answer.headers.get('location'), body: await answer.text() }
    },
  }
}
