import { createHash } from 'node:crypto'
import { type DeviceId, parser, Type } from '@sallyport/schema'
import {
  DPOP_LIFE_SECONDS,
  deviceIdOf,
  issueAccessToken,
  publicJwk,
  type ReplayGuard,
  randomId,
  randomSecret,
  TrustError,
  verifyDpopProof,
} from '@sallyport/trust'
import type { LoginDeps } from '../login-seam.ts'
import { type LoginRow, readJson, type Tx } from '../store/index.ts'
import { deviceBound, type LoginEnd, loginBegun, loginEnded, loginRefused, type Person } from './audit.ts'
import { CLIENT_ID } from './authorize-request.ts'
import { TokenError } from './error.ts'
import { type CodeGrant, hashOf } from './flow.ts'
import { putRecord, readRecord, takeRecord } from './record.ts'
import type { LoginTenant } from './tenant.ts'

/** How long a spent code is remembered: its replay ends the login that came of it (RFC 6749, section 4.1.2). */
const SPENT_CODE_MS = 24 * 3600_000
/** How long a refresh whose answer was lost can be asked for again, with the same retry key. */
const RETRY_MS = 10 * 60_000
const REFRESH_TOKEN = /^spr_([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})$/

const client_id = Type.Literal(CLIENT_ID)
const deviceText = (maxLength: number) => Type.Optional(Type.String({ maxLength }))
const codeForm = parser(
  Type.Object({
    grant_type: Type.Literal('authorization_code'),
    client_id,
    code: Type.String({ minLength: 1, maxLength: 128 }),
    redirect_uri: Type.String({ maxLength: 200 }),
    code_verifier: Type.String({ pattern: '^[A-Za-z0-9._~-]{43,128}$' }),
    device_host: deviceText(253),
    device_platform: deviceText(50),
    device_version: deviceText(50),
  }),
)
const refreshForm = parser(
  Type.Object({
    grant_type: Type.Literal('refresh_token'),
    client_id,
    refresh_token: Type.String({ maxLength: 128 }),
    retry_key: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_-]{22,64}$' })),
  }),
)
const grantType = parser(
  Type.Object({ grant_type: Type.Union([Type.Literal('authorization_code'), Type.Literal('refresh_token')]) }),
)

/** Answer of the token endpoint. `controller_url`: base of the REST API and of the control channel. */
export type TokenAnswer = {
  access_token: string
  token_type: 'DPoP'
  expires_in: number
  refresh_token: string
  controller_url: string
}

type Proof = ReturnType<typeof verifyDpopProof>
type Endpoint = { deps: LoginDeps; tenant: LoginTenant; replays: ReplayGuard }
/** Ended within a transaction that has to be committed, so the refusal comes after it. */
type Outcome = { answer: TokenAnswer } | { refuse: string }

/** Answers `POST /oauth/token`. Throws {@link TokenError}. */
export async function answerToken(endpoint: Endpoint, form: unknown, proof: unknown): Promise<TokenAnswer> {
  if (!grantType.check(form)) {
    throw new TokenError('unsupported_grant_type', 'want grant_type authorization_code or refresh_token')
  }
  const proved = proveDevice(endpoint, proof)
  return form.grant_type === 'authorization_code'
    ? tradeCode(endpoint, form, proved)
    : rotateRefresh(endpoint, form, proved)
}

/** Answers `POST /oauth/revoke` (RFC 7009): ends the login of a refresh token, and says nothing of tokens it does not know. */
export async function revokeToken({ deps, tenant }: Omit<Endpoint, 'replays'>, token: unknown): Promise<void> {
  const known = typeof token === 'string' ? REFRESH_TOKEN.exec(token) : null
  const id = known?.[1]
  if (typeof token !== 'string' || id === undefined) return
  await deps.store.withTransaction(tenant.name, async tx => {
    const login = await readLogin(tx, id)
    if (login === undefined || ![login.refreshHash, login.previousRefreshHash].includes(hashOf(token))) return
    await endLogins(deps, tx, [login], 'logout')
  })
}

