import { canonicalJson } from '@sallyport/schema'
import { secretHash } from '@sallyport/trust'
import type { Store, Tx } from './store/index.ts'

/** One change: who (`operator:<source>`, `user:<e-mail>`, `connector:<slot>`), what, to which thing, and how it was and is. */
export type AuditEntry = { actor: string; action: string; target: string; before?: unknown; after?: unknown }

/** Previous hash of the first audit row of a tenant that has dropped none. */
export const FIRST_HASH = secretHash('')
/** Longest `before` or `after` in bytes that stands in a row; of a longer one its length and digest do. */
export const MAX_VALUE_BYTES = 4096
/** Most rows that are kept of a tenant. */
export const MAX_AUDIT_ROWS = 50_000

/** Appends to the tenant's audit log, in the transaction that makes the change. Each row's hash covers the one before. */
export async function appendAudit(tx: Tx, entry: AuditEntry, atMs: number): Promise<void> {
  const last = await tx.db
    .selectFrom('audit')
    .select(['seq', 'hash'])
    .where('tenant', '=', tx.tenant)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst()
  const { actor, action, target } = entry
  const row = {
    tenant: tx.tenant,
    seq: (last?.seq ?? 0) + 1,
    atMs,
    actor,
    action,
    target,
    before: textOf(entry.before),
    after: textOf(entry.after),
    previousHash: last?.hash ?? FIRST_HASH,
  }
  await tx.db
    .insertInto('audit')
    .values({ ...row, hash: auditHash(row) })
    .execute()
}

/**
 * Drops a tenant's oldest rows, those of before `sinceMs` and those beyond {@link MAX_AUDIT_ROWS}. The newest stays in any case, so that the chain
 * goes on; the first that is left holds the hash of the last one dropped.
 */
export async function sweepAudit({ db }: Pick<Store, 'db'>, tenant: string, sinceMs: number): Promise<void> {
  const rows = db.selectFrom('audit').select('seq').where('tenant', '=', tenant).limit(1)
  const last = await rows.orderBy('seq', 'desc').executeTakeFirst()
  if (last === undefined) return
  const young = await rows.where('atMs', '>=', sinceMs).orderBy('seq').executeTakeFirst()
  const first = Math.max((young ?? last).seq, last.seq - MAX_AUDIT_ROWS + 1)
  await db.deleteFrom('audit').where('tenant', '=', tenant).where('seq', '<', first).execute()
}

/** Hash of an audit row: SHA-256 of its canonical JSON without the hash itself. */
export function auditHash(row: object): string {
  const { hash: _, ...rest } = row as { hash?: string }
  return secretHash(canonicalJson(rest))
}

function textOf(value: unknown): string | null {
  if (value === undefined) return null
  const text = canonicalJson(value)
  const bytes = Buffer.byteLength(text)
  return bytes <= MAX_VALUE_BYTES ? text : canonicalJson({ bytes, digest: secretHash(text) })
}
