import type { Adapter, AdapterPayload } from 'oidc-provider'
import { readJson, type Store } from '../store/index.ts'
import { putRecord, type RecordKind, readRecord } from './record.ts'

/** Keeps the state of a tenant's embedded provider in `loginRecords`, so that a login under way outlives a restart. */
export function embeddedAdapter(store: Store, tenant: string, now: () => number): (model: string) => Adapter {
  return model => {
    const kind: RecordKind = `idp:${model}`
    const find = async (id: string) => {
      const payload = await readRecord(store.db, { tenant, kind, id }, now())
      return payload === undefined ? undefined : readJson<AdapterPayload>(payload)
    }
    return {
      upsert: (id, payload, expiresIn) =>
        putRecord(store.db, { tenant, kind, id }, JSON.stringify(payload), {
          expiresAtMs: expiresIn === undefined ? null : now() + expiresIn * 1000,
          reference: payload.grantId ?? payload.uid ?? null,
        }),
      find,
      findByUid: async uid => {
        const row = await store.db
          .selectFrom('loginRecords')
          .select('id')
          .where('tenant', '=', tenant)
          .where('kind', '=', kind)
          .where('reference', '=', uid)
          .executeTakeFirst()
        return row === undefined ? undefined : find(row.id)
      },
      findByUserCode: async () => undefined,
      consume: async id => {
        const payload = await find(id)
        if (payload === undefined) return
        await store.db
          .updateTable('loginRecords')
          .set({ payload: JSON.stringify({ ...payload, consumed: Math.floor(now() / 1000) }) })
          .where('tenant', '=', tenant)
          .where('kind', '=', kind)
          .where('id', '=', id)
          .execute()
      },
      destroy: async id => {
        await store.db
          .deleteFrom('loginRecords')
          .where('tenant', '=', tenant)
          .where('kind', '=', kind)
          .where('id', '=', id)
          .execute()
      },
      revokeByGrantId: async grantId => {
        await store.db
          .deleteFrom('loginRecords')
          .where('tenant', '=', tenant)
          .where('kind', '=', kind)
          .where('reference', '=', grantId)
          .execute()
      },
    }
  }
}
