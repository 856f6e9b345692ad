/** The bits of an address, most significant first. */
type Bits = { width: 32 | 128; bits: bigint }

const OCTET = /^(0|[1-9][0-9]{0,2})$/
const GROUP = /^[0-9a-f]{1,4}$/i

/** Whether `text` is an IP address as the API server reads it: no leading zeros, no zone, no IPv4-mapped IPv6. */
export function isIp(text: string): boolean {
  return parseBits(text) !== undefined
}

/** Whether `text` is a CIDR as the API server reads it; host bits may be set. */
export function isCidr(text: string): boolean {
  return parseRange(text) !== undefined
}

/** Whether `text` is a CIDR whose host bits are all zero. */
export function isNetwork(text: string): boolean {
  const range = parseRange(text)
  return range !== undefined && (range.bits & ((1n << BigInt(range.width - range.prefix)) - 1n)) === 0n
}

function parseRange(text: string): (Bits & { prefix: number }) | undefined {
  const slash = text.indexOf('/')
  const address = slash < 0 ? undefined : parseBits(text.slice(0, slash))
  const prefix = text.slice(slash + 1)
  if (address === undefined || !OCTET.test(prefix) || Number(prefix) > address.width) return undefined
  return { ...address, prefix: Number(prefix) }
}

function parseBits(text: string): Bits | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text)
}

function parseIpv4(text: string): Bits | undefined {
  const octets = text.split('.')
  if (octets.length !== 4 || !octets.every(octet => OCTET.test(octet) && Number(octet) < 256)) return undefined
  return { width: 32, bits: octets.reduce((sum, octet) => (sum << 8n) | BigInt(octet), 0n) }
}

function parseIpv6(text: string): Bits | undefined {
  const halves = text.split('::')
  if (text.length > 45 || halves.length > 2) return undefined
  const [head, tail] = halves.map((half, index) => groupsOf(half, index === halves.length - 1))
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined
  const missing = 8 - head.length - (tail?.length ?? 0)
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined
  const groups = [...head, ...new Array<bigint>(missing).fill(0n), ...(tail ?? [])]
  const bits = groups.reduce((sum, group) => (sum << 16n) | group, 0n)
  return bits >> 32n === 0xffffn ? undefined : { width: 128, bits }
}

function groupsOf(half: string, isEnd: boolean): bigint[] | undefined {
  if (half === '') return []
  const parts = half.split(':')
  const last = parts.at(-1)!
  const embedded = isEnd && last.includes('.') ? parseIpv4(last) : undefined
  const plain = embedded === undefined ? parts : parts.slice(0, -1)
  if (!plain.every(part => GROUP.test(part))) return undefined
  const groups = plain.map(part => BigInt(`0x${part}`))
  return embedded === undefined ? groups : [...groups, embedded.bits >> 16n, embedded.bits & 0xffffn]
}
