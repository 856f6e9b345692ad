import {
  type AccessLogEntry,
  AccessLogPage,
  type AdminConnector,
  AdminConnectors,
  type AdminDevice,
  AdminDevices,
  type AdminSession,
  AdminSessions,
  type AdminUser,
  AdminUsers,
  type AuditEntry,
  AuditPage,
  type TSchema,
  Type,
} from '@sallyport/schema'
import type { FastifyInstance } from 'fastify'
import { readJson } from '../store/index.ts'
import type { Tenant } from '../tenant.ts'
import { adminOf, type Context, forAdmins } from './context.ts'

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1000

const Query = Type.Object(
  {
    after: Type.Optional(Type.String({ maxLength: 200, description: '`next` of the page before.' })),
    limit: Type.Optional(Type.String({ pattern: '^[0-9]{1,4}$', description: `Items; at most ${MAX_LIMIT}.` })),
  },
  { additionalProperties: false },
)
type Query = { after?: string; limit?: string }
type Asked = { tenant: Tenant; after: string; limit: number }
type Page<T> = { items: T[]; next?: string }

/** Lists for the tenant's admins. */
export function addAdminLists(app: FastifyInstance, context: Context): void {
  const list = <T>(path: string, schema: TSchema, read: (context: Context, asked: Asked) => Promise<Page<T>>) =>
    app.get<{ Querystring: Query }>(
      `/v1/admin/${path}`,
      {
        ...forAdmins(context),
        schema: { tags: ['admin'], security: [{ client: [] }], querystring: Query, response: { 200: schema } },
      },
      async request => {
        const { tenant } = await adminOf(context, request)
        const { after = '', limit = String(DEFAULT_LIMIT) } = request.query
        const size = Math.max(1, Math.min(MAX_LIMIT, Number(limit)))
        return read(context, { tenant: context.tenants.get(tenant)!, after, limit: size })
      },
    )
  list('users', AdminUsers, listUsers)
  list('devices', AdminDevices, listDevices)
  list('sessions', AdminSessions, listSessions)
  list('connectors', AdminConnectors, listConnectors)
  list('access-log', AccessLogPage, listAccessLog)
  list('audit', AuditPage, listAudit)
}

async function listUsers({ store, isAdmin }: Context, { tenant, after, limit }: Asked): Promise<Page<AdminUser>> {
  const rows = await store.db
    .selectFrom('users')
    .selectAll()
    .where('tenant', '=', tenant.name)
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute()
  const items = rows.map(user => ({
    id: user.id,
    email: user.email,
    provider: user.provider,
    blocked: user.blocked === 1,
    admin: isAdmin(tenant.name, user),
    devices: tenant.hub.state.devicesOf(user.id).length,
    ...(user.lastLoginAtMs !== null && { lastLoginAtMs: user.lastLoginAtMs }),
  }))
  return paged(items, limit, ({ id }) => id)
}

async function listDevices({ store, clock }: Context, { tenant, after, limit }: Asked): Promise<Page<AdminDevice>> {
  const { hub } = tenant
  const rows = await store.db
    .selectFrom('devices')
    .selectAll()
    .where('tenant', '=', tenant.name)
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute()
  const items = rows.map(({ id, user, host, platform, version, blocked }) => {
    const held = hub.state.devices.get(id)
    const ends = held?.login !== undefined && clock.now() < held.login.endsAtMs ? held.login.endsAtMs : undefined
    return {
      ...{ id, user, email: hub.state.people.get(user)?.email ?? '', host, platform, version },
      blocked: blocked === 1,
      connected: hub.clients.has(id),
      ...(ends !== undefined && { loginEndsAtMs: ends }),
    }
  })
  return paged(items, limit, ({ id }) => id)
}

