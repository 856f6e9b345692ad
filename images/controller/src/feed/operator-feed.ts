import { type DeclaredRow, type OperatorTrust, type ToOperator, tenantIssuer } from '@sallyport/schema'
import type { TenantKeys } from '../key/tenant-key.ts'
import type { Presence } from '../state/presence.ts'
import type { Declared } from '../state/row.ts'
import type { TenantState } from '../state/tenant-state.ts'
import type { Sink } from './connector-feed.ts'

/** Rows in one page of the snapshot. */
const PAGE = 500
/** Time after the last refused enrolment for which a conflict is reported; longer than the longest back-off. */
export const CONFLICT_MS = 75_000

/** Describes a declared row as its operator sees it. */
export function declaredRow(row: Declared, state: TenantState, presence: Presence, nowMs: number): DeclaredRow {
  const { kind, uid, digest, revision, programming } = row
  const common = { kind, uid, digest, revision, ...(programming && { programming }) }
  switch (row.kind) {
    case 'connector':
      return { ...common, slot: slotState(uid, state, presence, nowMs) }
    case 'relay': {
      const keys = (state.relayKeys.get(uid) ?? []).filter(({ dropAtMs }) => dropAtMs === undefined || nowMs < dropAtMs)
      return {
        ...common,
        relay: {
          keyIds: keys.map(({ key }) => key.id),
          acknowledgedKeyIds: keys.flatMap(({ key, acknowledgedAtMs }) =>
            acknowledgedAtMs === undefined ? [] : key.id,
          ),
          registered: presence.registeredAt(row.body.name),
        },
      }
    }
    case 'network':
    case 'resource':
    case 'group':
      return common
  }
}

function slotState(
  uid: string,
  state: TenantState,
  presence: Presence,
  nowMs: number,
): NonNullable<DeclaredRow['slot']> {
  const slot = state.slots.get(uid)
  const keys = state.keysOf(uid)
  const there = keys.map(({ connectorId }) => presence.of(connectorId))
  const [key] = keys
  const token = slot?.token
  const conflictAtMs = slot?.row.conflictAtMs ?? undefined
  const tokenState =
    token === undefined
      ? 'none'
      : token.usedAtMs !== undefined
        ? 'used'
        : nowMs >= token.expiresAtMs
          ? 'expired'
          : 'live'
  return {
    ...(token && { tokenId: token.id, tokenExpiresAtMs: token.expiresAtMs }),
    tokenState,
    ...(key && { connectorId: key.connectorId, version: key.version }),
    connected: there.some(presence => presence?.connected),
    registered: there.some(presence => presence?.connected && presence.relays.some(({ registered }) => registered)),
    ready: there.some(presence => presence?.connected && presence.ready),
    draining: keys.length > 0 && keys.every(({ drainingAtMs }) => drainingAtMs !== undefined),
    ...(conflictAtMs !== undefined && nowMs - conflictAtMs < CONFLICT_MS && { conflictAtMs }),
  }
}

/** What an operator writes into `trust.json` and the Relays' Secrets. */
export function operatorTrust(tenant: string, keys: TenantKeys): OperatorTrust {
  const [clientAcl, connectorAcl, relayPass] = (['clientAcl', 'connectorAcl', 'relayPass'] as const).map(keys.jwks)
  return {
    tenant,
    issuer: tenantIssuer(tenant),
    tenantCa: keys.caBundle,
    jwks: { clientAcl: clientAcl!, connectorAcl: connectorAcl!, relayPass: relayPass! },
  }
}

export type OperatorFeedDeps = {
  state: TenantState
  presence: Presence
  keys: TenantKeys
  clock: { now(): number }
  sink: Sink<ToOperator>
}

/** Shows one operator the rows of its source: all of them first, then each change. */
export class OperatorFeed {
  readonly source: string
  readonly #deps: OperatorFeedDeps
  readonly #sent = new Map<string, string>()
  #trust: string | undefined

  constructor(source: string, deps: OperatorFeedDeps) {
    this.source = source
    this.#deps = deps
  }

  start(): void {
    const { sink, state, clock } = this.#deps
    sink.send({ type: 'welcome', nowMs: clock.now(), source: this.source, revision: state.revision })
    this.trustChanged()
    const rows = [...state.declared.values()].filter(({ source }) => source === this.source).map(row => this.#row(row))
    for (let at = 0; at === 0 || at < rows.length; at += PAGE)
      sink.send({ type: 'snapshot', rows: rows.slice(at, at + PAGE), complete: at + PAGE >= rows.length })
  }

  /** Says that the Controller stops. */
  goodbye(code: string, message: string): void {
    this.#deps.sink.send({ type: 'goodbye', code, message, retry: true })
    this.#deps.sink.close(code)
  }

  trustChanged(): void {
    const { sink, state, keys } = this.#deps
    const trust = operatorTrust(state.tenant, keys)
    const said = JSON.stringify(trust)
    if (said !== this.#trust) sink.send({ type: 'trust', trust })
    this.#trust = said
  }

  /** Sends a row, if it says something else than it did. */
  rowChanged(row: Declared): void {
    if (row.source !== this.source) return
    const before = this.#sent.get(row.uid)
    const said = this.#row(row)
    if (this.#sent.get(row.uid) !== before) this.#deps.sink.send({ type: 'row', row: said })
  }

  rowGone({ kind, uid, source }: Declared): void {
    if (source !== this.source) return
    this.#sent.delete(uid)
    this.#deps.sink.send({ type: 'gone', kind, uid })
  }

  #row(row: Declared): DeclaredRow {
    const { state, presence, clock } = this.#deps
    const said = declaredRow(row, state, presence, clock.now())
    this.#sent.set(row.uid, JSON.stringify(said))
    return said
  }
}
