import { RouteMap } from '@sallyport/policy'
import { type AccessLogRecord, Host, oneOf, Type, WhyAnswer } from '@sallyport/schema'
import { randomId } from '@sallyport/trust'
import type { FastifyInstance } from 'fastify'
import { storeAccessLog } from '../access-log.ts'
import { ApiError } from '../error.ts'
import { type Context, clientOf, forClients } from './context.ts'

/** Questions of one device in one minute. */
const MAX_A_MINUTE = 30
const MINUTE_MS = 60_000

const Query = Type.Object(
  {
    host: Host,
    port: Type.String({ pattern: '^[0-9]{1,5}$', description: 'Port.' }),
    protocol: Type.Optional(oneOf(['tcp', 'udp', 'icmp'], { description: 'tcp when absent.' })),
  },
  { additionalProperties: false },
)
type Query = { host: string; port: string; protocol?: 'tcp' | 'udp' | 'icmp' }

/** The route that says whether a destination outside the Client's map is a Resource that it may know of. */
export function addWhyRoute(app: FastifyInstance, context: Context): void {
  const { store, clock, tenants } = context
  const asked = new Map<string, { count: number; sinceMs: number }>()
  const admit = (device: string) => {
    const nowMs = clock.monotonic()
    for (const [id, { sinceMs }] of asked) if (nowMs - sinceMs >= MINUTE_MS) asked.delete(id)
    const entry = asked.get(device) ?? { count: 0, sinceMs: nowMs }
    asked.set(device, entry)
    entry.count += 1
    if (entry.count > MAX_A_MINUTE) throw new ApiError('rate_limited')
  }
  app.get<{ Querystring: Query }>(
    '/v1/why',
    {
      ...forClients(context),
      schema: { tags: ['client'], security: [{ client: [] }], querystring: Query, response: { 200: WhyAnswer } },
    },
    async request => {
      const { tenant, user, device } = await clientOf(context, request)
      admit(device.id)
      const { host, port, protocol = 'tcp' } = request.query
      const { access } = tenants.get(tenant)!.hub
      const visible = [...access.rules()].filter(rule => rule.visible)
      const isKnown = new RouteMap(visible).resourceFor(host) !== undefined
      const reason = isKnown ? 'not_granted' : 'no_such_name'
      const record: AccessLogRecord = {
        id: `why-${randomId()}`,
        event: 'denied',
        atMs: clock.now(),
        session: '',
        stream: 0,
        device: device.id,
        user: user.id,
        host,
        port: Number(port),
        protocol,
        path: 'why',
        reason,
      }
      await storeAccessLog(store, { tenant, network: '', connector: 'controller' }, [record])
      const message = isKnown
        ? `"${host}" is a Resource, but none of your Groups may reach it; ask an admin.`
        : `"${host}" is no Resource that you may know of.`
      return { reason, message }
    },
  )
}
