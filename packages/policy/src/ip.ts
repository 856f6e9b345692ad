// IPv4 and IPv6 addresses and CIDRs as numbers. An IPv4-mapped IPv6 address is the IPv4 address that it maps.

export type Ip = { family: 4 | 6; value: bigint }
export type Cidr = Ip & { prefix: number }

const MAPPED = 0xffffn << 32n
const IPV4_MASK = 0xffff_ffffn
const OCTET = /^(0|[1-9][0-9]{0,2})$/
const GROUP = /^[0-9a-f]{1,4}$/i
const PREFIX = /^(0|[1-9][0-9]{0,2})$/

export const widthOf = (family: 4 | 6): number => (family === 4 ? 32 : 128)

/** Reads an address: dotted decimal without leading zeros, or RFC 4291 text without zone. Undefined for anything else. */
export function parseIp(text: string): Ip | undefined {
  if (!text.includes(':')) {
    const value = parseIpv4(text)
    return value === undefined ? undefined : { family: 4, value }
  }
  const value = parseIpv6(text)
  if (value === undefined) return undefined
  return value >> 32n === MAPPED >> 32n ? { family: 4, value: value & IPV4_MASK } : { family: 6, value }
}

/** Reads `address/prefix`; host bits may be set. Undefined for anything else, an IPv4-mapped address with a prefix below 96 among it. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/')
  const ip = slash < 0 ? undefined : parseIp(text.slice(0, slash))
  if (ip === undefined || !PREFIX.test(text.slice(slash + 1))) return undefined
  const mapped = ip.family === 4 && text.includes(':')
  const prefix = Number(text.slice(slash + 1)) - (mapped ? 96 : 0)
  return prefix < 0 || prefix > widthOf(ip.family) ? undefined : { ...ip, prefix }
}

/** First address of the range that `cidr` lies in. */
export function networkOf({ family, value, prefix }: Cidr): bigint {
  const hostBits = BigInt(widthOf(family) - prefix)
  return (value >> hostBits) << hostBits
}

/** Whether `ip` lies in `cidr`. */
export function contains(cidr: Cidr, ip: Ip): boolean {
  if (cidr.family !== ip.family) return false
  const hostBits = BigInt(widthOf(cidr.family) - cidr.prefix)
  return cidr.value >> hostBits === ip.value >> hostBits
}

/** Whether all of `inner` lies in `outer`. */
export function covers(outer: Cidr, inner: Cidr): boolean {
  return outer.prefix <= inner.prefix && contains(outer, inner)
}

/** Writes an address: dotted decimal, or RFC 5952 text. */
export function formatIp({ family, value }: Ip): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map(shift => String((value >> shift) & 0xffn)).join('.')
  const groups = Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(112 - 16 * index)) & 0xffffn))
  const run = longestZeroRun(groups)
  const text = (part: number[]) => part.map(group => group.toString(16)).join(':')
  if (run === undefined) return text(groups)
  return `${text(groups.slice(0, run.start))}::${text(groups.slice(run.start + run.length))}`
}

export function formatCidr(cidr: Cidr): string {
  return `${formatIp(cidr)}/${cidr.prefix}`
}

function parseIpv4(text: string): bigint | undefined {
  const octets = text.split('.')
  if (octets.length !== 4 || !octets.every(octet => OCTET.test(octet) && Number(octet) < 256)) return undefined
  return octets.reduce((value, octet) => value * 256n + BigInt(octet), 0n)
}

function parseIpv6(text: string): bigint | undefined {
  if (text.length > 45) return undefined
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const [head, tail] = halves.map((half, index) => groupsOf(half, index === halves.length - 1))
  if (head === undefined) return undefined
  if (halves.length === 1) return head.length === 8 ? numberOf(head) : undefined
  if (tail === undefined || head.length + tail.length > 7) return undefined
  return numberOf([...head, ...new Array<bigint>(8 - head.length - tail.length).fill(0n), ...tail])
}

/** Groups of one side of `::`; the last may be IPv4 text where the address ends with it. */
function groupsOf(half: string, isEnd: boolean): bigint[] | undefined {
  if (half === '') return []
  const parts = half.split(':')
  const last = parts.at(-1)!
  const embedded = isEnd && last.includes('.') ? parseIpv4(last) : undefined
  const plain = embedded === undefined ? parts : parts.slice(0, -1)
  if (!plain.every(part => GROUP.test(part))) return undefined
  const groups = plain.map(part => BigInt(`0x${part}`))
  return embedded === undefined ? groups : [...groups, embedded >> 16n, embedded & 0xffffn]
}

function numberOf(groups: bigint[]): bigint {
  return groups.reduce((value, group) => (value << 16n) | group, 0n)
}

/** RFC 5952, section 4.2: the longest run of at least two zero groups, the first among equals. */
function longestZeroRun(groups: number[]): { start: number; length: number } | undefined {
  let best = { start: 0, length: 1 }
  for (let start = 0; start < groups.length; start++) {
    let length = 0
    while (groups[start + length] === 0) length++
    if (length > best.length) best = { start, length }
  }
  return best.length > 1 ? best : undefined
}
