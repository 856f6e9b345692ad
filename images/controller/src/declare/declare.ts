import {
  type DeclaredKind,
  MAX_NETWORK_RESOURCE_BYTES,
  MAX_TENANT_RELAYS,
  MAX_TENANT_RESOURCE_BYTES,
  type WriteResult,
} from '@sallyport/schema'
import { appendAudit } from '../audit.ts'
import { ApiError } from '../error.ts'
import type { Operator } from '../operator-auth.ts'
import { type DeclaredStoreRow, readJson, type Store, type Tx } from '../store/index.ts'
import type { CheckedBody } from './body.ts'
import { addRelayKey, type RelayKeyDeps } from './relay-key.ts'

export type DeclareDeps = { store: Store; clock: { now(): number } } & RelayKeyDeps

/** Writes a declared row; the same body again changes nothing and takes no revision. Throws ApiError. */
export async function putDeclared(
  deps: DeclareDeps,
  { tenant, source }: Operator,
  { kind, uid, body }: { kind: DeclaredKind; uid: string; body: CheckedBody },
): Promise<WriteResult> {
  return deps.store.withTransaction(tenant, async tx => {
    await requireOwnUid(tx, source, kind, uid)
    const before = await readRow(tx, uid)
    if (before?.digest === body.digest) return { revision: before.revision, changed: false }
    if (kind === 'network' && before === undefined) await requireUnused(tx, source, uid)
    await requireNetwork(tx, source, body.network)
    if (body.relayName !== undefined) await requireRelayRoom(tx, uid, body.relayName)
    await requireResourceRoom(tx, before, body)
    const revision = await tx.revision()
    const { digest, text, network = null, bytes } = body
    const written = { digest, body: text, network, bytes, revision, programming: null }
    await tx.db
      .insertInto('declared')
      .values({ tenant, uid, kind, source, ...written })
      .onConflict(conflict => conflict.columns(['tenant', 'uid']).doUpdateSet(written))
      .execute()
    if (before === undefined) await addOwnRows(deps, tx, kind, uid)
    tx.changed({ kind, uid })
    await audit(deps, tx, source, before === undefined ? 'create' : 'update', { kind, uid, before, after: body.text })
    return { revision, changed: true }
  })
}

/** Removes a declared row and all that belongs to it. Throws ApiError `not_found` for one that is another's or not there. */
export async function deleteDeclared(
  deps: DeclareDeps,
  { tenant, source }: Operator,
  kind: DeclaredKind,
  uid: string,
): Promise<WriteResult> {
  return deps.store.withTransaction(tenant, async tx => {
    await removeRow(deps, tx, await ownRow(tx, source, kind, uid))
    return { revision: await tx.revision(), changed: true }
  })
}

/** Removes every row of a source, for a cluster that is lost. Throws ApiError `not_found` when it has none. */
export async function deleteSource(deps: DeclareDeps, tenant: string, source: string, actor: string) {
  return deps.store.withTransaction(tenant, async tx => {
    const rows = await tx.db
      .selectFrom('declared')
      .selectAll()
      .where('tenant', '=', tenant)
      .where('source', '=', source)
      .execute()
    if (rows.length === 0) throw new ApiError('not_found')
    for (const row of rows) await removeRow(deps, tx, row, actor)
    return { revision: await tx.revision(), removed: rows.length }
  })
}

/** Reads a row of the operator's own. Throws ApiError `not_found`. */
export async function ownRow(tx: Pick<Tx, 'db' | 'tenant'>, source: string, kind: DeclaredKind, uid: string) {
  const row = await readRow(tx, uid)
  if (row === undefined || row.kind !== kind || row.source !== source) throw new ApiError('not_found')
  return row
}

const readRow = (tx: Pick<Tx, 'db' | 'tenant'>, uid: string): Promise<DeclaredStoreRow | undefined> =>
  tx.db.selectFrom('declared').selectAll().where('tenant', '=', tx.tenant).where('uid', '=', uid).executeTakeFirst()

/** A UID belongs to one source of one tenant, in the whole installation: nobody declares over another's. */
async function requireOwnUid(tx: Tx, source: string, kind: DeclaredKind, uid: string): Promise<void> {
  const holder = await tx.db
    .selectFrom('declared')
    .select(['tenant', 'source', 'kind'])
    .where('uid', '=', uid)
    .executeTakeFirst()
  const isOwn = holder?.tenant === tx.tenant && holder.source === source && holder.kind === kind
  if (holder !== undefined && !isOwn) throw new ApiError('uid_taken')
}

