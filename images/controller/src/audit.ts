import { canonicalJson } from '@sallyport/schema'
import { secretHash } from '@sallyport/trust'
import type { Tx } from './store/index.ts'

/** One change: who (`operator:<source>`, `user:<e-mail>`, `connector:<slot>`), what, to which thing, and how it was and is. */
export type AuditEntry = { actor: string; action: string; target: string; before?: unknown; after?: unknown }

/** Previous hash of a tenant's first audit row. */
export const FIRST_HASH = secretHash('')

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
  const text = (value: unknown) => (value === undefined ? null : canonicalJson(value))
  const row = {
    tenant: tx.tenant,
    seq: (last?.seq ?? 0) + 1,
    atMs,
    actor,
    action,
    target,
    before: text(entry.before),
    after: text(entry.after),
    previousHash: last?.hash ?? FIRST_HASH,
  }
  await tx.db
    .insertInto('audit')
    .values({ ...row, hash: auditHash(row) })
    .execute()
}

/** Hash of an audit row: SHA-256 of its canonical JSON without the hash itself. */
export function auditHash(row: object): string {
  const { hash: _, ...rest } = row as { hash?: string }
  return secretHash(canonicalJson(rest))
}
