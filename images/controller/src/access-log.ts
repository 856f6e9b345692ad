import type { AccessLogRecord } from '@sallyport/schema'
import type { Store } from './store/index.ts'

/** Who reports: the Connector and its network; `controller` for denials of its own. */
export type Reporter = { tenant: string; network: string; connector: string }

/** Stores records, each id once, however often it is reported. */
export async function storeAccessLog(
  store: Store,
  { tenant, network, connector }: Reporter,
  records: readonly AccessLogRecord[],
): Promise<void> {
  await store.withTransaction(tenant, async ({ db }) => {
    for (const record of records) {
      const { id, atMs, event, user = null, device = null, resource = null } = record
      await db
        .insertInto('accessLog')
        .values({ tenant, id, atMs, event, network, connector, user, device, resource, record: JSON.stringify(record) })
        .onConflict(conflict => conflict.columns(['tenant', 'id']).doNothing())
        .execute()
    }
  })
}
