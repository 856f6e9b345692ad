import type { EnrolmentToken } from '@sallyport/schema'
import { createEnrolmentToken, randomId } from '@sallyport/trust'
import { appendAudit } from '../audit.ts'
import { ownRow } from '../declare/declare.ts'
import type { Operator } from '../operator-auth.ts'
import type { Store } from '../store/index.ts'

/** Issues a slot's enrolment token; one issued earlier and not used is void from then on. Throws ApiError `not_found`. */
export async function issueEnrolmentToken(
  { store, clock, tokenSeconds }: { store: Store; clock: { now(): number }; tokenSeconds: number },
  { tenant, source }: Operator,
  slot: string,
): Promise<EnrolmentToken> {
  const { token, hash } = createEnrolmentToken()
  return store.withTransaction(tenant, async tx => {
    await ownRow(tx, source, 'connector', slot)
    const createdAtMs = clock.now()
    const issued = { id: randomId(), expiresAtMs: createdAtMs + tokenSeconds * 1000 }
    await tx.db
      .deleteFrom('enrolmentTokens')
      .where('tenant', '=', tenant)
      .where('slot', '=', slot)
      .where('usedAtMs', 'is', null)
      .execute()
    await tx.db
      .insertInto('enrolmentTokens')
      .values({ tenant, slot, hash, createdAtMs, ...issued, usedAtMs: null, usedBy: null })
      .execute()
    tx.changed({ kind: 'slot', uid: slot })
    const entry = { actor: `operator:${source}`, action: 'connector.token', target: slot, after: issued }
    await appendAudit(tx, entry, createdAtMs)
    return { token, ...issued }
  })
}
