// SOCKS version 5 (RFC 1928), server side, CONNECT only.

/** Longest greeting and request together: 2 + 255 bytes, then 4 + 1 + 255 + 2. */
export const MAX_SOCKS_BYTES = 519

const VERSION = 5
const NO_AUTHENTICATION = 0
const NONE_ACCEPTABLE = 0xff
const CONNECT = 1
const IPV4 = 1
const NAME = 3
const IPV6 = 4

/** Reply field (RFC 1928, section 6). */
export const SocksReply = {
  succeeded: 0,
  failure: 1,
  notAllowed: 2,
  networkUnreachable: 3,
  hostUnreachable: 4,
  refused: 5,
  ttlExpired: 6,
  commandNotSupported: 7,
  addressNotSupported: 8,
} as const
export type SocksReply = (typeof SocksReply)[keyof typeof SocksReply]

/** Answer to a greeting: no authentication, the listener is loopback only. */
export const SOCKS_METHOD = Uint8Array.of(VERSION, NO_AUTHENTICATION)
/** Answer to a greeting without an acceptable method. */
export const SOCKS_NO_METHOD = Uint8Array.of(VERSION, NONE_ACCEPTABLE)

/** Writes a reply; the bound address is not told, it is the Connector's. */
export const encodeSocksReply = (reply: SocksReply): Uint8Array =>
  Uint8Array.of(VERSION, reply, 0, IPV4, 0, 0, 0, 0, 0, 0)

/** What the bytes so far come to. `length` counts the bytes that were read. */
export type SocksRead<T> =
  | { kind: 'more' }
  | ({ kind: 'done'; length: number } & T)
  | { kind: 'malformed'; reply?: SocksReply }

/** Reads a greeting: `accepted` when it offers to go on without authentication. */
export function readSocksGreeting(bytes: Uint8Array): SocksRead<{ accepted: boolean }> {
  if (bytes.length > 0 && bytes[0] !== VERSION) return { kind: 'malformed' }
  if (bytes.length < 2) return { kind: 'more' }
  const length = 2 + bytes[1]!
  if (length === 2) return { kind: 'malformed' }
  if (bytes.length < length) return { kind: 'more' }
  return { kind: 'done', length, accepted: bytes.subarray(2, length).includes(NO_AUTHENTICATION) }
}

/** Reads a request. */
export function readSocksRequest(bytes: Uint8Array): SocksRead<{ host: string; port: number }> {
  if (bytes.length > 0 && bytes[0] !== VERSION) return { kind: 'malformed', reply: SocksReply.failure }
  if (bytes.length > 1 && bytes[1] !== CONNECT) return { kind: 'malformed', reply: SocksReply.commandNotSupported }
  if (bytes.length < 5) return { kind: 'more' }
  const type = bytes[3]
  const addressLength = type === IPV4 ? 4 : type === IPV6 ? 16 : type === NAME ? 1 + bytes[4]! : undefined
  if (addressLength === undefined) return { kind: 'malformed', reply: SocksReply.addressNotSupported }
  const length = 4 + addressLength + 2
  if (bytes.length < length) return { kind: 'more' }
  const address = bytes.subarray(4, 4 + addressLength)
  const port = (bytes[length - 2]! << 8) | bytes[length - 1]!
  const host = hostOf(address, type!)
  if (host === undefined || port === 0) return { kind: 'malformed', reply: SocksReply.failure }
  return { kind: 'done', length, host, port }
}

function hostOf(address: Uint8Array, type: number): string | undefined {
  if (type === IPV4) return address.join('.')
  if (type === IPV6) {
    const groups = Array.from({ length: 8 }, (_, index) =>
      ((address[2 * index]! << 8) | address[2 * index + 1]!).toString(16),
    )
    return groups.join(':')
  }
  const name = Buffer.from(address.subarray(1)).toString('latin1')
  return /^[\x21-\x7e]+$/.test(name) ? name : undefined
}
