import type { DeclaredKind } from '@sallyport/schema'
import { CamelCasePlugin, type Dialect, Kysely, sql, type Transaction } from 'kysely'
import { Migrator } from 'kysely/migration'
import type { Database } from './database.ts'
import { migrations } from './migration.ts'

/** One thing that a transaction changed, as the feeds want to hear it. `login` and `device` changes name their user as well. */
export type Change =
  | { kind: DeclaredKind; uid: string }
  | { kind: 'slot'; uid: string }
  | { kind: 'relayKeys'; uid: string }
  | { kind: 'user'; id: string }
  | { kind: 'device'; id: string; user: string }
  | { kind: 'login'; id: string; user: string; device: string }
  | { kind: 'keys' }

/** What was committed: the changes of one transaction, and the revision that it took. */
export type Commit = { tenant: string; revision: number; changes: readonly Change[] }

/** An open transaction of one tenant. */
export type Tx = {
  readonly tenant: string
  readonly db: Transaction<Database>
  /** Takes the tenant's next revision, the first time; later calls answer the same. One that notes changes takes one in any case. */
  revision(): Promise<number>
  /** Notes what feeds shall hear after the commit. */
  changed(change: Change): void
}

export type Store = {
  /** For reads, and for writes that no feed has to hear of. Every query names its tenant. */
  readonly db: Kysely<Database>
  /** Runs `work` in one transaction; after the commit, and only then, the listeners hear what it noted, before the promise resolves. */
  withTransaction<T>(tenant: string, work: (tx: Tx) => Promise<T>): Promise<T>
  onCommit(listener: (commit: Commit) => void): () => void
  /** Rejects while the database cannot be read. */
  probe(): Promise<void>
  close(): Promise<void>
}

/** Opens the database behind `dialect` and migrates it. `now` gives milliseconds since the epoch. */
export async function openStore(dialect: Dialect, now: () => number): Promise<Store> {
  const db = new Kysely<Database>({ dialect, plugins: [new CamelCasePlugin()] })
  const { error } = await new Migrator({ db, provider: migrations }).migrateToLatest()
  if (error !== undefined) {
    await db.destroy()
    throw new Error('the database cannot be migrated', { cause: error })
  }
  const listeners = new Set<(commit: Commit) => void>()
  return {
    db,
    withTransaction: async (tenant, work) => {
      const changes: Change[] = []
      let revision: number | undefined
      const result = await db.transaction().execute(async trx => {
        const take = async () => {
          revision ??= await nextRevision(trx, tenant, now())
          return revision
        }
        const value = await work({ tenant, db: trx, revision: take, changed: change => changes.push(change) })
        if (changes.length > 0) await take()
        return value
      })
      if (revision !== undefined && changes.length > 0)
        for (const listener of listeners) listener({ tenant, revision, changes })
      return result
    },
    onCommit: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    probe: async () => {
      await sql`select 1`.execute(db)
    },
    close: () => db.destroy(),
  }
}

/** `max(last + 1, now)` by UPDATE of the tenant's row: commits are in order. */
async function nextRevision(trx: Transaction<Database>, tenant: string, nowMs: number): Promise<number> {
  const { revision } = await trx
    .updateTable('tenants')
    .set(({ eb, ref }) => ({
      revision: eb
        .case()
        .when('revision', '>=', nowMs)
        .then(eb(ref('revision'), '+', 1))
        .else(nowMs)
        .end(),
    }))
    .where('name', '=', tenant)
    .returning('revision')
    .executeTakeFirstOrThrow(() => new Error(`tenant "${tenant}" has no row`))
  return revision
}

/** Makes sure that the tenant has its row. */
export async function ensureTenant(store: Store, tenant: string, nowMs: number): Promise<void> {
  await store.db
    .insertInto('tenants')
    .values({ name: tenant, revision: 0, flooredRevision: 0, createdAtMs: nowMs })
    .onConflict(conflict => conflict.column('name').doNothing())
    .execute()
}

/**
 * Takes a revision for a process that begins. It lies above all that were given before, even those that a restored backup knows nothing of,
 * so that what this process signs is never taken for older than what others hold.
 */
export async function beginRevisions(store: Store, tenant: string): Promise<void> {
  await store.withTransaction(tenant, async tx => {
    const before = await tx.db
      .selectFrom('tenants')
      .select(['revision', 'flooredRevision'])
      .where('name', '=', tenant)
      .executeTakeFirstOrThrow()
    const revision = await tx.revision()
    // Nothing has changed with it, so that no floor is missing that was not missing before.
    if (before.flooredRevision >= before.revision)
      await tx.db.updateTable('tenants').set({ flooredRevision: revision }).where('name', '=', tenant).execute()
  })
}