async function listSessions(_: Context, { tenant, after, limit }: Asked): Promise<Page<AdminSession>> {
  const { state, presence } = tenant.hub
  const all: AdminSession[] = []
  for (const [connector, { connected, sessions }] of presence.connectors) {
    if (!connected) continue
    for (const { session, device, user, path, startedAtMs } of sessions.values()) {
      const email = state.people.get(user)?.email ?? ''
      all.push({ id: sessionId(connector, session), connector, device, user, email, path, startedAtMs })
    }
  }
  const items = all.filter(({ id }) => id > after).sort((a, b) => (a.id < b.id ? -1 : 1))
  return paged(items.slice(0, limit), limit, ({ id }) => id)
}

/** A session's id for admins: Connector and session. */
export const sessionId = (connector: string, session: string) => `${connector}.${session}`

async function listConnectors(_: Context, { tenant, after, limit }: Asked): Promise<Page<AdminConnector>> {
  const { state, presence } = tenant.hub
  const slots = [...state.all('connector')].filter(({ uid }) => uid > after).sort((a, b) => (a.uid < b.uid ? -1 : 1))
  const items = slots.slice(0, limit).map(({ uid, body }): AdminConnector => {
    const [key] = state.keysOf(uid)
    const there = key && presence.of(key.connectorId)
    return {
      id: uid,
      name: body.metadata.name,
      network: body.network,
      ...(key && { connectorId: key.connectorId, version: key.version }),
      connected: there?.connected ?? false,
      ready: there?.ready ?? false,
      blocked: state.slots.get(uid)?.row.blocked === 1,
      ...(there?.clockOffsetMs !== undefined && { clockOffsetMs: there.clockOffsetMs }),
      ...(there?.appliedRevision !== undefined && { appliedRevision: there.appliedRevision }),
      sessions: there?.connected ? there.sessions.size : 0,
    }
  })
  return paged(items, limit, ({ id }) => id)
}

/** Newest first; `after` is the time and id of the last record of the page before. */
async function listAccessLog({ store }: Context, { tenant, after, limit }: Asked): Promise<Page<AccessLogEntry>> {
  const [, atText, id = ''] = /^([0-9]{1,16})\.(.*)$/.exec(after) ?? []
  const atMs = atText === undefined ? Number.MAX_SAFE_INTEGER : Number(atText)
  const rows = await store.db
    .selectFrom('accessLog')
    .selectAll()
    .where('tenant', '=', tenant.name)
    .where(({ or, and, eb }) => or([eb('atMs', '<', atMs), and([eb('atMs', '=', atMs), eb('id', '<', id)])]))
    .orderBy('atMs', 'desc')
    .orderBy('id', 'desc')
    .limit(limit)
    .execute()
  const items = rows.map(({ network, connector, user, record }): AccessLogEntry => {
    const email = tenant.hub.state.people.get(user ?? '')?.email
    return { network, connector, ...(email !== undefined && { email }), record: readJson(record) }
  })
  return paged(items, limit, ({ record }) => `${record.atMs}.${record.id}`)
}

/** In order, from the first; `after` is a sequence number. */
async function listAudit({ store }: Context, { tenant, after, limit }: Asked): Promise<Page<AuditEntry>> {
  const rows = await store.db
    .selectFrom('audit')
    .selectAll()
    .where('tenant', '=', tenant.name)
    .where('seq', '>', /^[0-9]{1,15}$/.test(after) ? Number(after) : 0)
    .orderBy('seq')
    .limit(limit)
    .execute()
  const items = rows.map(
    ({ tenant: _, before, after: now, ...row }): AuditEntry => ({
      ...row,
      ...(before !== null && { before: readJson<unknown>(before) }),
      ...(now !== null && { after: readJson<unknown>(now) }),
    }),
  )
  return paged(items, limit, ({ seq }) => String(seq))
}

function paged<T>(items: T[], limit: number, key: (item: T) => string): Page<T> {
  const last = items.at(-1)
  return items.length < limit || last === undefined ? { items } : { items, next: key(last) }
}
