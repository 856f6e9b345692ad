// Reader of the first flight of TLS (RFC 8446, sections 4.1.2 and 5.1), as far as its server name.
//
//   record     type u8 = 22 | version u16 = 03 xx | length u16 | fragment
//   handshake  type u8 = 1 | length u24 | client hello
//   hello      version u16 | random 32 | session id <u8> | suites <u16> | compressions <u8> | extensions <u16>
//   extension  type u16 | data <u16>;  server_name (0): list <u16> of type u8 = 0, name <u16> (RFC 6066, section 3)

import { WireError } from './error.ts'
import { MAX_CLIENT_HELLO_BYTES } from './limit.ts'
import { checkServerName } from './server-name.ts'

const HANDSHAKE_RECORD = 22
const CLIENT_HELLO = 1
const SERVER_NAME = 0
const HOST_NAME = 0
const RECORD_HEADER = 5
const HANDSHAKE_HEADER = 4
const MAX_FRAGMENT = 16_384

/** Why bytes are not a ClientHello that a Relay reads. */
export type ClientHelloFault = 'not_tls' | 'not_client_hello' | 'too_long' | 'bad_field' | 'bad_server_name'

/** `serverName` is in lower case, undefined when the hello has none; the first `length` bytes are the hello's. */
export type ClientHelloResult =
  | { kind: 'more' }
  | { kind: 'hello'; serverName: string | undefined; length: number }
  | { kind: 'malformed'; code: ClientHelloFault }

/** Reads the ClientHello at the beginning of a connection; asks for `more` until it is whole. Never throws. */
export function readClientHello(bytes: Uint8Array): ClientHelloResult {
  const fragments: Uint8Array[] = []
  let gathered = 0
  let wanted = HANDSHAKE_HEADER
  let at = 0
  while (gathered < wanted) {
    const record = readRecord(bytes, at)
    if (typeof record === 'string') return { kind: 'malformed', code: record }
    if (record === undefined) return { kind: 'more' }
    fragments.push(record)
    gathered += record.length
    at += RECORD_HEADER + record.length
    if (gathered >= HANDSHAKE_HEADER && wanted === HANDSHAKE_HEADER) {
      const head = join(fragments)
      if (head[0] !== CLIENT_HELLO) return { kind: 'malformed', code: 'not_client_hello' }
      wanted += (head[1]! << 16) | (head[2]! << 8) | head[3]!
      if (wanted + RECORD_HEADER > MAX_CLIENT_HELLO_BYTES) return { kind: 'malformed', code: 'too_long' }
    }
  }
  if (at > MAX_CLIENT_HELLO_BYTES) return { kind: 'malformed', code: 'too_long' }
  return parseHello(join(fragments).subarray(HANDSHAKE_HEADER, wanted), at)
}

/** Writes a ClientHello with `serverName`: an envelope that every TLS-aware proxy routes, never to be answered. Throws WireError `bad_server_name`. */
export function encodeClientHello(serverName: string, random: Uint8Array): Uint8Array {
  if (random.length !== 32) throw new TypeError(`random of ${random.length} bytes, want 32`)
  const name = new TextEncoder().encode(checkServerName(serverName))
  const extensions = [
    extension(SERVER_NAME, vector(2, [HOST_NAME, ...vector(2, name)])),
    extension(10, vector(2, [0x00, 0x1d])), // supported_groups: x25519
    extension(13, vector(2, [0x04, 0x03, 0x08, 0x04])), // signature_algorithms: ecdsa_secp256r1_sha256, rsa_pss_rsae_sha256
    extension(43, vector(1, [0x03, 0x04])), // supported_versions: TLS 1.3
    extension(51, vector(2, [0x00, 0x1d, ...vector(2, random)])), // key_share: x25519
  ].flat()
  const hello = [
    0x03,
    0x03,
    ...random,
    0x00,
    ...vector(2, [0x13, 0x01, 0x13, 0x02]),
    0x01,
    0x00,
    ...vector(2, extensions),
  ]
  return Uint8Array.from([HANDSHAKE_RECORD, 0x03, 0x01, ...vector(2, [CLIENT_HELLO, ...vector(3, hello)])])
}

function readRecord(bytes: Uint8Array, at: number): Uint8Array | ClientHelloFault | undefined {
  if (bytes.length > at && bytes[at] !== HANDSHAKE_RECORD) return 'not_tls'
  if (bytes.length > at + 1 && bytes[at + 1] !== 3) return 'not_tls'
  if (bytes.length < at + RECORD_HEADER) return at + RECORD_HEADER > MAX_CLIENT_HELLO_BYTES ? 'too_long' : undefined
  const length = (bytes[at + 3]! << 8) | bytes[at + 4]!
  if (length === 0 || length > MAX_FRAGMENT) return 'not_tls'
  const end = at + RECORD_HEADER + length
  if (end > MAX_CLIENT_HELLO_BYTES) return 'too_long'
  return bytes.length < end ? undefined : bytes.subarray(at + RECORD_HEADER, end)
}

function parseHello(hello: Uint8Array, length: number): ClientHelloResult {
  try {
    return { kind: 'hello', serverName: serverNameOf(hello), length }
  } catch (error) {
    if (error instanceof FieldError) return { kind: 'malformed', code: 'bad_field' }
    if (error instanceof WireError) return { kind: 'malformed', code: 'bad_server_name' }
    throw error
  }
}

function serverNameOf(hello: Uint8Array): string | undefined {
  const fields = new FieldReader(hello)
  if (fields.number(1) !== 3) throw new FieldError('version')
  fields.take(1 + 32)
  fields.vector(1)
  if (fields.vector(2).length === 0) throw new FieldError('cipher suites')
  if (fields.vector(1).length === 0) throw new FieldError('compression methods')
  if (fields.done) return undefined
  const extensions = new FieldReader(fields.vector(2))
  if (!fields.done) throw new FieldError('bytes after the extensions')
  let name: string | undefined
  while (!extensions.done) {
    const type = extensions.number(2)
    const data = extensions.vector(2)
    if (type !== SERVER_NAME) continue
    if (name !== undefined) throw new FieldError('two server names')
    name = hostNameOf(data)
  }
  return name
}

function hostNameOf(data: Uint8Array): string {
  const fields = new FieldReader(data)
  const list = new FieldReader(fields.vector(2))
  if (!fields.done || list.number(1) !== HOST_NAME) throw new FieldError('server name list')
  const name = list.vector(2)
  if (!list.done) throw new FieldError('two server names')
  return checkServerName(String.fromCharCode(...name.subarray(0, 1024)))
}

/** A field of the hello ends before its length says, or has a value that it cannot have. */
class FieldError extends Error {}

class FieldReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at === this.#bytes.length
  }

  take(length: number): Uint8Array {
    const end = this.#at + length
    if (end > this.#bytes.length) throw new FieldError('truncated')
    const taken = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return taken
  }

  number(width: number): number {
    return this.take(width).reduce((value, byte) => value * 256 + byte, 0)
  }

  vector(width: number): Uint8Array {
    return this.take(this.number(width))
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}

function vector(width: 1 | 2 | 3, body: ArrayLike<number>): number[] {
  const length = body.length
  return [...[length >> 16, length >> 8, length].slice(3 - width).map(byte => byte & 255), ...Array.from(body)]
}

function extension(type: number, data: number[]): number[] {
  return [type >> 8, type & 255, ...vector(2, data)]
}
