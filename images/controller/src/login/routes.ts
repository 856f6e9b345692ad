import { parse } from 'node:querystring'
import { ReplayGuard } from '@sallyport/trust'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { LoginDeps } from '../login-seam.ts'
import { MAX_PROOFS } from './authenticate.ts'
import { parseAuthorizeRequest } from './authorize-request.ts'
import { EMBEDDED_PATH, EMBEDDED_WARNING, type Embedded } from './embedded.ts'
import { LOGIN_ERRORS, LoginError, TokenError } from './error.ts'
import { beginLogin, finishLogin, hashOf, takePending } from './flow.ts'
import { accountPage, errorPage, PAGE_HEADERS, providerPage } from './page.ts'
import { answerTo } from './redirect.ts'
import { createLoginTenant, type LoginTenant } from './tenant.ts'
import { answerToken, revokeToken } from './token.ts'

/** Largest form that the login routes take. */
const MAX_FORM_BYTES = 16 * 1024
const NO_STORE = { 'cache-control': 'no-store' }

/** Adds the login routes of every tenant to `app`. */
export async function registerLogin(app: FastifyInstance, deps: LoginDeps): Promise<void> {
  const replays = new ReplayGuard(MAX_PROOFS)
  for (const config of deps.tenants.values()) {
    const tenant = createLoginTenant(deps, app, config)
    if (tenant.embedded !== undefined) deps.log.warn({ tenant: tenant.name }, EMBEDDED_WARNING)
    await app.register(
      async scope => {
        readForms(scope)
        addAuthorize(scope, deps, tenant)
        addTokens(scope, deps, tenant, replays)
      },
      { prefix: tenant.prefix },
    )
    const { embedded } = tenant
    if (embedded !== undefined) {
      await app.register(async scope => addEmbedded(scope, deps, embedded), {
        prefix: `${tenant.prefix}${EMBEDDED_PATH}`,
      })
    }
  }
}

function readForms(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit: MAX_FORM_BYTES },
    (_request, body, done) => done(null, parse(String(body))),
  )
}

function addAuthorize(scope: FastifyInstance, deps: LoginDeps, tenant: LoginTenant): void {
  scope.setErrorHandler((error, request, reply) => showError(deps, tenant, error, request, reply))

  scope.get('/.well-known/oauth-authorization-server', async () => metadata(tenant))

  scope.get('/oauth/authorize', async (request, reply) => {
    const wanted = parseAuthorizeRequest(request.query)
    const [first, ...others] = tenant.providers
    if (first === undefined) throw new LoginError('no_provider', `tenant "${tenant.name}" has none`)
    if (wanted.provider === undefined && others.length > 0) {
      return reply.headers(PAGE_HEADERS).send(providerPage(choicesOf(tenant, request)))
    }
    const begun = await beginLogin(deps, tenant, wanted, wanted.provider ?? first.name).catch(error => {
      throw returning(error, { redirectUri: wanted.redirectUri, clientState: wanted.state })
    })
    return reply
      .headers({ ...NO_STORE, 'set-cookie': cookie(tenant, begun.state, begun.browserSecret) })
      .redirect(begun.location)
  })

  scope.get('/oauth/callback', async (request, reply) => {
    const { state } = request.query as { state?: unknown }
    const text = typeof state === 'string' ? state : undefined
    const pending = await takePending(deps, tenant, text, cookieOf(request, text))
    const query = request.url.indexOf('?')
    const url = new URL(`${tenant.callbackUrl}${query < 0 ? '' : request.url.slice(query)}`)
    const code = await finishLogin(deps, tenant, pending, url, text ?? '').catch(error => {
      throw returning(error, pending)
    })
    return reply
      .headers({ ...NO_STORE, 'referrer-policy': 'no-referrer', 'set-cookie': cookie(tenant, text ?? '', undefined) })
      .redirect(answerTo(pending.redirectUri, { code, state: pending.clientState, iss: tenant.url }))
  })
}

function addTokens(scope: FastifyInstance, deps: LoginDeps, tenant: LoginTenant, replays: ReplayGuard): void {
  scope.post('/oauth/token', async (request, reply) => {
    reply.headers(NO_STORE)
    return answerToken({ deps, tenant, replays }, request.body, request.headers.dpop)
  })
  scope.post('/oauth/revoke', async (request, reply) => {
    const form = request.body as Record<string, unknown> | undefined
    await revokeToken({ deps, tenant }, form?.token)
    return reply.headers(NO_STORE).send({})
  })
}

