import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { equalSecrets, randomSecret } from '@sallyport/trust'
import type { LoginDeps } from '../login-seam.ts'
import { readJson, type Tx, type UserRow } from '../store/index.ts'
import { loginRefused, type Person } from './audit.ts'
import type { AuthorizeRequest } from './authorize-request.ts'
import { LoginError } from './error.ts'
import { type Identity, judgeIdentity } from './identity.ts'
import { makeRoom, putRecord, takeRecord } from './record.ts'
import type { LoginTenant } from './tenant.ts'

/** How long a person may take at the provider. */
const AUTHORIZE_MS = 10 * 60_000
/** How long a code may take to the token endpoint. */
const CODE_MS = 60_000

/** A login between the way to the provider and the way back. */
type Pending = {
  provider: string
  redirectUri: string
  clientState: string
  codeChallenge: string
  jkt: string
  nonce: string
  codeVerifier: string
  browserHash: string
}

/** What a code stands for. */
export type CodeGrant = { user: string; jkt: string; codeChallenge: string; redirectUri: string }

/** Where a login goes back to, known before it has ended well. */
export type Returning = { redirectUri: string; clientState: string }

/** SHA-256, base64url: how secrets of a login are kept. */
export const hashOf = (text: string): string => createHash('sha256').update(text).digest('base64url')

/** Sends the browser to `provider`: keeps the request and gives the URL and the secret that this browser alone holds. */
export async function beginLogin(
  deps: LoginDeps,
  tenant: LoginTenant,
  request: AuthorizeRequest,
  provider: string,
): Promise<{ location: string; state: string; browserSecret: string }> {
  const client = await tenant.client(provider)
  if (client === undefined) throw new LoginError('unknown_provider', `no provider "${provider}"`)
  const state = randomSecret()
  const browserSecret = randomSecret()
  const codeVerifier = randomSecret()
  // The provider signs this hash, so its token proves which device key it was asked for.
  const nonce = hashOf(`${request.jkt}.${randomBytes(32).toString('base64url')}`)
  const location = await client.begin(tenant.callbackUrl, { state, nonce, codeVerifier })
  const pending: Pending = {
    provider,
    redirectUri: request.redirectUri,
    clientState: request.state,
    codeChallenge: request.codeChallenge,
    jkt: request.jkt,
    nonce,
    codeVerifier,
    browserHash: hashOf(browserSecret),
  }
  const id = hashOf(state)
  await makeRoom(deps.store.db, tenant.name)
  await putRecord(
    deps.store.db,
    { tenant: tenant.name, kind: 'authorize', id },
    deps.seal(`${tenant.name}/authorize/${id}`, JSON.stringify(pending)),
    { expiresAtMs: deps.clock.now() + AUTHORIZE_MS },
  )
  return { location, state, browserSecret }
}

/** Takes up the login that `state` names, once, and only in the browser that began it. Throws {@link LoginError}. */
export async function takePending(
  deps: LoginDeps,
  tenant: LoginTenant,
  state: string | undefined,
  browserSecret: string | undefined,
): Promise<Pending> {
  if (state === undefined || state.length > 200) throw new LoginError('bad_state', 'the answer carries no state')
  const id = hashOf(state)
  const sealed = await takeRecord(deps.store.db, { tenant: tenant.name, kind: 'authorize', id }, deps.clock.now())
  if (sealed === undefined) throw new LoginError('bad_state', 'no login with this state is under way')
  const pending = readJson<Pending>(deps.open(`${tenant.name}/authorize/${id}`, sealed))
  if (browserSecret === undefined || !equalSecrets(hashOf(browserSecret), pending.browserHash)) {
    throw new LoginError('bad_state', 'the login was begun in another browser')
  }
  return pending
}