function proveDevice({ deps, tenant, replays }: Endpoint, proof: unknown): Proof {
  if (typeof proof !== 'string') throw new TokenError('invalid_dpop_proof', 'want one DPoP header')
  const nowMs = deps.clock.now()
  try {
    const proved = verifyDpopProof(proof, {
      method: 'POST',
      url: tenant.tokenUrl,
      nowMs,
      leewaySeconds: deps.clockLeewaySeconds,
    })
    if (replays.used(proved.jti, nowMs)) throw usedProof()
    return proved
  } catch (cause) {
    if (!(cause instanceof TrustError)) throw cause
    throw new TokenError('invalid_dpop_proof', `${cause.code}: ${cause.message}`, { cause })
  }
}

/** Remembers a proof when it has earned tokens: whoever has nothing to trade takes no room from others. */
function spendProof({ deps, replays }: Endpoint, { jti }: Proof): void {
  const nowMs = deps.clock.now()
  const untilMs = nowMs + (DPOP_LIFE_SECONDS + 2 * deps.clockLeewaySeconds) * 1000
  if (!replays.first(jti, untilMs, nowMs)) throw usedProof()
}

const usedProof = () => new TokenError('invalid_dpop_proof', 'DPoP proof was used before')

async function tradeCode(endpoint: Endpoint, input: unknown, proof: Proof): Promise<TokenAnswer> {
  if (!codeForm.check(input)) throw badForm(codeForm.problems(input))
  const { deps, tenant } = endpoint
  return settle(
    await deps.store.withTransaction(tenant.name, async (tx): Promise<Outcome> => {
      const now = deps.clock.now()
      const id = hashOf(input.code)
      const payload = await takeRecord(tx.db, { tenant: tx.tenant, kind: 'code', id }, now)
      if (payload === undefined) return refuseSpentCode(deps, tx, id, now)
      const grant = readJson<CodeGrant>(payload)
      const person = await readPerson(tx, grant.user)
      const refuse = async (code: string, why: string) => {
        await deps.audit(tx, loginRefused(person, proof.jkt, code))
        return { refuse: why }
      }
      const misused = whyMisused(grant, input, proof)
      if (misused !== undefined) return refuse('invalid_grant', misused)
      spendProof(endpoint, proof)
      const device = await bindDevice(deps, tx, grant.user, proof, input)
      if (device === undefined) return refuse('device_blocked', 'this device is blocked; ask your administrator')
      const login = newLogin(tx.tenant, grant.user, device, now, deps.lifetimes.maxSessionSeconds)
      await endLogins(deps, tx, await liveLogins(tx, device), 'replaced')
      await tx.db.insertInto('logins').values(login.row).execute()
      await deps.audit(tx, loginBegun(person, login.row))
      await putRecord(tx.db, { tenant: tx.tenant, kind: 'spent-code', id }, login.row.id, {
        expiresAtMs: now + SPENT_CODE_MS,
      })
      await tx.revision()
      tx.changed({ kind: 'login', id: login.row.id, user: grant.user, device })
      return { answer: answerFor(endpoint, login.row, proof.jkt, login.refreshToken) }
    }),
  )
}

function whyMisused(
  grant: CodeGrant,
  input: { redirect_uri: string; code_verifier: string },
  { jkt }: Proof,
): string | undefined {
  const challenge = createHash('sha256').update(input.code_verifier).digest('base64url')
  if (grant.redirectUri !== input.redirect_uri) return 'the code was made for another redirect_uri'
  if (grant.codeChallenge !== challenge) return 'code_verifier does not fit the code'
  return grant.jkt === jkt ? undefined : 'the code was made for another device key'
}

async function refuseSpentCode(deps: LoginDeps, tx: Tx, id: string, now: number): Promise<Outcome> {
  const login = await readRecord(tx.db, { tenant: tx.tenant, kind: 'spent-code', id }, now)
  const row = login === undefined ? undefined : await readLogin(tx, login)
  if (row !== undefined) await endLogins(deps, tx, [row], 'code_replayed')
  return {
    refuse: row === undefined ? 'no such code, or it is over' : 'the code was used before; its login has been ended',
  }
}

