import { PolicyError } from './error.ts'
import { type Cidr, formatCidr, formatIp, type Ip, networkOf, parseCidr, parseIp, widthOf } from './ip.ts'

/** What a Resource's address means (R1). Names are in lower case, as A-labels, without trailing dot. */
export type Address =
  | { kind: 'ip'; ip: Ip }
  | { kind: 'cidr'; cidr: Cidr }
  | { kind: 'name'; name: string }
  | { kind: 'wildcard'; pattern: string }

/** Where a stream wants to go: an address, or a name in its one spelling. */
export type Host = { kind: 'ip'; ip: Ip } | { kind: 'name'; name: string }

const MAX_NAME = 253
const NAME = /^[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?)*$/
const PATTERN = /^[-a-z0-9_*?]{1,63}(\.[-a-z0-9_*?]{1,63})*$/
/** Resolvers and URL parsers read names that end so as IPv4 addresses in odd notations (`127.1`, `0x7f.1`). */
const NUMERIC_END = /(^|\.)([0-9]+|0x[0-9a-f]*)$/

/** Reads the address of a Resource. Throws PolicyError. */
export function parseAddress(text: string): Address {
  if (text.includes('/')) return parseRange(text)
  const ip = parseIp(text)
  if (ip !== undefined) return { kind: 'ip', ip }
  if (/[*?]/.test(text)) return parseWildcard(text)
  const name = normaliseName(text)
  if (name === undefined) throw new PolicyError('bad_address', `"${text}" is not a DNS name, IP address or CIDR`)
  return { kind: 'name', name }
}

/** Writes an address in its one spelling. */
export function formatAddress(address: Address): string {
  switch (address.kind) {
    case 'ip':
      return formatIp(address.ip)
    case 'cidr':
      return formatCidr(address.cidr)
    case 'name':
      return address.name
    case 'wildcard':
      return address.pattern
  }
}

/** Reads the host of a destination, as an application or a peer names it; an IPv6 address may stand in brackets. Undefined when it is none. */
export function parseHost(text: string): Host | undefined {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text
  const ip = parseIp(bare)
  if (ip !== undefined) return { kind: 'ip', ip }
  const name = normaliseName(bare)
  return name === undefined ? undefined : { kind: 'name', name }
}

/** Writes a host in its one spelling: the form in which hosts are compared, resolved and logged. */
export function formatHost(host: Host): string {
  return host.kind === 'ip' ? formatIp(host.ip) : host.name
}

/** The one spelling of a DNS name: lower case, A-labels, no trailing dot. Undefined when it is not one. */
export function normaliseName(text: string): string | undefined {
  const ascii = toAscii(text)
  if (ascii === undefined) return undefined
  const name = ascii.endsWith('.') ? ascii.slice(0, -1) : ascii
  if (name.length > MAX_NAME || !NAME.test(name) || NUMERIC_END.test(name)) return undefined
  return name
}

/** Whether a name matches a pattern in which `*` is any run of characters and `?` exactly one (R2), but not the character `except`. */
export function matchesPattern(pattern: string, name: string, except?: string): boolean {
  // Greedy with one point to come back to: never more than length x length steps.
  let at = 0
  let seen = 0
  let star = -1
  let resume = 0
  while (seen < name.length) {
    const isOne = pattern[at] === '?' ? name[seen] !== except : pattern[at] === name[seen]
    if (pattern[at] !== '*' && isOne) {
      at++
      seen++
    } else if (pattern[at] === '*') {
      star = at++
      resume = seen
    } else if (star >= 0) {
      at = star + 1
      seen = ++resume
    } else {
      return false
    }
  }
  while (pattern[at] === '*') at++
  return at === pattern.length
}

/** Whether every name that matches `inner` matches `outer`. Says no in doubt. */
export function coversPattern(outer: string, inner: string): boolean {
  // As text: a run in `inner` fits only where `outer` has one.
  return matchesPattern(outer, inner, '*')
}

function parseRange(text: string): Address {
  const cidr = parseCidr(text)
  if (cidr === undefined) throw new PolicyError('bad_address', `"${text}" is not a CIDR`)
  const network = networkOf(cidr)
  if (network !== cidr.value) {
    const meant = formatCidr({ ...cidr, value: network })
    throw new PolicyError(
      'host_bits',
      `"${text}" has host bits set; the range is ${meant}, the address ${formatIp(cidr)}`,
    )
  }
  const { family, value, prefix } = cidr
  return prefix === widthOf(family) ? { kind: 'ip', ip: { family, value } } : { kind: 'cidr', cidr }
}

function parseWildcard(text: string): Address {
  const lower = text.toLowerCase()
  const pattern = lower.endsWith('.') ? lower.slice(0, -1) : lower
  if (pattern.length > MAX_NAME || !PATTERN.test(pattern)) {
    throw new PolicyError('bad_address', `"${text}" is not a wildcard name of letters, digits, dashes, dots, * and ?`)
  }
  // A run of stars is one star: equal patterns have one spelling.
  return { kind: 'wildcard', pattern: pattern.replace(/\*+/g, '*') }
}

function toAscii(text: string): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is all of ASCII
  if (/^[\x00-\x7f]*$/.test(text)) return text.toLowerCase()
  if (text.length > MAX_NAME || /[/\\?#@:%[\]\s]/.test(text)) return undefined
  return URL.parse(`http://${text}/`)?.hostname
}
