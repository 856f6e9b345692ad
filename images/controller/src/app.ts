import { STATUS_CODES } from 'node:http'
import swagger from '@fastify/swagger'
import { healthReport } from '@sallyport/runtime'
import { MAX_BODY_BYTES, parser, Type } from '@sallyport/schema'
import { type FastifyError, type FastifyInstance, type FastifyServerOptions, fastify } from 'fastify'
import { CHANNEL_PATHS } from './channel/upgrade.ts'
import { ApiError, type ApiErrorCode, apiErrors } from './error.ts'
import { registerLogin } from './login/index.ts'
import type { LoginDeps } from './login-seam.ts'
import { addAdminActs } from './route/admin-act.ts'
import { addAdminLists } from './route/admin-list.ts'
import type { Context } from './route/context.ts'
import { addDeclaredRoutes } from './route/declared.ts'
import { addEnrolRoute } from './route/enrol.ts'
import { addWhyRoute } from './route/why.ts'

/** Time in which a request must have arrived whole. */
const REQUEST_TIMEOUT_MS = 15_000
const CONNECTION_TIMEOUT_MS = 60_000
const MAX_PARAMETER = 200

export type AppDeps = Context & {
  login: LoginDeps
  /** Why it is not ready to serve; undefined when it is. */
  notReady(): string | undefined
  /** Certificate and key (PEM) to serve HTTPS with; plain HTTP without, which only tests may want. */
  tls?: { cert: string; key: string }
  /** Hears of every route that is added. */
  onRoute?: (method: string, url: string) => void
}

const Health = Type.Object({
  status: Type.String(),
  checks: Type.Array(Type.Object({ name: Type.String(), ok: Type.Boolean(), reason: Type.Optional(Type.String()) })),
})

/** Builds the Controller's HTTP side: every route, its schema and its refusals. It never listens. */
export async function buildApp(deps: AppDeps): Promise<FastifyInstance> {
  const app = makeServer(deps)
  useSchemaParsers(app)
  answerErrors(app, deps)
  app.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat()) deps.onRoute?.(one, url)
  })
  await describe(app)
  await app.register(async routes => {
    addHealth(routes, deps)
    addDeclaredRoutes(routes, deps)
    addEnrolRoute(routes, deps)
    addWhyRoute(routes, deps)
    addAdminLists(routes, deps)
    addAdminActs(routes, deps)
    for (const path of CHANNEL_PATHS)
      routes.get(path, { schema: { hide: true } }, async () => {
        throw new ApiError('upgrade_required')
      })
  })
  await app.register(async login => {
    // Its routes are for browsers and OAuth clients; they stand in no description of the REST API.
    login.addHook('onRoute', route => {
      route.schema = { ...route.schema, hide: true }
    })
    await registerLogin(login, deps.login)
  })
  return app
}

function makeServer({ tls }: AppDeps): FastifyInstance {
  const options: FastifyServerOptions = {
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    routerOptions: { maxParamLength: MAX_PARAMETER, caseSensitive: true },
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    forceCloseConnections: true,
  }
  if (tls === undefined) return fastify(options)
  const https = { cert: tls.cert, key: tls.key, minVersion: 'TLSv1.3' }
  // Fastify's types tell servers apart by their options; the routes do not.
  return fastify({ ...options, https } as FastifyServerOptions)
}

/** Bodies, queries and parameters meet the same parser as everything else: no coercion, nothing removed, every problem named. */
function useSchemaParsers(app: FastifyInstance): void {
  app.setValidatorCompiler(({ schema, httpPart }) => {
    const compiled = parser(schema as Parameters<typeof parser>[0]) // Routes state TypeBox schemas only.
    return (value: unknown) => {
      const fields = compiled.problems(value)
      if (fields.length === 0) return { value }
      return { error: new ApiError(httpPart === 'body' ? 'invalid_body' : 'invalid_query', undefined, { fields }) }
    }
  })
  app.setSerializerCompiler(() => value => JSON.stringify(value))
}

function answerErrors(app: FastifyInstance, { log }: AppDeps): void {
  app.setErrorHandler<FastifyError | ApiError>((error, request, reply) => {
    const refusal = refusalOf(error)
    if (refusal.code === 'internal') log.error({ err: error, path: request.routeOptions.url }, 'request failed')
    else log.debug({ code: refusal.code, path: request.routeOptions.url }, 'request refused')
    return reply.status(refusal.status).headers({ 'cache-control': 'no-store' }).send(refusal.body())
  })
  app.setNotFoundHandler((_request, reply) => {
    const refusal = new ApiError('not_found')
    return reply.status(refusal.status).send(refusal.body())
  })
}

const byFastifyCode: Record<string, ApiErrorCode> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'invalid_body',
}

function refusalOf(error: FastifyError | ApiError): ApiError {
  if (error instanceof ApiError) return error
  const known = byFastifyCode[error.code]
  if (known !== undefined) return new ApiError(known, undefined, { cause: error })
  const status = error.statusCode ?? 500
  if (status >= 400 && status < 500) return new ApiError('bad_request', STATUS_CODES[status], { cause: error })
  return new ApiError('internal', undefined, { cause: error })
}

function addHealth(app: FastifyInstance, { notReady }: AppDeps): void {
  const options = { schema: { tags: ['health'], response: { 200: Health, 503: Health } } }
  app.get('/healthz', options, async () => healthReport([]))
  app.get('/readyz', options, async (_request, reply) => {
    const report = healthReport([{ name: 'serving', failing: notReady }])
    return reply.status(report.status === 'ok' ? 200 : 503).send(report)
  })
}

async function describe(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Sallyport Controller', version: '1', description: 'REST API of the Controller.' },
      components: {
        securitySchemes: {
          operator: { type: 'http', scheme: 'bearer', description: "ServiceAccount token of the tenant's operator." },
          client: {
            type: 'http',
            scheme: 'DPoP',
            description: 'Access token of a login with a DPoP proof (RFC 9449) of the device key.',
          },
        },
      },
    },
  })
}

/** Every code that the HTTP side refuses with. */
export const API_ERROR_CODES = Object.keys(apiErrors) as ApiErrorCode[]
