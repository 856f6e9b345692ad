import type { EnrolRequest, EnrolResponse } from '@sallyport/schema'
import {
  connectorIdOf,
  pinOf,
  publicKeyFromJwk,
  secretHash,
  TrustError,
  thumbprintOf,
  verifyEnrolmentProof,
} from '@sallyport/trust'
import { appendAudit } from '../audit.ts'
import { ApiError, type ApiErrorCode } from '../error.ts'
import { CONFLICT_MS } from '../feed/operator-feed.ts'
import type { EnrolmentTokenRow, Store, Tx } from '../store/index.ts'
import type { Tenants } from '../tenant.ts'

/** Time within which the same token with the same key gets the same answer: a lost reply strands nobody. */
export const REPEAT_MS = 600_000

export type EnrolDeps = {
  store: Store
  tenants: Tenants
  clock: { now(): number; monotonic(): number }
  clockLeewaySeconds: number
}

type Applicant = { connectorId: string; jkt: string; pin: string; publicJwk: string; version: string; host: string }
type Outcome = { bound: string } | { refused: ApiErrorCode }

/** Consumes an enrolment token and binds the Connector's key to its slot, in one transaction. Throws ApiError. */
export async function enrol(deps: EnrolDeps, request: EnrolRequest): Promise<EnrolResponse> {
  const applicant = proveKey(deps, request)
  const hash = secretHash(request.token)
  const found = await findToken(deps.store, hash)
  const tenant = found && deps.tenants.get(found.tenant)
  if (found === undefined || tenant === undefined) throw new ApiError('unknown_token')
  const { hub } = tenant
  await hub.caughtUp()
  const outcome = await deps.store.withTransaction(tenant.name, async (tx): Promise<Outcome> => {
    const token = await readToken(tx, found.id)
    const refused = await refusal(deps, tx, token, applicant)
    if (refused === 'repeat') return { bound: found.slot }
    if (refused !== undefined) {
      if (refused === 'slot_occupied') await noteConflict(deps, tx, found.slot, applicant)
      return { refused }
    }
    await bind(deps, tx, found, applicant)
    hub.presence.seen(applicant.connectorId, deps.clock.monotonic())
    return { bound: found.slot }
  })
  if ('refused' in outcome) throw new ApiError(outcome.refused)
  await hub.caughtUp()
  const key = hub.state.connectorKeys.get(applicant.connectorId)
  if (key === undefined) throw new ApiError('unknown_token')
  const { pem } = hub.issuer.connectorCertificate(key)
  return { connectorId: key.connectorId, slot: key.slot, network: key.network, certificate: pem }
}

function proveKey(
  { clock, clockLeewaySeconds }: EnrolDeps,
  { token, publicKey, proof, version, host }: EnrolRequest,
): Applicant {
  try {
    const key = publicKeyFromJwk(publicKey)
    const check = { nowMs: clock.now(), leewaySeconds: clockLeewaySeconds, enrolmentToken: token, publicKey: key }
    verifyEnrolmentProof(proof, check)
    const { kty, crv, x, y } = publicKey
    const publicJwk = JSON.stringify({ kty, crv, x, y })
    return { connectorId: connectorIdOf(key), jkt: thumbprintOf(key), pin: pinOf(key), publicJwk, version, host }
  } catch (cause) {
    if (!(cause instanceof TrustError)) throw cause
    throw new ApiError(cause.code === 'clock_skew' ? 'clock_skew' : 'unauthenticated', cause.message, { cause })
  }
}

/** The hash of 256 random bits names one token of one tenant. */
const findToken = (store: Store, hash: string): Promise<EnrolmentTokenRow | undefined> =>
  store.db.selectFrom('enrolmentTokens').selectAll().where('hash', '=', hash).executeTakeFirst()

const readToken = (tx: Tx, id: string): Promise<EnrolmentTokenRow | undefined> =>
  tx.db
    .selectFrom('enrolmentTokens')
    .selectAll()
    .where('tenant', '=', tx.tenant)
    .where('id', '=', id)
    .executeTakeFirst()