async function rotateRefresh(endpoint: Endpoint, input: unknown, proof: Proof): Promise<TokenAnswer> {
  if (!refreshForm.check(input)) throw badForm(refreshForm.problems(input))
  const { deps, tenant } = endpoint
  const id = REFRESH_TOKEN.exec(input.refresh_token)?.[1]
  if (id === undefined) throw new TokenError('invalid_grant', 'not a refresh token')
  return settle(
    await deps.store.withTransaction(tenant.name, async (tx): Promise<Outcome> => {
      const now = deps.clock.now()
      const login = await readLogin(tx, id)
      if (login === undefined) return { refuse: 'no such login' }
      const hash = hashOf(input.refresh_token)
      const retried = await isRetry(tx, login, hash, input.retry_key, now)
      if (hash !== login.refreshHash && !retried) return refuseReuse(deps, tx, login)
      if (deviceIdOf(proof.key) !== login.device) return { refuse: 'the login is bound to another device key' }
      const refused = await whyOver(tx, login, now)
      if (refused !== undefined) return { refuse: refused }
      spendProof(endpoint, proof)
      const refreshToken = `spr_${login.id}.${randomSecret()}`
      const row = { ...login, refreshHash: hashOf(refreshToken), previousRefreshHash: hash, refreshedAtMs: now }
      await tx.db
        .updateTable('logins')
        .set({
          refreshHash: row.refreshHash,
          previousRefreshHash: hash,
          refreshCounter: login.refreshCounter + 1,
          refreshedAtMs: now,
        })
        .where('tenant', '=', tx.tenant)
        .where('id', '=', login.id)
        .execute()
      await keepRetryKey(tx, login.id, hash, input.retry_key, now)
      return { answer: answerFor(endpoint, row, proof.jkt, refreshToken) }
    }),
  )
}

/** The answer to a refresh may be lost. Who asks again with the retry key of the first time is who asked then, not a thief. */
async function isRetry(tx: Tx, login: LoginRow, hash: string, retryKey: string | undefined, now: number) {
  if (retryKey === undefined || hash !== login.previousRefreshHash) return false
  const kept = await readRecord(tx.db, { tenant: tx.tenant, kind: 'refresh-retry', id: login.id }, now)
  return kept === hashOf(`${hash}.${retryKey}`)
}

async function keepRetryKey(tx: Tx, login: string, hash: string, retryKey: string | undefined, now: number) {
  const key = { tenant: tx.tenant, kind: 'refresh-retry', id: login } as const
  if (retryKey === undefined) await takeRecord(tx.db, key, now)
  else await putRecord(tx.db, key, hashOf(`${hash}.${retryKey}`), { expiresAtMs: now + RETRY_MS })
}

/** RFC 9700, section 4.14.2: one of two who hold the token is a thief, and nobody can tell which. */
async function refuseReuse(deps: LoginDeps, tx: Tx, login: LoginRow): Promise<Outcome> {
  const live = await liveLogins(tx, login.device)
  await endLogins(deps, tx, live, 'refresh_reused')
  deps.log.warn(
    { tenant: tx.tenant, device: login.device, login: login.id },
    'refresh token reused: logins of the device ended',
  )
  return { refuse: 'this refresh token was used before; all logins of the device have been ended: log in again' }
}

async function whyOver(tx: Tx, login: LoginRow, now: number): Promise<string | undefined> {
  if (login.endedAtMs !== null) return `the login has been ended (${login.endedReason ?? 'ended'}); log in again`
  if (now >= login.endsAtMs) return 'the login is over; log in again'
  const blocked = await tx.db
    .selectFrom('users')
    .innerJoin('devices', join => join.onRef('devices.tenant', '=', 'users.tenant'))
    .select(['users.blocked as user', 'devices.blocked as device'])
    .where('users.tenant', '=', tx.tenant)
    .where('users.id', '=', login.user)
    .where('devices.id', '=', login.device)
    .executeTakeFirst()
  if (blocked === undefined) return 'the user or the device is gone'
  if (blocked.user === 1) return 'you are blocked; ask your administrator'
  return blocked.device === 1 ? 'this device is blocked; ask your administrator' : undefined
}