function addEmbedded(scope: FastifyInstance, deps: LoginDeps, load: () => Promise<Embedded>): void {
  const missing = (cause: unknown) => new LoginError('bad_state', 'no choice is under way in this browser', { cause })
  scope.setErrorHandler((error, request, reply) => showError(deps, undefined, error, request, reply))

  scope.get('/interaction/:uid', async (request, reply) => {
    const action = request.url
    const embedded = await load()
    await embedded.interaction(request.raw, reply.raw).catch(error => {
      throw missing(error)
    })
    return reply.headers(PAGE_HEADERS).send(accountPage(action, embedded.accounts))
  })

  scope.register(async forms => {
    readForms(forms)
    forms.post('/interaction/:uid', async (request, reply) => {
      const embedded = await load()
      const { account } = (request.body ?? {}) as { account?: unknown }
      const next = await embedded
        .choose(request.raw, reply.raw, typeof account === 'string' ? account : '')
        .catch(error => {
          throw missing(error)
        })
      if (next === undefined) throw new LoginError('bad_request', 'no such account')
      return reply.headers(NO_STORE).redirect(next, 303)
    })
  })

  // The provider reads its requests itself.
  scope.register(async rest => {
    rest.removeAllContentTypeParsers()
    rest.addContentTypeParser('*', (_request, _payload, done) => done(null))
    rest.route({
      method: ['GET', 'POST'],
      url: '/*',
      handler: async (request, reply) => {
        const embedded = await load()
        reply.hijack()
        await embedded.handle(request.raw, reply.raw)
      },
    })
  })
}

/** RFC 8414. */
const metadata = ({ url, tokenUrl }: LoginTenant) => ({
  issuer: url,
  authorization_endpoint: `${url}/oauth/authorize`,
  token_endpoint: tokenUrl,
  revocation_endpoint: `${url}/oauth/revoke`,
  response_types_supported: ['code'],
  response_modes_supported: ['query'],
  grant_types_supported: ['authorization_code', 'refresh_token'],
  token_endpoint_auth_methods_supported: ['none'],
  revocation_endpoint_auth_methods_supported: ['none'],
  code_challenge_methods_supported: ['S256'],
  dpop_signing_alg_values_supported: ['ES256'],
  authorization_response_iss_parameter_supported: true,
})

function choicesOf(tenant: LoginTenant, request: FastifyRequest) {
  return tenant.providers.map(({ name, displayName }) => {
    const query = new URLSearchParams(request.query as Record<string, string>)
    query.set('provider', name)
    return { name: displayName ?? name, href: `${tenant.prefix}/oauth/authorize?${query}` }
  })
}

const cookieName = (state: string) => `sallyport-login-${hashOf(state).slice(0, 10)}`

function cookie(tenant: LoginTenant, state: string, secret: string | undefined): string {
  const { protocol, pathname } = new URL(tenant.url)
  const path = `${pathname === '/' ? '' : pathname}/oauth/callback`
  const secure = protocol === 'https:' ? '; Secure' : ''
  const age = secret === undefined ? 0 : 600
  return `${cookieName(state)}=${secret ?? ''}; Path=${path}; HttpOnly; SameSite=Lax; Max-Age=${age}${secure}`
}

function cookieOf(request: FastifyRequest, state: string | undefined): string | undefined {
  if (state === undefined) return undefined
  const wanted = `${cookieName(state)}=`
  const found = (request.headers.cookie ?? '').split(/;\s*/).find(pair => pair.startsWith(wanted))
  return found?.slice(wanted.length)
}

/** A failure that the waiting Client hears of at its loopback redirect. */
class ReturningError extends Error {
  readonly failure: LoginError
  readonly to: { redirectUri: string; clientState: string }

  constructor(failure: LoginError, to: { redirectUri: string; clientState: string }) {
    super(failure.message, { cause: failure })
    this.failure = failure
    this.to = to
  }
}

const returning = (error: unknown, { redirectUri, clientState }: { redirectUri: string; clientState: string }) =>
  error instanceof LoginError ? new ReturningError(error, { redirectUri, clientState }) : error

function showError(
  deps: LoginDeps,
  tenant: LoginTenant | undefined,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
) {
  if (error instanceof TokenError) {
    const status = error.code === 'invalid_client' ? 401 : 400
    const { code, message } = error
    return reply.status(status).headers(NO_STORE).send({ error: code, error_description: message, message })
  }
  const failure = error instanceof ReturningError ? error.failure : error
  if (!(failure instanceof LoginError)) throw error
  deps.log.info(
    {
      tenant: tenant?.name,
      code: failure.code,
      detail: failure.message,
      cause: failure.cause,
      path: request.routeOptions.url,
    },
    'login refused',
  )
  const { status, oauth, title, advice } = LOGIN_ERRORS[failure.code]
  if (error instanceof ReturningError) {
    const description = `${failure.code}: ${title}. ${advice}`.replaceAll('`', "'")
    return reply.headers(NO_STORE).redirect(
      answerTo(error.to.redirectUri, {
        error: oauth,
        error_description: description,
        state: error.to.clientState,
        ...(tenant === undefined ? {} : { iss: tenant.url }),
      }),
    )
  }
  return reply.status(status).headers(PAGE_HEADERS).send(errorPage(failure.code, failure.message))
}
