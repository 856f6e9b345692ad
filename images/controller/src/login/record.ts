import type { Kysely } from 'kysely'
import type { Database } from '../store/index.ts'

/** What `loginRecords` holds for a login on its way. */
export type RecordKind = 'authorize' | 'code' | 'spent-code' | 'refresh-retry' | 'idp-keys' | `idp:${string}`

export type RecordKey = { tenant: string; kind: RecordKind; id: string }

/** Most logins of a tenant that may be on their way: anyone can begin one. */
export const MAX_PENDING_LOGINS = 2_000

/** Lets the login that was begun first make room for another where there are as many as there may be. */
export async function makeRoom(db: Kysely<Database>, tenant: string): Promise<void> {
  const surplus = await db
    .selectFrom('loginRecords')
    .select('id')
    .where('tenant', '=', tenant)
    .where('kind', '=', 'authorize')
    .orderBy('expiresAtMs', 'desc')
    .offset(MAX_PENDING_LOGINS - 1)
    .limit(10)
    .execute()
  for (const { id } of surplus) {
    await db
      .deleteFrom('loginRecords')
      .where('tenant', '=', tenant)
      .where('kind', '=', 'authorize')
      .where('id', '=', id)
      .execute()
  }
}

/** Writes a record, in place of one of the same key. */
export async function putRecord(
  db: Kysely<Database>,
  key: RecordKey,
  payload: string,
  { expiresAtMs = null, reference = null }: { expiresAtMs?: number | null; reference?: string | null },
): Promise<void> {
  await db
    .insertInto('loginRecords')
    .values({ ...key, payload, reference, expiresAtMs })
    .onConflict(conflict => conflict.columns(['tenant', 'kind', 'id']).doUpdateSet({ payload, reference, expiresAtMs }))
    .execute()
}

/** Reads a record that has not expired. */
export async function readRecord(db: Kysely<Database>, key: RecordKey, nowMs: number): Promise<string | undefined> {
  const row = await db
    .selectFrom('loginRecords')
    .select(['payload', 'expiresAtMs'])
    .where('tenant', '=', key.tenant)
    .where('kind', '=', key.kind)
    .where('id', '=', key.id)
    .executeTakeFirst()
  return row === undefined || isOver(row.expiresAtMs, nowMs) ? undefined : row.payload
}

/** Reads a record and removes it: of several that try, one gets it. */
export async function takeRecord(db: Kysely<Database>, key: RecordKey, nowMs: number): Promise<string | undefined> {
  const row = await db
    .deleteFrom('loginRecords')
    .where('tenant', '=', key.tenant)
    .where('kind', '=', key.kind)
    .where('id', '=', key.id)
    .returning(['payload', 'expiresAtMs'])
    .executeTakeFirst()
  return row === undefined || isOver(row.expiresAtMs, nowMs) ? undefined : row.payload
}

const isOver = (expiresAtMs: number | null, nowMs: number) => expiresAtMs !== null && nowMs >= expiresAtMs
