import { type KeyObject, sign, verify } from 'node:crypto'
import type { Parser, PublicJwk } from '@sallyport/schema'
import { fromBase64Url, toBase64Url } from './bytes.ts'
import { TrustError, type TrustErrorCode } from './error.ts'
import { publicKeyFromJwk } from './key.ts'
import type { SigningKey, VerifyKeys } from './signing-key.ts'

// Compact JWS (RFC 7515) with ES256 and nothing else, synchronous: a signature takes a quarter of the time that it takes through
// WebCrypto, and two ACLs that arrive one after the other are never judged the other way round.

/** Leeway on `iat`, `nbf` and `exp` unless configured otherwise. */
export const CLOCK_LEEWAY_SECONDS = 30
/** Longest compact JWS that is read. */
export const MAX_TOKEN_CHARACTERS = 4 * 1024 * 1024
const MAX_HEADER_CHARACTERS = 1024
const ALGORITHM = 'ES256'
const SIGNATURE_BYTES = 64

/** Against which time a token is judged. */
export type ClockCheck = { nowMs: number; leewaySeconds?: number }

/** All that a verification names; nothing of it is taken from the token. */
export type Expected<T> = ClockCheck & {
  type: string
  issuer?: string
  audience?: string
  /** Longest life from `iat` to `exp` that is believed. */
  maxLifeSeconds?: number
  claims: Parser<T>
}

type Times = { iat: number; nbf?: number; exp?: number }
type Header = { alg: unknown; typ: unknown; kid: unknown; jwk: unknown }
type Parts = { header: Header; payload: Uint8Array; signature: Uint8Array; signed: Uint8Array }

/** Signs `claims` with a tenant's key. */
export function signWithKey(type: string, claims: object, { kid, privateKey }: SigningKey): string {
  return signCompact({ alg: ALGORITHM, typ: type, kid }, claims, privateKey)
}

/** Signs `claims` with a key that travels in the header: a proof of that key. */
export function signWithJwk(type: string, claims: object, privateKey: KeyObject, jwk: PublicJwk): string {
  return signCompact({ alg: ALGORITHM, typ: type, jwk }, claims, privateKey)
}

/** Verifies a token signed with one of `keys`. Throws TrustError. */
export function verifyWithKeys<T>(token: string, keys: VerifyKeys, expected: Expected<T>): T {
  const parts = takeApart(token, expected.type)
  const key = typeof parts.header.kid === 'string' ? keys.get(parts.header.kid) : undefined
  if (key === undefined) throw new TrustError('unknown_key', `${expected.type} signed with no key trusted here`)
  return verifyParts(parts, key, expected)
}

/** Verifies a proof of the key that stands in its header, and returns that key. Throws TrustError. */
export function verifyWithJwk<T>(token: string, expected: Expected<T>): { claims: T; key: KeyObject } {
  const parts = takeApart(token, expected.type)
  const key = publicKeyFromJwk(parts.header.jwk)
  return { claims: verifyParts(parts, key, expected), key }
}

/** Reads `iss` of a token that is not verified: to find the keys of its tenant, and for nothing else. Undefined when there is none. */
export function unverifiedIssuer(token: string): string | undefined {
  const parts = split(token)
  const claims = parts === undefined ? undefined : parseObject(parts.payload)
  return typeof claims?.iss === 'string' ? claims.iss : undefined
}

function signCompact(header: object, claims: object, privateKey: KeyObject): string {
  const signed = `${encodeJson(header)}.${encodeJson(claims)}`
  const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${signed}.${toBase64Url(signature)}`
}

function encodeJson(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function takeApart(token: string, type: string): Parts {
  const parts = split(token)
  if (parts === undefined) throw new TrustError('malformed', `${type} is not a compact JWS`)
  if (parts.header.alg !== ALGORITHM) throw new TrustError('wrong_algorithm', `token not signed with ${ALGORITHM}`)
  if (parts.header.typ !== type) throw new TrustError('wrong_type', `token of another type, want ${type}`)
  return parts
}

function split(token: string): Parts | undefined {
  if (typeof token !== 'string' || token.length > MAX_TOKEN_CHARACTERS) return undefined
  const first = token.indexOf('.')
  const last = token.lastIndexOf('.')
  if (first <= 0 || first > MAX_HEADER_CHARACTERS || last === first || token.indexOf('.', first + 1) !== last) {
    return undefined
  }
  const header = fromBase64Url(token.slice(0, first))
  const payload = fromBase64Url(token.slice(first + 1, last))
  const signature = fromBase64Url(token.slice(last + 1))
  const members = header === undefined ? undefined : parseObject(header)
  if (members === undefined || payload === undefined || signature === undefined) return undefined
  // RFC 7515, section 4.1.11: extensions that must be understood; none are.
  if ('crit' in members || 'b64' in members) return undefined
  const { alg, typ, kid, jwk } = members
  return { header: { alg, typ, kid, jwk }, payload, signature, signed: Buffer.from(token.slice(0, last), 'latin1') }
}

function verifyParts<T>(parts: Parts, key: KeyObject, expected: Expected<T>): T {
  const fits =
    parts.signature.length === SIGNATURE_BYTES &&
    verify('sha256', parts.signed, { key, dsaEncoding: 'ieee-p1363' }, parts.signature)
  if (!fits) throw new TrustError('bad_signature', `signature of ${expected.type} does not fit`)
  return judgeClaims(parts.payload, expected)
}

/** Judges the claims of a token whose signature has been verified. Throws TrustError. */
export function judgeClaims<T>(payload: Uint8Array, expected: Expected<T>): T {
  const { type, issuer, audience } = expected
  const claims = parseObject(payload)
  if (claims === undefined) throw new TrustError('bad_claims', `claims of ${type} are not an object`)
  const refuse = (code: TrustErrorCode, what: string) => new TrustError(code, `${type} ${what}`)
  const other = (claim: unknown, wanted: string | undefined) => typeof claim === 'string' && claim !== wanted
  if (issuer !== undefined && other(claims.iss, issuer)) throw refuse('wrong_issuer', 'of another issuer')
  if (audience !== undefined && other(claims.aud, audience)) throw refuse('wrong_audience', 'for another audience')
  if (!expected.claims.check(claims)) throw refuse('bad_claims', problemText(expected.claims.problems(claims)))
  checkTimes(type, claims as unknown as Times, expected)
  return claims
}

function problemText(problems: { field: string; message: string }[]): string {
  const [first] = problems
  return first === undefined ? 'with bad claims' : `whose claim ${first.field} ${first.message}`
}

function checkTimes<T>(type: string, times: Times, expected: Expected<T>): void {
  const { nowMs, leewaySeconds = CLOCK_LEEWAY_SECONDS, maxLifeSeconds } = expected
  const now = nowMs / 1000
  const start = Math.max(times.iat, times.nbf ?? times.iat)
  // Both sides come from clocks, so a start beyond the leeway names the clocks and not the token.
  if (start > now + leewaySeconds) {
    throw new TrustError('clock_skew', `${type} starts ${Math.ceil(start - now)} s from now: a clock is wrong`)
  }
  const life = Math.min(times.exp === undefined ? Infinity : times.exp - times.iat, maxLifeSeconds ?? Infinity)
  const end = times.iat + life
  if (now >= end + leewaySeconds) {
    throw new TrustError('expired', `${type} expired ${Math.floor(now - end)} s ago`)
  }
}

function parseObject(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    const isObject = value !== null && typeof value === 'object' && !Array.isArray(value)
    return isObject ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
