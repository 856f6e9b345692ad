import type { AclEntry, ClientAclClaims, ResourceId } from '@sallyport/schema'
import { type Host, parseHost } from './address.ts'
import { type CompiledRule, matchRule, type Protocol, targetOf } from './rule.ts'
import { packUid, unpackUid } from './uid.ts'

/** What a Client ACL grants for one Resource; `endMs` is exclusive. */
export type Grant = { digest: string; endMs?: number }
/** All that one Client ACL grants. */
export type Grants = ReadonlyMap<ResourceId, Grant>

/** Rules of the Connector: the one in force, and any that a Client may still name. */
export type RuleBook = {
  current(resource: ResourceId): { rule: CompiledRule; digest: string } | undefined
  /** The rule, in force or former, that has this digest. */
  named(resource: ResourceId, digest: string): CompiledRule | undefined
}

/** Where a stream wants to go, in the words of its OPEN. */
export type Destination = { resource: ResourceId; host: string; port: number; protocol: Protocol }

/** Names of reset codes. */
export type DenyReason = 'expired' | 'not_granted' | 'acl_mismatch' | 'denied' | 'port_not_granted'

/** `target` is what the Connector resolves or dials; at `endMs` the stream ends. */
export type Decision =
  | { allow: true; rule: CompiledRule; target: Host; endMs: number }
  | { allow: false; reason: DenyReason }

export type Rejudgement = { allow: true; endMs: number } | { allow: false; reason: 'expired' | 'revoked' }

/** Writes an entry of a Client ACL; the end in whole seconds, rounded down. */
export function aclEntry(resource: string, digest: string, endMs?: number): AclEntry {
  return endMs === undefined ? [packUid(resource), digest] : [packUid(resource), digest, Math.floor(endMs / 1000)]
}

/** Reads what a Client ACL grants. */
export function grantsOf(claims: Pick<ClientAclClaims, 'res'>): Grants {
  const grants = new Map<ResourceId, Grant>()
  for (const [packed, digest, end] of claims.res) {
    const resource = unpackUid(packed)
    if (resource !== undefined) grants.set(resource, end === undefined ? { digest } : { digest, endMs: end * 1000 })
  }
  return grants
}

/**
 * Decides whether a Connector forwards a stream: the Client's list must grant the Resource, and both the rule in force and the rule that the
 * list names must allow the destination. The first failing check names the reason; `acl_mismatch` says that the Connector does not know
 * what the list speaks of, and may later.
 */
export function authorize(
  { grants, aclEndMs, rules }: { grants: Grants; aclEndMs: number; rules: RuleBook },
  { resource, host, port, protocol }: Destination,
  nowMs: number,
): Decision {
  if (nowMs >= aclEndMs) return deny('expired')
  const grant = grants.get(resource)
  if (grant === undefined) return deny('not_granted')
  const endMs = Math.min(grant.endMs ?? aclEndMs, aclEndMs)
  if (nowMs >= endMs) return deny('expired')
  const named = rules.named(resource, grant.digest)
  if (named === undefined) return deny('acl_mismatch')
  const current = rules.current(resource)
  if (current === undefined) return deny('not_granted')
  const destination = parseHost(host)
  if (destination === undefined) return deny('denied')
  for (const rule of [current.rule, named]) {
    const reason = matchRule(rule, destination, port, protocol)
    if (reason !== undefined) return deny(reason)
  }
  return { allow: true, rule: current.rule, target: targetOf(current.rule, destination), endMs }
}

/**
 * Judges a live stream again after a change of either list. It ends when its Resource is no longer granted, no longer there, or its rule in
 * force forbids it; never for a digest alone.
 */
export function rejudge(
  { grants, aclEndMs, rules }: { grants: Grants; aclEndMs: number; rules: RuleBook },
  { resource, host, port, protocol }: Destination,
  nowMs: number,
): Rejudgement {
  if (nowMs >= aclEndMs) return { allow: false, reason: 'expired' }
  const grant = grants.get(resource)
  if (grant === undefined) return { allow: false, reason: 'revoked' }
  const endMs = Math.min(grant.endMs ?? aclEndMs, aclEndMs)
  if (nowMs >= endMs) return { allow: false, reason: 'expired' }
  const current = rules.current(resource)
  const destination = parseHost(host)
  const allowed =
    current !== undefined &&
    destination !== undefined &&
    matchRule(current.rule, destination, port, protocol) === undefined
  return allowed ? { allow: true, endMs } : { allow: false, reason: 'revoked' }
}

function deny(reason: DenyReason): Decision {
  return { allow: false, reason }
}