async function bindDevice(
  deps: LoginDeps,
  tx: Tx,
  user: string,
  { key, jkt }: Proof,
  form: { device_host?: string; device_platform?: string; device_version?: string },
): Promise<DeviceId | undefined> {
  const now = deps.clock.now()
  const id = deviceIdOf(key)
  const known = await tx.db
    .selectFrom('devices')
    .select(['blocked', 'user'])
    .where('tenant', '=', tx.tenant)
    .where('id', '=', id)
    .executeTakeFirst()
  if (known?.blocked === 1) return undefined
  const facts = {
    user,
    host: form.device_host ?? '',
    platform: form.device_platform ?? '',
    version: form.device_version ?? '',
    lastSeenAtMs: now,
  }
  await tx.db
    .insertInto('devices')
    .values({
      tenant: tx.tenant,
      id,
      publicJwk: JSON.stringify(publicJwk(key)),
      jkt,
      blocked: 0,
      createdAtMs: now,
      ...facts,
    })
    .onConflict(conflict => conflict.columns(['tenant', 'id']).doUpdateSet(facts))
    .execute()
  if (known?.user !== user) await deps.audit(tx, deviceBound(await readPerson(tx, user), id, user, known?.user))
  tx.changed({ kind: 'device', id, user })
  return id
}

function newLogin(tenant: string, user: string, device: DeviceId, now: number, seconds: number) {
  const id = randomId()
  const refreshToken = `spr_${id}.${randomSecret()}`
  const row: LoginRow = {
    tenant,
    id,
    user,
    device,
    startedAtMs: now,
    endsAtMs: now + seconds * 1000,
    endedAtMs: null,
    endedReason: null,
    refreshHash: hashOf(refreshToken),
    previousRefreshHash: null,
    refreshCounter: 0,
    refreshedAtMs: now,
  }
  return { row, refreshToken }
}

const readLogin = (tx: Tx, id: string): Promise<LoginRow | undefined> =>
  tx.db.selectFrom('logins').selectAll().where('tenant', '=', tx.tenant).where('id', '=', id).executeTakeFirst()

const liveLogins = (tx: Tx, device: string): Promise<LoginRow[]> =>
  tx.db
    .selectFrom('logins')
    .selectAll()
    .where('tenant', '=', tx.tenant)
    .where('device', '=', device)
    .where('endedAtMs', 'is', null)
    .execute()

const readPerson = (tx: Tx, user: string): Promise<Person> =>
  tx.db
    .selectFrom('users')
    .select(['provider', 'subject', 'email'])
    .where('tenant', '=', tx.tenant)
    .where('id', '=', user)
    .executeTakeFirstOrThrow(() => new Error(`user ${user} has no row`))

async function endLogins(deps: LoginDeps, tx: Tx, logins: LoginRow[], reason: LoginEnd): Promise<void> {
  for (const login of logins) {
    const { id, user, device } = login
    if (login.endedAtMs !== null) continue
    await tx.db
      .updateTable('logins')
      .set({ endedAtMs: deps.clock.now(), endedReason: reason })
      .where('tenant', '=', tx.tenant)
      .where('id', '=', id)
      .execute()
    await deps.audit(tx, loginEnded(await readPerson(tx, user), login, reason))
    await tx.revision()
    tx.changed({ kind: 'login', id, user, device })
  }
}

function answerFor({ deps }: Endpoint, login: LoginRow, jkt: string, refreshToken: string): TokenAnswer {
  const nowMs = deps.clock.now()
  const left = Math.max(1, Math.floor((login.endsAtMs - nowMs) / 1000))
  const lifeSeconds = Math.min(deps.lifetimes.accessTokenSeconds, left)
  const key = deps.signingKeys(login.tenant, 'accessToken').current as Parameters<typeof issueAccessToken>[0]
  const content = { tenant: login.tenant, user: login.user, device: login.device as DeviceId, jkt, login: login.id }
  return {
    access_token: issueAccessToken(key, content, { nowMs, lifeSeconds }),
    token_type: 'DPoP',
    expires_in: lifeSeconds,
    refresh_token: refreshToken,
    controller_url: deps.url,
  }
}

function settle(outcome: Outcome): TokenAnswer {
  if ('answer' in outcome) return outcome.answer
  throw new TokenError('invalid_grant', outcome.refuse)
}

const badForm = ([problem]: { field: string; message: string }[]) =>
  new TokenError('invalid_request', `${problem?.field ?? 'form'} ${problem?.message ?? 'is not as wanted'}`)
