import type { IncomingHttpHeaders } from 'node:http'
import type { TenantConfig } from '@sallyport/schema'
import type { KeyPurpose, Rotation, SigningKey } from '@sallyport/trust'
import type { AuditEntry } from './audit.ts'
import type { DeviceRow, LoginRow, Store, Tx, UserRow } from './store/index.ts'

/** A person as an identity provider asserts it; `email` only where it counts (verified, of the provider's own domains). */
export type AssertedPerson = { provider: string; email: string | undefined; groups: readonly string[] }

/** What `registerLogin` and `authenticateClient` are given. */
export type LoginDeps = {
  store: Store
  /** By name. */
  tenants: ReadonlyMap<string, TenantConfig>
  /** Public URL of the Controller, without a trailing slash. */
  url: string
  /** Life of a login and of an access token. */
  lifetimes: { maxSessionSeconds: number; accessTokenSeconds: number }
  clockLeewaySeconds: number
  /** Keys of a tenant; `accessToken` is the login's. */
  signingKeys(tenant: string, purpose: KeyPurpose): Rotation<SigningKey>
  /** Encrypts what stands in the store and must not be read from a copy of it; `name` (tenant, kind, id) must be the same at `open`. */
  seal(name: string, plaintext: string): string
  /** Throws when `sealed` was made for another name or with another key. */
  open(name: string, sealed: string): string
  /** Whether a Group or the tenant's admins name the person. */
  isInvited(tenant: string, person: AssertedPerson): boolean
  /** Whether the tenant's `admins` or `adminGroups` name the user. */
  isAdmin(tenant: string, user: UserRow): boolean
  /** Appends to the audit log of the transaction's tenant. */
  audit(tx: Tx, entry: AuditEntry): Promise<void>
  clock: { now(): number }
  log: Log
}

/** What of a pino logger is used. */
export type Log = Record<'debug' | 'info' | 'warn' | 'error', (fields: object, message: string) => void>

/**
 * Whom a request speaks for: access token and DPoP proof verified, login neither ended nor past its end, user and device not blocked.
 * `authenticateClient(deps, headers, method, url)` throws an `ApiError` of `error.ts` otherwise.
 */
export type AuthenticatedClient = { tenant: string; user: UserRow; device: DeviceRow; login: LoginRow }

export type AuthenticateClient = (
  headers: IncomingHttpHeaders,
  method: string,
  /** Full URL of the request, as the DPoP proof names it (`htu`); `wss` counts as `https`. */
  url: string,
) => Promise<AuthenticatedClient>
