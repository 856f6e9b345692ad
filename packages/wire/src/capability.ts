// Capability: what a Client shows to a Relay in the server name of its ClientHello.
//
//   sealed     01 | nonce (12) | ciphertext (32) | tag (16)              = 61 bytes
//   plaintext  connector id (20) | expiry u32, seconds | serial u64      = 32 bytes, big-endian
//   text       base32, lower case, unpadded, 98 characters in two labels of 49

import { decodeBase32, encodeBase32 } from './base32.ts'
import { WireError } from './error.ts'
import { CAPABILITY_BYTES, CAPABILITY_PLAINTEXT_BYTES, CAPABILITY_TEXT, CONNECTOR_ID_BYTES } from './limit.ts'

const VERSION = 1
const NONCE_BYTES = 12
const TAG_BYTES = 16
const LABEL = CAPABILITY_TEXT / 2
const TEXT = new RegExp(`^[a-z2-7]{${LABEL}}\\.[a-z2-7]{${LABEL}}$`, 'i')

/** A sealed capability, taken apart; nothing in it is verified. */
export type SealedCapability = { nonce: Uint8Array; ciphertext: Uint8Array; tag: Uint8Array }

/** What a capability says to its Relay. */
export type CapabilityClaims = {
  /** 20 bytes. */
  connectorId: Uint8Array
  /** Seconds since the epoch. */
  expiry: number
  serial: bigint
}

/** Puts nonce, ciphertext and tag into the 61 bytes of a capability. Throws TypeError for parts of a wrong length. */
export function encodeCapability({ nonce, ciphertext, tag }: SealedCapability): Uint8Array {
  const fits =
    nonce.length === NONCE_BYTES && ciphertext.length === CAPABILITY_PLAINTEXT_BYTES && tag.length === TAG_BYTES
  if (!fits) throw new TypeError(`capability of ${nonce.length}, ${ciphertext.length} and ${tag.length} bytes`)
  const bytes = new Uint8Array(CAPABILITY_BYTES)
  bytes[0] = VERSION
  bytes.set(nonce, 1)
  bytes.set(ciphertext, 1 + NONCE_BYTES)
  bytes.set(tag, CAPABILITY_BYTES - TAG_BYTES)
  return bytes
}

/** Takes the 61 bytes of a capability apart. Throws WireError `bad_capability`. */
export function decodeCapability(bytes: Uint8Array): SealedCapability {
  if (bytes.length !== CAPABILITY_BYTES) throw bad(`capability of ${bytes.length} bytes, want ${CAPABILITY_BYTES}`)
  if (bytes[0] !== VERSION) throw bad(`capability of version ${bytes[0]}, want ${VERSION}`)
  return {
    nonce: bytes.subarray(1, 1 + NONCE_BYTES),
    ciphertext: bytes.subarray(1 + NONCE_BYTES, CAPABILITY_BYTES - TAG_BYTES),
    tag: bytes.subarray(CAPABILITY_BYTES - TAG_BYTES),
  }
}

/** Writes the plaintext of a capability. Throws TypeError for claims out of range. */
export function encodeCapabilityClaims({ connectorId, expiry, serial }: CapabilityClaims): Uint8Array {
  if (connectorId.length !== CONNECTOR_ID_BYTES) throw new TypeError(`connector id of ${connectorId.length} bytes`)
  if (!Number.isInteger(expiry) || expiry < 0 || expiry > 0xffffffff) throw new TypeError(`expiry ${expiry}`)
  if (serial < 0n || serial >= 1n << 64n) throw new TypeError(`serial ${serial}`)
  const bytes = new Uint8Array(CAPABILITY_PLAINTEXT_BYTES)
  bytes.set(connectorId)
  const view = new DataView(bytes.buffer)
  view.setUint32(CONNECTOR_ID_BYTES, expiry)
  view.setBigUint64(CONNECTOR_ID_BYTES + 4, serial)
  return bytes
}

/** Reads the plaintext of a capability. Throws WireError `bad_capability`. */
export function decodeCapabilityClaims(bytes: Uint8Array): CapabilityClaims {
  if (bytes.length !== CAPABILITY_PLAINTEXT_BYTES) {
    throw bad(`capability plaintext of ${bytes.length} bytes, want ${CAPABILITY_PLAINTEXT_BYTES}`)
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return {
    connectorId: bytes.slice(0, CONNECTOR_ID_BYTES),
    expiry: view.getUint32(CONNECTOR_ID_BYTES),
    serial: view.getBigUint64(CONNECTOR_ID_BYTES + 4),
  }
}

/** Writes the 61 bytes of a capability as two DNS labels, `label.label`. */
export function capabilityToText(bytes: Uint8Array): string {
  if (bytes.length !== CAPABILITY_BYTES) throw new TypeError(`capability of ${bytes.length} bytes`)
  const text = encodeBase32(bytes)
  return `${text.slice(0, LABEL)}.${text.slice(LABEL)}`
}

/** Reads a capability from its two DNS labels, in either case. Throws WireError `bad_capability`. */
export function capabilityFromText(text: string): Uint8Array {
  const bytes = TEXT.test(text) ? decodeBase32(text.replace('.', '')) : undefined
  if (bytes === undefined) throw bad('text is not a capability in two labels')
  return bytes
}

function bad(message: string): WireError {
  return new WireError('bad_capability', message)
}