async function refusal(
  { tenants, clock }: EnrolDeps,
  tx: Tx,
  token: EnrolmentTokenRow | undefined,
  { connectorId }: Applicant,
): Promise<ApiErrorCode | 'repeat' | undefined> {
  if (token === undefined) return 'unknown_token'
  const nowMs = clock.now()
  const keys = await tx.db
    .selectFrom('connectorKeys')
    .selectAll()
    .where('tenant', '=', tx.tenant)
    .where('slot', '=', token.slot)
    .execute()
  if (token.usedAtMs !== null) {
    const isRepeat = token.usedBy === connectorId && nowMs - token.usedAtMs < REPEAT_MS
    return isRepeat && keys.some(key => key.connectorId === connectorId) ? 'repeat' : 'token_used'
  }
  if (nowMs >= token.expiresAtMs) return 'enrolment_expired'
  const slot = await tx.db
    .selectFrom('slots')
    .selectAll()
    .where('tenant', '=', tx.tenant)
    .where('uid', '=', token.slot)
    .executeTakeFirst()
  if (slot === undefined) return 'unknown_token'
  if (slot.blocked === 1) return 'connector_blocked'
  const hub = tenants.get(tx.tenant)?.hub
  const alive = keys.some(
    key => key.drainingAtMs === null && hub?.presence.alive(key.connectorId, clock.monotonic()) !== false,
  )
  if (alive) return 'slot_occupied'
  for (const { hub } of tenants.values()) {
    const bound = hub.state.connectorKeys.get(connectorId)
    if (bound !== undefined && !(hub.state.tenant === tx.tenant && bound.slot === token.slot)) return 'key_taken'
  }
  return undefined
}

async function bind({ clock }: EnrolDeps, tx: Tx, token: EnrolmentTokenRow, applicant: Applicant): Promise<void> {
  const { tenant } = tx
  const { slot, id } = token
  const nowMs = clock.now()
  const { connectorId, ...key } = applicant
  await tx.db
    .deleteFrom('connectorKeys')
    .where('tenant', '=', tenant)
    .where('slot', '=', slot)
    .where(({ or, eb }) => or([eb('drainingAtMs', 'is', null), eb('connectorId', '=', connectorId)]))
    .execute()
  await tx.db
    .insertInto('connectorKeys')
    .values({ tenant, slot, connectorId, ...key, enrolledAtMs: nowMs, drainingAtMs: null, occupied: 1 })
    .execute()
  await tx.db
    .updateTable('enrolmentTokens')
    .set({ usedAtMs: nowMs, usedBy: connectorId })
    .where('tenant', '=', tenant)
    .where('id', '=', id)
    .execute()
  await setConflict(tx, slot, null)
  tx.changed({ kind: 'slot', uid: slot })
  const after = { connectorId, host: applicant.host, version: applicant.version, token: id }
  await appendAudit(tx, { actor: `connector:${slot}`, action: 'connector.enrol', target: slot, after }, nowMs)
}

async function noteConflict({ clock }: EnrolDeps, tx: Tx, slot: string, applicant: Applicant): Promise<void> {
  const nowMs = clock.now()
  const before = await tx.db
    .selectFrom('slots')
    .select('conflictAtMs')
    .where('tenant', '=', tx.tenant)
    .where('uid', '=', slot)
    .executeTakeFirst()
  await setConflict(tx, slot, nowMs)
  tx.changed({ kind: 'slot', uid: slot })
  // Who is refused tries again and again: that is one conflict.
  if (nowMs - (before?.conflictAtMs ?? Number.NEGATIVE_INFINITY) < CONFLICT_MS) return
  const after = { connectorId: applicant.connectorId, host: applicant.host }
  const entry = { actor: 'unknown', action: 'connector.enrolment_refused', target: slot, after }
  await appendAudit(tx, entry, nowMs)
}

async function setConflict(tx: Tx, slot: string, conflictAtMs: number | null): Promise<void> {
  await tx.db
    .updateTable('slots')
    .set({ conflictAtMs })
    .where('tenant', '=', tx.tenant)
    .where('uid', '=', slot)
    .execute()
}
