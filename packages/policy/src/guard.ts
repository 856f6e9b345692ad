import { type Cidr, contains, type Ip, parseCidr, parseIp } from './ip.ts'
import type { CompiledRule } from './rule.ts'

/** What the destination guard keeps closed beside the Connector's own addresses. */
const GUARDED = cidrs([
  '0.0.0.0/8', // this network: 0.0.0.0 is answered by the machine itself
  '127.0.0.0/8', // loopback
  '169.254.0.0/16', // link-local, metadata of most clouds
  '100.100.100.200/32', // metadata of Alibaba Cloud
  '224.0.0.0/4', // multicast
  '255.255.255.255/32', // broadcast
  '::/128', // unspecified
  '::1/128', // loopback
  'fe80::/10', // link-local
  'fd00:ec2::254/128', // metadata of AWS
  'ff00::/8', // multicast
])

/** IPv6 prefixes with an IPv4 address inside, and how far to shift right for its last bit. IPv4-mapped ones are IPv4 already. */
const EMBEDDING: { range: Cidr; shifts: bigint[] }[] = [
  { range: cidr('::/96'), shifts: [0n] }, // IPv4-compatible (RFC 4291, section 2.5.5.1)
  { range: cidr('::ffff:0:0:0/96'), shifts: [0n] }, // IPv4-translated (RFC 2765)
  { range: cidr('64:ff9b::/96'), shifts: [0n] }, // NAT64 (RFC 6052)
  { range: cidr('64:ff9b:1::/48'), shifts: [0n] }, // NAT64 of the local network (RFC 8215); its /96 form
  { range: cidr('2002::/16'), shifts: [80n] }, // 6to4 (RFC 3056)
]

export type GuardContext = {
  /** The network's `guardExceptions`. */
  exceptions: readonly Cidr[]
  /** Addresses of the Connector itself. */
  ownAddresses: readonly Ip[]
  /** Rule of the Resource that the stream is for. */
  rule: CompiledRule
}

export type GuardVerdict = { allow: true } | { allow: false; reason: 'guarded_address' }

const DENIED: GuardVerdict = { allow: false, reason: 'guarded_address' }

/** Reads `guardExceptions`; entries that are no CIDR open nothing. */
export function parseExceptions(texts: readonly string[]): Cidr[] {
  return texts.map(parseCidr).filter(range => range !== undefined)
}

/**
 * Decides whether the Connector may dial `address` (R8): a guarded one only where the Resource's own address is that very address, or the
 * network's owner has excepted it. What is not an address is denied.
 */
export function guardAddress(address: string, { exceptions, ownAddresses, rule }: GuardContext): GuardVerdict {
  const ip = parseIp(address)
  if (ip === undefined) return DENIED
  if (!isGuarded(ip, ownAddresses)) return { allow: true }
  const named = rule.address.kind === 'ip' && isSame(rule.address.ip, ip)
  return named || exceptions.some(range => contains(range, ip)) ? { allow: true } : DENIED
}

function isGuarded(ip: Ip, ownAddresses: readonly Ip[]): boolean {
  return [ip, ...embeddedIn(ip)].some(
    form => GUARDED.some(range => contains(range, form)) || ownAddresses.some(own => isSame(own, form)),
  )
}

function embeddedIn(ip: Ip): Ip[] {
  return EMBEDDING.filter(({ range }) => contains(range, ip)).flatMap(({ shifts }) =>
    shifts.map(shift => ({ family: 4 as const, value: (ip.value >> shift) & 0xffff_ffffn })),
  )
}

function isSame(a: Ip, b: Ip): boolean {
  return a.family === b.family && a.value === b.value
}

function cidrs(texts: string[]): Cidr[] {
  return texts.map(cidr)
}

function cidr(text: string): Cidr {
  const parsed = parseCidr(text)
  if (parsed === undefined) throw new TypeError(`"${text}" is not a CIDR`)
  return parsed
}
