import { decodeBase32, encodeBase32 } from './base32.ts'
import { capabilityFromText, capabilityToText } from './capability.ts'
import { WireError } from './error.ts'
import { CAPABILITY_TEXT, MAX_SERVER_NAME, SLOT_KEY_BYTES } from './limit.ts'

/** What the server name of a ClientHello asks of a Relay. */
export type RelayRequest =
  | { kind: 'capability'; bytes: Uint8Array }
  | { kind: 'slot'; key: string }
  | { kind: 'control' }
  | { kind: 'unknown' }

const CONTROL: RelayRequest = { kind: 'control' }
const UNKNOWN: RelayRequest = { kind: 'unknown' }
const CAPABILITY_PREFIX = CAPABILITY_TEXT + 1
const NAME = /^[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*$/

/** Reads what a ClientHello with `serverName` (undefined: none) asks of the Relay named `relayName`. */
export function classifyServerName(serverName: string | undefined, relayName: string): RelayRequest {
  if (serverName === undefined) return CONTROL
  const name = serverName.toLowerCase()
  const relay = relayName.toLowerCase()
  if (name === relay) return CONTROL
  if (!name.endsWith(`.${relay}`)) return UNKNOWN
  const prefix = name.slice(0, -relay.length - 1)
  if (prefix.endsWith('.slot')) return slotRequest(prefix.slice(0, -'.slot'.length))
  return prefix.length === CAPABILITY_PREFIX ? capabilityRequest(prefix) : UNKNOWN
}

/** The server name with which a Client asks the Relay named `relayName` for a Connector. Throws WireError `bad_server_name`. */
export function capabilityServerName(capability: Uint8Array, relayName: string): string {
  return checkServerName(`${capabilityToText(capability)}.${relayName}`)
}

/** The server name with which a Connector offers an idle socket to the Relay named `relayName`. Throws WireError `bad_server_name`. */
export function slotServerName(key: string, relayName: string): string {
  return checkServerName(`${key}.slot.${relayName}`)
}

/** Writes the 16 bytes of a slot key as the text that stands in a server name and on the control channel. */
export function slotKeyToText(bytes: Uint8Array): string {
  if (bytes.length !== SLOT_KEY_BYTES) throw new TypeError(`slot key of ${bytes.length} bytes, want ${SLOT_KEY_BYTES}`)
  return encodeBase32(bytes)
}

/** Returns `name` in lower case when it can stand in a ClientHello. Throws WireError `bad_server_name`. */
export function checkServerName(name: string): string {
  const lower = name.toLowerCase()
  if (lower.length > MAX_SERVER_NAME) {
    throw new WireError('bad_server_name', `server name of ${lower.length} characters, want at most ${MAX_SERVER_NAME}`)
  }
  if (!NAME.test(lower) || lower.split('.').some(label => label.length > 63)) {
    throw new WireError('bad_server_name', 'server name is not a DNS name')
  }
  return lower
}

function slotRequest(key: string): RelayRequest {
  return decodeBase32(key)?.length === SLOT_KEY_BYTES ? { kind: 'slot', key } : UNKNOWN
}

function capabilityRequest(text: string): RelayRequest {
  try {
    return { kind: 'capability', bytes: capabilityFromText(text) }
  } catch (error) {
    if (error instanceof WireError) return UNKNOWN
    throw error
  }
}