/** What is declared into a network must come from the network's own source. */
async function requireNetwork(tx: Tx, source: string, network: string | undefined): Promise<void> {
  if (network === undefined) return
  const row = await readRow(tx, network)
  if (row?.kind !== 'network' || row.source !== source) throw new ApiError('unknown_network')
}

/** A new network must not take over what another source has left in one of that UID. */
async function requireUnused(tx: Tx, source: string, network: string): Promise<void> {
  const rows = await tx.db
    .selectFrom('declared')
    .select('body')
    .where('tenant', '=', tx.tenant)
    .where('source', '!=', source)
    .where('kind', 'in', ['connector', 'resource'])
    .execute()
  if (rows.some(({ body }) => readJson<{ network: string }>(body).network === network)) throw new ApiError('uid_taken')
}

/** A pass for one Relay must not be good at another one, and what names all of a tenant's Relays is of limited length. */
async function requireRelayRoom(tx: Tx, uid: string, name: string): Promise<void> {
  const relays = await tx.db
    .selectFrom('declared')
    .select(['uid', 'body'])
    .where('tenant', '=', tx.tenant)
    .where('kind', '=', 'relay')
    .execute()
  if (relays.some(relay => relay.uid !== uid && readJson<{ name: string }>(relay.body).name === name))
    throw new ApiError('name_taken')
  if (relays.length >= MAX_TENANT_RELAYS && !relays.some(relay => relay.uid === uid))
    throw new ApiError(
      'limit_reached',
      `the tenant has ${relays.length} Relay replicas, want at most ${MAX_TENANT_RELAYS}`,
    )
}

/** What is signed for a network, and what one person may be told of all, is of limited length; what takes no more than before may stay. */
async function requireResourceRoom(
  tx: Tx,
  before: DeclaredStoreRow | undefined,
  { network, bytes }: CheckedBody,
): Promise<void> {
  if (network === undefined || bytes === 0) return
  const held = before?.bytes ?? 0
  const own = { tenant: held, network: before?.network === network ? held : 0 }
  const all = tx.db
    .selectFrom('declared')
    .select(({ fn }) => fn.sum('bytes').as('sum'))
    .where('tenant', '=', tx.tenant)
  const require = async (of: 'network' | 'tenant', query: typeof all, limit: number) => {
    if (bytes <= own[of]) return
    const { sum } = await query.executeTakeFirstOrThrow()
    const wanted = Number(sum ?? 0) - own[of] + bytes
    if (wanted > limit)
      throw new ApiError('limit_reached', `Resources of the ${of} would take ${wanted} bytes, want at most ${limit}`)
  }
  await require('network', all.where('network', '=', network), MAX_NETWORK_RESOURCE_BYTES)
  await require('tenant', all, MAX_TENANT_RESOURCE_BYTES)
}

async function addOwnRows(deps: DeclareDeps, tx: Tx, kind: DeclaredKind, uid: string): Promise<void> {
  if (kind === 'connector')
    await tx.db.insertInto('slots').values({ tenant: tx.tenant, uid, blocked: 0, conflictAtMs: null }).execute()
  if (kind === 'relay') await addRelayKey(deps, tx, uid)
}

async function removeRow(deps: DeclareDeps, tx: Tx, row: DeclaredStoreRow, actor?: string): Promise<void> {
  const { tenant } = tx
  const { uid, kind, source, body } = row
  await tx.db.deleteFrom('declared').where('tenant', '=', tenant).where('uid', '=', uid).execute()
  if (kind === 'connector') {
    await tx.db.deleteFrom('slots').where('tenant', '=', tenant).where('uid', '=', uid).execute()
    await tx.db.deleteFrom('connectorKeys').where('tenant', '=', tenant).where('slot', '=', uid).execute()
    await tx.db.deleteFrom('enrolmentTokens').where('tenant', '=', tenant).where('slot', '=', uid).execute()
  }
  if (kind === 'relay')
    await tx.db.deleteFrom('relayKeys').where('tenant', '=', tenant).where('relay', '=', uid).execute()
  tx.changed({ kind, uid })
  await audit(deps, tx, source, 'delete', { kind, uid, before: { body }, after: undefined }, actor)
}

type Audited = { kind: DeclaredKind; uid: string; before: { body: string } | undefined; after: string | undefined }

function audit(
  { clock }: DeclareDeps,
  tx: Tx,
  source: string,
  action: string,
  { kind, uid, before, after }: Audited,
  actor = `operator:${source}`,
): Promise<void> {
  const entry = { actor, action: `${kind}.${action}`, target: uid }
  const said = {
    ...(before !== undefined && { before: readJson<unknown>(before.body) }),
    ...(after !== undefined && { after: readJson<unknown>(after) }),
  }
  return appendAudit(tx, { ...entry, ...said }, clock.now())
}