/** Believes the provider's answer, or not, and gives the code for the Client. Throws {@link LoginError}. */
export async function finishLogin(
  deps: LoginDeps,
  tenant: LoginTenant,
  pending: Pending,
  callback: URL,
  state: string,
): Promise<string> {
  const client = await tenant.client(pending.provider)
  const provider = tenant.providers.find(({ name }) => name === pending.provider)
  if (client === undefined || provider === undefined) {
    throw new LoginError('unknown_provider', `no provider "${pending.provider}"`)
  }
  const claims = await client.finish(callback, { state, nonce: pending.nonce, codeVerifier: pending.codeVerifier })
  const identity = judgeIdentity(provider, claims)
  if (identity === undefined) throw new LoginError('bad_answer', 'the provider names no usable subject')
  const user = await deps.store
    .withTransaction(tenant.name, tx => bindUser(deps, tx, identity))
    .catch(error => refuse(deps, tenant, { ...identity, email: identity.email ?? '' }, pending.jkt, error))
  const code = randomSecret()
  const grant: CodeGrant = {
    user: user.id,
    jkt: pending.jkt,
    codeChallenge: pending.codeChallenge,
    redirectUri: pending.redirectUri,
  }
  await putRecord(deps.store.db, { tenant: tenant.name, kind: 'code', id: hashOf(code) }, JSON.stringify(grant), {
    expiresAtMs: deps.clock.now() + CODE_MS,
  })
  return code
}

/** The refusal has undone its transaction, so it is noted in another. */
async function refuse(
  deps: LoginDeps,
  { name }: LoginTenant,
  person: Person,
  jkt: string,
  error: unknown,
): Promise<never> {
  if (error instanceof LoginError) {
    const { code } = error
    await deps.store.withTransaction(name, tx => deps.audit(tx, loginRefused(person, jkt, code)))
  }
  throw error
}

async function bindUser(deps: LoginDeps, tx: Tx, identity: Identity): Promise<UserRow> {
  const { provider, subject, email = '', groups } = identity
  const known = await tx.db
    .selectFrom('users')
    .selectAll()
    .where('tenant', '=', tx.tenant)
    .where('provider', '=', provider)
    .where('subject', '=', subject)
    .executeTakeFirst()
  if (known?.blocked === 1) throw new LoginError('user_blocked', 'an administrator has blocked this person')
  if (email !== '' && email !== known?.email) await refuseTakenEmail(tx, email, known?.id)
  if (known === undefined && !deps.isInvited(tx.tenant, { provider, email: identity.email, groups })) {
    throw new LoginError(
      identity.emailProblem ?? 'not_invited',
      `no Group names this person (${identity.email ?? 'no e-mail that counts'}, provider "${provider}")`,
    )
  }
  const now = deps.clock.now()
  const facts = { email, emailVerified: email === '' ? 0 : 1, groups: JSON.stringify(groups) } as const
  if (known !== undefined) {
    const moved = known.email !== facts.email || known.groups !== facts.groups
    await tx.db
      .updateTable('users')
      .set({ ...facts, lastLoginAtMs: now })
      .where('tenant', '=', tx.tenant)
      .where('id', '=', known.id)
      .execute()
    if (moved) await noteUser(tx, known.id)
    return { ...known, ...facts, lastLoginAtMs: now }
  }
  const user: UserRow = {
    tenant: tx.tenant,
    id: randomUUID(),
    provider,
    subject,
    ...facts,
    blocked: 0,
    createdAtMs: now,
    lastLoginAtMs: now,
  }
  await tx.db.insertInto('users').values(user).execute()
  await noteUser(tx, user.id)
  return user
}

/** An e-mail belongs to the first subject that it was believed of: a second provider cannot speak for the first one's people. */
async function refuseTakenEmail(tx: Tx, email: string, self: string | undefined): Promise<void> {
  const others = await tx.db
    .selectFrom('users')
    .select('id')
    .where('tenant', '=', tx.tenant)
    .where('email', '=', email)
    .execute()
  if (others.some(({ id }) => id !== self)) {
    throw new LoginError('email_taken', 'another person with this e-mail address is known')
  }
}

async function noteUser(tx: Tx, id: string): Promise<void> {
  await tx.revision()
  tx.changed({ kind: 'user', id })
}
