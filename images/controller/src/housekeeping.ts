import type { Clock, Log, Supervisor, Timer } from '@sallyport/runtime'
import type { ControllerConfig } from '@sallyport/schema'
import { sweepAudit } from './audit.ts'
import { type RelayKeyDeps, rotateRelayKeys } from './declare/relay-key.ts'
import { CONFLICT_MS } from './feed/operator-feed.ts'
import type { ConnectorKey } from './state/row.ts'
import type { Store } from './store/index.ts'
import type { Tenant, Tenants } from './tenant.ts'

/** Time between two rounds. */
export const ROUND_MS = 5_000
/** Longest that a Connector may drain: what `drainSeconds` allows at most, and a little. */
const MAX_DRAIN_MS = 3_660_000
/** How long the access log and the audit log are kept. */
export const LOG_MS = 30 * 86_400_000

export type HousekeepingDeps = {
  store: Store
  tenants: Tenants
  clock: Clock
  log: Log
  supervisor: Supervisor
  config: ControllerConfig
  relayKeys: RelayKeyDeps
}

/** Does what only time brings about: vacant slots, ended drains, over-aged keys, expired rows. */
export function startHousekeeping(deps: HousekeepingDeps): { close(): void } {
  const { clock, supervisor, tenants } = deps
  let timer: Timer | undefined
  let closed = false
  const round = async () => {
    for (const tenant of tenants.values()) {
      await keepSlots(deps, tenant)
      tenant.hub.floors.forgetExpired()
      tenant.hub.issuer.forgetExpired()
      await rotateKeys(deps, tenant)
      await rotateRelayKeys(deps.relayKeys, tenant.name)
    }
    await sweep(deps)
  }
  const again = () => {
    if (closed) return
    timer = clock.timer(ROUND_MS, () => supervisor.run('housekeeping', round().finally(again)))
  }
  again()
  return {
    close: () => {
      closed = true
      timer?.cancel()
    },
  }
}

/** A Connector that has been gone for long enough no longer occupies its slot; the key of one that has drained goes, or that drains for too long. */
async function keepSlots({ store, clock }: HousekeepingDeps, { name, hub }: Tenant): Promise<void> {
  const nowMs = clock.now()
  for (const { uid, row } of [...hub.state.slots].map(([uid, { row }]) => ({ uid, row })))
    if (row.conflictAtMs !== null && nowMs - row.conflictAtMs >= CONFLICT_MS) hub.rowChanged(uid)
  const isOver = ({ connectorId, occupied, drainingAtMs }: ConnectorKey) => {
    if (drainingAtMs !== undefined && nowMs - drainingAtMs >= MAX_DRAIN_MS) return true
    return !hub.presence.alive(connectorId, clock.monotonic()) && (occupied || drainingAtMs !== undefined)
  }
  const gone = [...hub.state.connectorKeys.values()].filter(isOver)
  for (const { connectorId, slot, drainingAtMs } of gone)
    await store.withTransaction(name, async tx => {
      const ofKey = { tenant: name, connectorId }
      if (drainingAtMs === undefined)
        await tx.db
          .updateTable('connectorKeys')
          .set({ occupied: 0 })
          .where('tenant', '=', ofKey.tenant)
          .where('connectorId', '=', connectorId)
          .execute()
      else
        await tx.db
          .deleteFrom('connectorKeys')
          .where('tenant', '=', ofKey.tenant)
          .where('connectorId', '=', connectorId)
          .execute()
      tx.changed({ kind: 'slot', uid: slot })
    })
}

async function rotateKeys({ store, config }: HousekeepingDeps, { name, keys, hub }: Tenant): Promise<void> {
  const overlapSeconds = Math.ceil(hub.floors.keepMs() / 1000) * 2 + 86_400
  if (!(await keys.rotate({ ...config.signingKeys, overlapSeconds }))) return
  await store.withTransaction(name, async tx => tx.changed({ kind: 'keys' }))
}

async function sweep({ store, clock, tenants }: HousekeepingDeps): Promise<void> {
  const nowMs = clock.now()
  await store.db.deleteFrom('loginRecords').where('expiresAtMs', '<', nowMs).execute()
  await store.db.deleteFrom('floors').where('untilMs', '<', nowMs).execute()
  await store.db
    .deleteFrom('accessLog')
    .where('atMs', '<', nowMs - LOG_MS)
    .execute()
  for (const tenant of tenants.keys()) await sweepAudit(store, tenant, nowMs - LOG_MS)
}
