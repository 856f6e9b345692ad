import { createHash } from 'node:crypto'
import { canonicalJson, type PortPolicy, type PortRange, type Protocols, type ResourceRule } from '@sallyport/schema'
import { type Address, formatAddress, type Host, matchesPattern, normaliseName, parseAddress } from './address.ts'
import { PolicyError } from './error.ts'
import { contains } from './ip.ts'

export type Protocol = 'tcp' | 'udp' | 'icmp'
/** A rule with every protocol written out: what is digested and compared. */
export type NormalRule = ResourceRule & { protocols: Required<Protocols> }
/** A rule ready for matching. */
export type CompiledRule = { address: Address; names: readonly string[]; protocols: Required<Protocols> }

/** Address, aliases and protocols as someone declares them. */
export type Declaration = { address: string; aliases?: readonly string[]; protocols?: Protocols }

/** Why a destination does not belong to a rule. */
export type MatchReason = 'denied' | 'port_not_granted'

const DIGEST_BYTES = 16
const MAX_PORT = 65_535

/**
 * Brings what a Resource declares into its one spelling: address and aliases as {@link parseAddress} writes them, aliases sorted and without the
 * address, every protocol present, port ranges sorted and joined. Idempotent. Throws PolicyError.
 */
export function normaliseRule(spec: Declaration): NormalRule {
  return normalise(spec).rule
}

/** Rule digest: first 16 bytes of SHA-256 of the canonical JSON (RFC 8785) of the normalised rule, base64url. Throws PolicyError. */
export function ruleDigest(rule: ResourceRule): string {
  const { address, aliases, protocols } = normaliseRule(rule)
  const hash = createHash('sha256').update(canonicalJson({ address, aliases, protocols })).digest()
  return hash.subarray(0, DIGEST_BYTES).toString('base64url')
}

/** Prepares a rule for matching. Throws PolicyError. */
export function compileRule(rule: ResourceRule): CompiledRule {
  const { rule: normal, address } = normalise(rule)
  const names = address.kind === 'name' ? [address.name, ...normal.aliases] : normal.aliases
  return { address, names, protocols: normal.protocols }
}

/** The first check that keeps a destination out of a rule; undefined when it belongs to it. `port` counts for nothing with ICMP. */
export function matchRule(rule: CompiledRule, host: Host, port: number, protocol: Protocol): MatchReason | undefined {
  if (!matchesHost(rule, host)) return 'denied'
  return allowsPort(rule.protocols, port, protocol) ? undefined : 'port_not_granted'
}

/** Whether a rule is about `host`. */
export function matchesHost({ address, names }: CompiledRule, host: Host): boolean {
  if (host.kind === 'name') {
    if (names.includes(host.name)) return true
    return address.kind === 'wildcard' && matchesPattern(address.pattern, host.name)
  }
  if (address.kind === 'ip') return address.ip.family === host.ip.family && address.ip.value === host.ip.value
  return address.kind === 'cidr' && contains(address.cidr, host.ip)
}

/** What the Connector resolves or dials for `host`: the Resource's address where `host` is an alias, else `host` itself. */
export function targetOf({ address, names }: CompiledRule, host: Host): Host {
  if (host.kind === 'ip' || !names.includes(host.name)) return host
  return address.kind === 'name' || address.kind === 'ip' ? address : host
}

/** Whether protocols allow a port (R5). */
export function allowsPort(protocols: Protocols, port: number, protocol: Protocol): boolean {
  if (protocol === 'icmp') return (protocols.icmp ?? 'Allow') === 'Allow'
  if (!Number.isInteger(port) || port < 1 || port > MAX_PORT) return false
  const { policy, ports = [] } = protocols[protocol] ?? { policy: 'AllowAll' }
  switch (policy) {
    case 'AllowAll':
      return true
    case 'Restricted':
      return ports.some(({ start, end }) => start <= port && port <= end)
    case 'DenyAll':
      return false
  }
}

function normalise(spec: Declaration): { rule: NormalRule; address: Address } {
  const parsed = parseAddress(spec.address)
  const address = formatAddress(parsed)
  const aliases = new Set((spec.aliases ?? []).map(normaliseAlias))
  aliases.delete(address)
  if (aliases.size > 0 && (parsed.kind === 'wildcard' || parsed.kind === 'cidr')) {
    throw new PolicyError('alias_without_target', `"${address}" is many destinations, so it can have no alias`)
  }
  const { tcp, udp, icmp } = spec.protocols ?? {}
  const protocols = { tcp: normalisePorts('tcp', tcp), udp: normalisePorts('udp', udp), icmp: icmp ?? 'Allow' }
  return { rule: { address, aliases: [...aliases].sort(), protocols }, address: parsed }
}

function normaliseAlias(alias: string): string {
  const name = normaliseName(alias)
  if (name === undefined) throw new PolicyError('bad_alias', `alias "${alias}" is not an exact DNS name`)
  return name
}

function normalisePorts(protocol: string, declared: PortPolicy | undefined): PortPolicy {
  if (declared === undefined || declared.policy === 'AllowAll') return { policy: 'AllowAll' }
  if (declared.policy === 'DenyAll') return { policy: 'DenyAll' }
  const ports = joinRanges(protocol, declared.ports ?? [])
  const [first] = ports
  if (first === undefined) return { policy: 'DenyAll' }
  return first.start === 1 && first.end === MAX_PORT ? { policy: 'AllowAll' } : { policy: 'Restricted', ports }
}

function joinRanges(protocol: string, ranges: readonly PortRange[]): PortRange[] {
  const joined: PortRange[] = []
  for (const { start, end } of [...ranges].sort((a, b) => a.start - b.start)) {
    if (end < start) throw new PolicyError('bad_ports', `${protocol} ports ${start} to ${end} end before they start`)
    const last = joined.at(-1)
    if (last !== undefined && start <= last.end + 1) last.end = Math.max(last.end, end)
    else joined.push({ start, end })
  }
  return joined
}
