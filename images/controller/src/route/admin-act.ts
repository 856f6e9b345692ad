import { AdminResult, Type } from '@sallyport/schema'
import type { FastifyInstance } from 'fastify'
import { appendAudit } from '../audit.ts'
import { ApiError } from '../error.ts'
import type { Hub } from '../feed/hub.ts'
import type { Flag, Tx } from '../store/index.ts'
import { adminOf, type Context, forAdmins, withoutBody } from './context.ts'

const IdParameter = Type.Object({ id: Type.String({ minLength: 1, maxLength: 200, pattern: '^[A-Za-z0-9._~-]+$' }) })
type Act = { context: Context; tenant: string; hub: Hub; actor: string; id: string }
type Deed = (act: Act) => Promise<AdminResult>

/** What the tenant's admins can do: block, unblock and cut users, devices and Connectors, cut sessions. */
export function addAdminActs(app: FastifyInstance, context: Context): void {
  const deeds: Record<string, Deed> = {
    'users/:id/block': act => setUserBlocked(act, 1),
    'users/:id/unblock': act => setUserBlocked(act, 0),
    'users/:id/cut': act => cutLogins(act, 'user'),
    'devices/:id/block': act => setDeviceBlocked(act, 1),
    'devices/:id/unblock': act => setDeviceBlocked(act, 0),
    'devices/:id/cut': act => cutLogins(act, 'device'),
    'connectors/:id/block': act => setConnectorBlocked(act, 1),
    'connectors/:id/unblock': act => setConnectorBlocked(act, 0),
    'connectors/:id/cut': cutConnector,
    'sessions/:id/cut': cutSession,
  }
  for (const [path, deed] of Object.entries(deeds))
    app.post<{ Params: { id: string } }>(
      `/v1/admin/${path}`,
      {
        ...forAdmins(context),
        ...withoutBody,
        schema: {
          tags: ['admin'],
          security: [{ client: [] }],
          params: IdParameter,
          response: { 200: AdminResult },
        },
      },
      async request => {
        const { tenant, user } = await adminOf(context, request)
        const { hub } = context.tenants.get(tenant)!
        return deed({ context, tenant, hub, actor: `user:${user.email}`, id: request.params.id })
      },
    )
}

async function setUserBlocked(act: Act, blocked: Flag): Promise<AdminResult> {
  return act.context.store.withTransaction(act.tenant, async tx => {
    const row = await tx.db
      .selectFrom('users')
      .select('blocked')
      .where('tenant', '=', tx.tenant)
      .where('id', '=', act.id)
      .executeTakeFirst()
    if (row === undefined) throw new ApiError('not_found')
    if (row.blocked === blocked) return { changed: false, cut: 0 }
    await tx.db.updateTable('users').set({ blocked }).where('tenant', '=', tx.tenant).where('id', '=', act.id).execute()
    tx.changed({ kind: 'user', id: act.id })
    await audit(act, tx, blocked === 1 ? 'user.block' : 'user.unblock')
    return { changed: true, cut: 0 }
  })
}

async function setDeviceBlocked(act: Act, blocked: Flag): Promise<AdminResult> {
  return act.context.store.withTransaction(act.tenant, async tx => {
    const row = await tx.db
      .selectFrom('devices')
      .select(['blocked', 'user'])
      .where('tenant', '=', tx.tenant)
      .where('id', '=', act.id)
      .executeTakeFirst()
    if (row === undefined) throw new ApiError('not_found')
    if (row.blocked === blocked) return { changed: false, cut: 0 }
    await tx.db
      .updateTable('devices')
      .set({ blocked })
      .where('tenant', '=', tx.tenant)
      .where('id', '=', act.id)
      .execute()
    tx.changed({ kind: 'device', id: act.id, user: row.user })
    await audit(act, tx, blocked === 1 ? 'device.block' : 'device.unblock')
    return { changed: true, cut: 0 }
  })
}

async function setConnectorBlocked(act: Act, blocked: Flag): Promise<AdminResult> {
  return act.context.store.withTransaction(act.tenant, async tx => {
    const row = await tx.db
      .selectFrom('slots')
      .select('blocked')
      .where('tenant', '=', tx.tenant)
      .where('uid', '=', act.id)
      .executeTakeFirst()
    if (row === undefined) throw new ApiError('not_found')
    if (row.blocked === blocked) return { changed: false, cut: 0 }
    await tx.db
      .updateTable('slots')
      .set({ blocked })
      .where('tenant', '=', tx.tenant)
      .where('uid', '=', act.id)
      .execute()
    tx.changed({ kind: 'slot', uid: act.id })
    await audit(act, tx, blocked === 1 ? 'connector.block' : 'connector.unblock')
    return { changed: true, cut: 0 }
  })
}

/** Ends every login of a user or device. */
async function cutLogins(act: Act, of: 'user' | 'device'): Promise<AdminResult> {
  const { store, clock } = act.context
  return store.withTransaction(act.tenant, async tx => {
    const known = await tx.db
      .selectFrom(of === 'user' ? 'users' : 'devices')
      .select('id')
      .where('tenant', '=', tx.tenant)
      .where('id', '=', act.id)
      .executeTakeFirst()
    if (known === undefined) throw new ApiError('not_found')
    const logins = await tx.db
      .selectFrom('logins')
      .select(['id', 'user', 'device'])
      .where('tenant', '=', tx.tenant)
      .where(of, '=', act.id)
      .where('endedAtMs', 'is', null)
      .execute()
    for (const { id, user, device } of logins) {
      await tx.db
        .updateTable('logins')
        .set({ endedAtMs: clock.now(), endedReason: 'cut' })
        .where('tenant', '=', tx.tenant)
        .where('id', '=', id)
        .execute()
      tx.changed({ kind: 'login', id, user, device })
    }
    if (logins.length > 0) await audit(act, tx, `${of}.cut`)
    return { changed: logins.length > 0, cut: logins.length }
  })
}

/** Closes every session at a Connector; its Clients may come back. */
async function cutConnector(act: Act): Promise<AdminResult> {
  const { hub, id } = act
  if (hub.state.of('connector', id) === undefined) throw new ApiError('not_found')
  let cut = 0
  for (const { connectorId } of hub.state.keysOf(id))
    for (const session of hub.presence.of(connectorId)?.sessions.keys() ?? [])
      if (hub.connectors.get(connectorId)?.closeSession(session)) cut += 1
  if (cut > 0) await act.context.store.withTransaction(act.tenant, tx => audit(act, tx, 'connector.cut'))
  return { changed: cut > 0, cut }
}

/** Closes one session; `id` is Connector and session, with a dot between. */
async function cutSession(act: Act): Promise<AdminResult> {
  const dot = act.id.indexOf('.')
  const [connectorId, session] = [act.id.slice(0, dot), act.id.slice(dot + 1)]
  const { hub } = act
  const there = hub.state.connectorKeys.has(connectorId) ? hub.presence.of(connectorId) : undefined
  if (dot < 0 || there?.sessions.has(session) !== true) throw new ApiError('not_found')
  const cut = hub.connectors.get(connectorId)?.closeSession(session) === true
  if (cut) await act.context.store.withTransaction(act.tenant, tx => audit(act, tx, 'session.cut'))
  return { changed: cut, cut: cut ? 1 : 0 }
}

function audit({ actor, id, context }: Act, tx: Tx, action: string): Promise<void> {
  return appendAudit(tx, { actor, action, target: id }, context.clock.now())
}
