import type { IncomingHttpHeaders } from 'node:http'
import { parser, TenantName, tenantIssuer } from '@sallyport/schema'
import {
  DPOP_LIFE_SECONDS,
  jwksOf,
  ReplayGuard,
  TrustError,
  unverifiedIssuer,
  verifyAccessToken,
  verifyDpopProof,
  verifyKeys,
} from '@sallyport/trust'
import { ApiError, type ApiErrorCode } from '../error.ts'
import type { AuthenticateClient, AuthenticatedClient, LoginDeps } from '../login-seam.ts'

/** Most DPoP proofs remembered at a time; more requests than this in two minutes are refused. */
export const MAX_PROOFS = 200_000

const ISSUER = tenantIssuer('')
const tenantName = parser(TenantName)

/** Makes the check that stands before every request of a Client. It throws {@link ApiError}. */
export function createAuthenticator(deps: LoginDeps): AuthenticateClient {
  const replays = new ReplayGuard(MAX_PROOFS)
  return async (headers, method, url) => {
    const token = bearerOf(headers)
    const tenant = tenantOf(deps, token)
    const { login, jkt } = proved(deps, replays, { headers, method, url, token, tenant })
    return readClient(deps, tenant, login, jkt)
  }
}

function bearerOf(headers: IncomingHttpHeaders): string {
  const token = /^DPoP ([A-Za-z0-9_.-]+)$/i.exec(headers.authorization ?? '')?.[1]
  if (token === undefined) throw new ApiError('unauthenticated', 'want `Authorization: DPoP <access token>`')
  return token
}

/** The token's own word, good for nothing but finding the keys that it is then verified with. */
function tenantOf(deps: LoginDeps, token: string): string {
  const issuer = unverifiedIssuer(token) ?? ''
  const tenant = issuer.startsWith(ISSUER) ? issuer.slice(ISSUER.length) : ''
  if (!tenantName.check(tenant) || !deps.tenants.has(tenant)) throw new ApiError('unauthenticated')
  return tenant
}

type Presented = { headers: IncomingHttpHeaders; method: string; url: string; token: string; tenant: string }

function proved(deps: LoginDeps, replays: ReplayGuard, { headers, method, url, token, tenant }: Presented) {
  const proof = headers.dpop
  if (typeof proof !== 'string') throw new ApiError('unauthenticated', 'want one DPoP header')
  const nowMs = deps.clock.now()
  const clock = { nowMs, leewaySeconds: deps.clockLeewaySeconds }
  try {
    const target = url.replace(/^ws/, 'http')
    const { jkt, jti } = verifyDpopProof(proof, { ...clock, method, url: target, accessToken: token })
    const keys = verifyKeys(jwksOf(deps.signingKeys(tenant, 'accessToken')))
    const claims = verifyAccessToken(token, { ...clock, keys, issuer: tenantIssuer(tenant), jkt })
    const untilMs = nowMs + (DPOP_LIFE_SECONDS + 2 * deps.clockLeewaySeconds) * 1000
    if (!replays.first(jti, untilMs, nowMs)) throw new ApiError('unauthenticated', 'the DPoP proof was used before')
    return { login: claims.login, jkt }
  } catch (cause) {
    if (cause instanceof TrustError) throw new ApiError(apiCodeOf(cause), cause.message, { cause })
    throw cause
  }
}

function apiCodeOf({ code }: TrustError): ApiErrorCode {
  if (code === 'expired') return 'token_expired'
  return code === 'clock_skew' ? 'clock_skew' : 'unauthenticated'
}

async function readClient(deps: LoginDeps, tenant: string, id: string, jkt: string): Promise<AuthenticatedClient> {
  const { db } = deps.store
  const login = await db
    .selectFrom('logins')
    .selectAll()
    .where('tenant', '=', tenant)
    .where('id', '=', id)
    .executeTakeFirst()
  if (login === undefined || login.endedAtMs !== null || deps.clock.now() >= login.endsAtMs) {
    throw new ApiError('login_ended')
  }
  const [user, device] = await Promise.all([
    db.selectFrom('users').selectAll().where('tenant', '=', tenant).where('id', '=', login.user).executeTakeFirst(),
    db.selectFrom('devices').selectAll().where('tenant', '=', tenant).where('id', '=', login.device).executeTakeFirst(),
  ])
  if (user === undefined || device === undefined || device.jkt !== jkt) throw new ApiError('login_ended')
  if (user.blocked === 1) throw new ApiError('blocked', 'the user is blocked; ask an admin')
  if (device.blocked === 1) throw new ApiError('blocked', 'the device is blocked; ask an admin')
  return { tenant, user, device, login }
}
