// JSON bodies of HELLO, READY and OPEN. Members that are not known are ignored.

import { WireError } from './error.ts'
import { MAX_HOST, MAX_STREAMS, PROTOCOL_VERSION } from './limit.ts'

/** First frame of a Client on every carrier. */
export type Hello = {
  version: number
  /** Random id of the Client process, base64url. */
  instance: string
  /** Session to resume; absent for a new one. */
  session?: string
  /** Sequenced frames received in the session so far. */
  received: number
  /** SHA-256 of the Client ACL, base64url. */
  aclHash: string
}

/** First frame of a Connector on every carrier. */
export type Ready = {
  version: number
  session: string
  received: number
  /** Whether the Client is to send its ACL. */
  acl: 'wanted' | 'known'
  limits: { streams: number }
}

export type StreamProtocol = 'tcp' | 'udp' | 'icmp'

/** What a Client asks for with OPEN. */
export type OpenRequest = {
  /** UID of the Resource. */
  resource: string
  host: string
  /** 0 for icmp. */
  port: number
  protocol: StreamProtocol
}

const ID = /^[A-Za-z0-9_-]{16,64}$/
const HASH = /^[A-Za-z0-9_-]{43}$/
const UID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const HOST = /^[\x21-\x7e]+$/

/** Reads the body of a HELLO. Throws WireError. */
export function parseHello(body: Uint8Array): Hello {
  const json = parseJson('HELLO', body)
  const version = integer('HELLO', json, 'version', 1, Number.MAX_SAFE_INTEGER)
  const hello = {
    version: Math.min(version, PROTOCOL_VERSION),
    instance: text('HELLO', json, 'instance', ID),
    received: integer('HELLO', json, 'received', 0, Number.MAX_SAFE_INTEGER),
    aclHash: text('HELLO', json, 'aclHash', HASH),
  }
  return json.session === undefined ? hello : { ...hello, session: text('HELLO', json, 'session', ID) }
}

/** Reads the body of a READY. Throws WireError. */
export function parseReady(body: Uint8Array): Ready {
  const json = parseJson('READY', body)
  const version = integer('READY', json, 'version', 1, Number.MAX_SAFE_INTEGER)
  if (version > PROTOCOL_VERSION) throw new WireError('unsupported_version', `READY of version ${version}`)
  const acl = json.acl
  if (acl !== 'wanted' && acl !== 'known') throw new WireError('bad_json', 'READY has no "acl"')
  const limits = json.limits
  const streams = isRecord(limits) ? integer('READY', limits, 'streams', 1, Number.MAX_SAFE_INTEGER) : MAX_STREAMS
  return {
    version,
    session: text('READY', json, 'session', ID),
    received: integer('READY', json, 'received', 0, Number.MAX_SAFE_INTEGER),
    acl,
    limits: { streams: Math.min(streams, MAX_STREAMS) },
  }
}

/** Reads the body of an OPEN. Throws WireError. */
export function parseOpen(body: Uint8Array): OpenRequest {
  return readOpen(parseJson('OPEN', body))
}

/** Whether an OPEN with `request` would be understood. */
export function isOpenRequest(request: OpenRequest): boolean {
  try {
    readOpen(request)
    return true
  } catch (error) {
    if (error instanceof WireError) return false
    throw error
  }
}

/** Writes the body of a HELLO, READY or OPEN. */
export function encodeJson(value: Hello | Ready | OpenRequest): Uint8Array {
  return encoder.encode(JSON.stringify(value))
}

function readOpen(json: Record<string, unknown>): OpenRequest {
  const protocol = json.protocol
  if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'icmp') {
    throw new WireError('bad_json', 'OPEN has no "protocol" that is known')
  }
  const host = text('OPEN', json, 'host', HOST)
  if (host.length > MAX_HOST) throw new WireError('bad_json', `OPEN of a host of ${host.length} characters`)
  return {
    resource: text('OPEN', json, 'resource', UID),
    host,
    port: integer('OPEN', json, 'port', protocol === 'icmp' ? 0 : 1, 65_535),
    protocol,
  }
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

function parseJson(frame: string, body: Uint8Array): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(decoder.decode(body))
  } catch {
    throw new WireError('bad_json', `${frame} is not JSON`)
  }
  if (!isRecord(value)) throw new WireError('bad_json', `${frame} is not a JSON object`)
  return value
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function text(frame: string, json: Record<string, unknown>, name: string, pattern: RegExp): string {
  const value = json[name]
  if (typeof value !== 'string' || !pattern.test(value)) {
    throw new WireError('bad_json', `${frame} has no valid "${name}"`)
  }
  return value
}

function integer(frame: string, json: Record<string, unknown>, name: string, min: number, max: number): number {
  const value = json[name]
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
    throw new WireError('bad_json', `${frame} has no valid "${name}"`)
  }
  return value
}
