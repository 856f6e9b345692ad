import type { RelayKeys } from '@sallyport/schema'
import { createRelayKey, relayKeyToText } from '@sallyport/trust'
import { ApiError } from '../error.ts'
import type { Sealer } from '../key/store-key.ts'
import type { Operator } from '../operator-auth.ts'
import { relayKeyPurpose } from '../state/tenant-state.ts'
import type { RelayKeyRow, Store, Tx } from '../store/index.ts'
import { ownRow } from './declare.ts'

/** Live keys of a Relay: the one in use and its successor. */
const MAX_KEYS = 2

export type RelayKeyDeps = {
  store: Store
  sealer: Sealer
  clock: { now(): number }
  relayKeys: { activationSeconds: number; rotationSeconds: number }
}

/** Makes a Relay's next key; it is used some time after the operator has acknowledged that it is written. */
export async function addRelayKey({ sealer, clock }: RelayKeyDeps, tx: Tx, relay: string): Promise<void> {
  const { id, key } = createRelayKey()
  await tx.db
    .insertInto('relayKeys')
    .values({
      tenant: tx.tenant,
      relay,
      id,
      sealedKey: sealer.seal(relayKeyPurpose(tx.tenant, relay, id), relayKeyToText({ id, key }).key),
      createdAtMs: clock.now(),
      acknowledgedAtMs: null,
      activeAtMs: null,
      dropAtMs: null,
    })
    .execute()
}

/** Keys that a Relay's Secret must hold. Throws ApiError `not_found`. */
export async function readRelayKeys(
  { store, sealer, clock }: RelayKeyDeps,
  { tenant, source }: Operator,
  relay: string,
): Promise<RelayKeys> {
  await ownRow({ db: store.db as Tx['db'], tenant }, source, 'relay', relay)
  const rows = await keyRows({ db: store.db as Tx['db'], tenant }, relay)
  const nowMs = clock.now()
  return {
    keys: rows
      .filter(({ dropAtMs }) => dropAtMs === null || nowMs < dropAtMs)
      .map(({ id, sealedKey }) => ({ id, key: sealer.openText(relayKeyPurpose(tenant, relay, id), sealedKey) })),
  }
}

/**
 * Takes note that keys are written. A Relay's first key is used at once, a later one after the activation time, and its predecessor is
 * dropped when the last capability sealed with it has expired, `overlapMs` after that. Throws ApiError.
 */
export async function acknowledgeRelayKeys(
  { store, clock, relayKeys }: RelayKeyDeps,
  { tenant, source }: Operator,
  relay: string,
  { keyIds, overlapMs }: { keyIds: readonly string[]; overlapMs: number },
): Promise<void> {
  await store.withTransaction(tenant, async tx => {
    await ownRow(tx, source, 'relay', relay)
    const rows = await keyRows(tx, relay)
    if (keyIds.some(id => !rows.some(row => row.id === id))) throw new ApiError('unknown_key')
    const news = rows.filter(({ id, acknowledgedAtMs }) => keyIds.includes(id) && acknowledgedAtMs === null)
    if (news.length === 0) return
    const nowMs = clock.now()
    const isFirst = !rows.some(({ activeAtMs }) => activeAtMs !== null)
    const activeAtMs = isFirst ? nowMs : nowMs + relayKeys.activationSeconds * 1000
    for (const { id } of news) await update(tx, relay, id, { acknowledgedAtMs: nowMs, activeAtMs })
    for (const row of rows)
      if (row.activeAtMs !== null && row.dropAtMs === null)
        await update(tx, relay, row.id, { dropAtMs: activeAtMs + overlapMs })
    tx.changed({ kind: 'relayKeys', uid: relay })
  })
}

/** Drops keys that are over and makes successors of those that are old, for every Relay of the tenant. */
export async function rotateRelayKeys(deps: RelayKeyDeps, tenant: string): Promise<void> {
  const nowMs = deps.clock.now()
  const oldMs = nowMs - deps.relayKeys.rotationSeconds * 1000
  const rows = await deps.store.db.selectFrom('relayKeys').selectAll().where('tenant', '=', tenant).execute()
  const byRelay = Map.groupBy(rows, ({ relay }) => relay)
  for (const [relay, keys] of byRelay) {
    const over = keys.filter(({ dropAtMs }) => dropAtMs !== null && dropAtMs <= nowMs)
    const live = keys.filter(key => !over.includes(key))
    const isDue = live.length < MAX_KEYS && live.every(({ createdAtMs }) => createdAtMs <= oldMs)
    if (over.length === 0 && !isDue) continue
    await deps.store.withTransaction(tenant, async tx => {
      for (const { id } of over)
        await tx.db
          .deleteFrom('relayKeys')
          .where('tenant', '=', tenant)
          .where('relay', '=', relay)
          .where('id', '=', id)
          .execute()
      if (isDue) await addRelayKey(deps, tx, relay)
      tx.changed({ kind: 'relayKeys', uid: relay })
    })
  }
}

const keyRows = (tx: Pick<Tx, 'db' | 'tenant'>, relay: string): Promise<RelayKeyRow[]> =>
  tx.db
    .selectFrom('relayKeys')
    .selectAll()
    .where('tenant', '=', tx.tenant)
    .where('relay', '=', relay)
    .orderBy('createdAtMs')
    .execute()

async function update(
  tx: Tx,
  relay: string,
  id: string,
  values: { acknowledgedAtMs?: number; activeAtMs?: number; dropAtMs?: number },
): Promise<void> {
  await tx.db
    .updateTable('relayKeys')
    .set(values)
    .where('tenant', '=', tx.tenant)
    .where('relay', '=', relay)
    .where('id', '=', id)
    .execute()
}
