import type { Clock, Log, Metrics, Supervisor } from '@sallyport/runtime'
import type { ControllerConfig } from '@sallyport/schema'
import type { FastifyRequest } from 'fastify'
import { ApiError } from '../error.ts'
import type { Sealer } from '../key/store-key.ts'
import type { AuthenticateClient, AuthenticatedClient } from '../login-seam.ts'
import type { Operator } from '../operator-auth.ts'
import type { Store, UserRow } from '../store/index.ts'
import type { Tenants } from '../tenant.ts'

/** Configuration with the URL that it names, or that is in the file that it names. */
export type LocatedConfig = ControllerConfig & { url: string }

/** What every route may use. */
export type Context = {
  config: LocatedConfig
  store: Store
  sealer: Sealer
  tenants: Tenants
  clock: Clock
  log: Log
  metrics: Metrics
  supervisor: Supervisor
  authenticateOperator(authorization: string | undefined): Promise<Operator>
  authenticateClient: AuthenticateClient
  isAdmin(tenant: string, user: UserRow): boolean
}

const operators = new WeakMap<FastifyRequest, Promise<Operator>>()
const clients = new WeakMap<FastifyRequest, Promise<AuthenticatedClient>>()

/** The operator whose token the request carries, judged once a request. Throws ApiError. */
export function operatorOf(context: Context, request: FastifyRequest): Promise<Operator> {
  return once(operators, request, () => context.authenticateOperator(request.headers.authorization))
}

/** The person and device whose access token and proof the request carries, judged once a request. Throws ApiError. */
export function clientOf(context: Context, request: FastifyRequest): Promise<AuthenticatedClient> {
  const { config } = context
  return once(clients, request, () =>
    context.authenticateClient(request.headers, request.method, `${config.url}${request.url}`),
  )
}

/** The admin whose access token the request carries. Throws ApiError `forbidden` for anyone else. */
export async function adminOf(context: Context, request: FastifyRequest): Promise<AuthenticatedClient> {
  const client = await clientOf(context, request)
  if (!context.isAdmin(client.tenant, client.user))
    throw new ApiError('forbidden', 'only admins of the tenant may do that')
  return client
}

type Guard = { onRequest: (request: FastifyRequest) => Promise<void> }

/** Who asks is judged before the body is read: route options for operators, people and admins. */
export const forOperators = (context: Context): Guard => ({
  onRequest: async request => void (await operatorOf(context, request)),
})
export const forClients = (context: Context): Guard => ({
  onRequest: async request => void (await clientOf(context, request)),
})
export const forAdmins = (context: Context): Guard => ({
  onRequest: async request => void (await adminOf(context, request)),
})

/** Route options of what takes no body: none, or an empty object. */
export const withoutBody = {
  preValidation: async ({ body }: FastifyRequest): Promise<void> => {
    const isEmpty = typeof body === 'object' && body !== null && !Array.isArray(body) && Object.keys(body).length === 0
    if (body !== undefined && !isEmpty) throw new ApiError('invalid_body', 'this route takes no body')
  },
}

function once<T>(
  known: WeakMap<FastifyRequest, Promise<T>>,
  request: FastifyRequest,
  judge: () => Promise<T>,
): Promise<T> {
  const judged = known.get(request) ?? judge()
  known.set(request, judged)
  return judged
}
