import { createCipheriv, createDecipheriv } from 'node:crypto'
import type { ConnectorId } from '@sallyport/schema'
import {
  decodeBase32,
  decodeCapability,
  decodeCapabilityClaims,
  encodeBase32,
  encodeCapability,
  encodeCapabilityClaims,
  type SealedCapability,
  WireError,
} from '@sallyport/wire'
import { fromBase64Url, toBase64Url } from './bytes.ts'
import { TrustError } from './error.ts'
import { type RandomBytes, systemRandom } from './random.ts'

const ALGORITHM = 'aes-256-gcm'
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** AES-256 key with which the Controller seals capabilities for one Relay. */
export type RelayKey = { id: string; key: Uint8Array }

/** What a genuine capability says; `expiresAtMs` is exclusive. */
export type Capability = { connectorId: ConnectorId; expiresAtMs: number; serial: bigint }

/** Verdict of a Relay; the reasons are those of its refusals. */
export type CapabilityVerdict =
  | { ok: true; capability: Capability }
  | { ok: false; reason: 'capability_refused' | 'capability_expired' }

/** Makes a relay key. */
export function createRelayKey(random: RandomBytes = systemRandom): RelayKey {
  return { id: toBase64Url(random(9)), key: random(KEY_BYTES) }
}

/** Reads a relay key from the form that it has in a Relay's Secret. Throws TrustError `malformed`. */
export function relayKeyFromText({ id, key }: { id: string; key: string }): RelayKey {
  const bytes = fromBase64Url(key)
  if (bytes?.length !== KEY_BYTES) throw new TrustError('malformed', `relay key ${id} is not 32 bytes of base64url`)
  return { id, key: bytes }
}

/** Writes a relay key in the form that it has in a Relay's Secret. */
export function relayKeyToText({ id, key }: RelayKey): { id: string; key: string } {
  return { id, key: toBase64Url(key) }
}

/** Seals a capability, 61 bytes, for the Relay that holds `relayKey`. The expiry is kept in whole seconds, rounded up. */
export function sealCapability(
  { connectorId, expiresAtMs, serial }: Capability,
  { key }: RelayKey,
  random: RandomBytes = systemRandom,
): Uint8Array {
  const id = decodeBase32(connectorId)
  if (id === undefined) throw new TypeError('not a Connector ID')
  const nonce = random(NONCE_BYTES)
  const cipher = createCipheriv(ALGORITHM, key, nonce)
  const claims = encodeCapabilityClaims({ connectorId: id, expiry: Math.ceil(expiresAtMs / 1000), serial })
  const ciphertext = Buffer.concat([cipher.update(claims), cipher.final()])
  return encodeCapability({ nonce, ciphertext, tag: cipher.getAuthTag() })
}

/** Opens a capability with whichever of `keys` fits. Never throws, whatever the bytes. */
export function openCapability(bytes: Uint8Array, keys: readonly RelayKey[], nowMs: number): CapabilityVerdict {
  const sealed = sealedFrom(bytes)
  if (sealed === undefined) return { ok: false, reason: 'capability_refused' }
  for (const { key } of keys) {
    const plaintext = decrypt(sealed, key)
    if (plaintext === undefined) continue
    const { connectorId, expiry, serial } = decodeCapabilityClaims(plaintext)
    const expiresAtMs = expiry * 1000
    if (nowMs >= expiresAtMs) return { ok: false, reason: 'capability_expired' }
    return { ok: true, capability: { connectorId: encodeBase32(connectorId) as ConnectorId, expiresAtMs, serial } }
  }
  return { ok: false, reason: 'capability_refused' }
}

function sealedFrom(bytes: Uint8Array): SealedCapability | undefined {
  try {
    return decodeCapability(bytes)
  } catch (error) {
    if (error instanceof WireError) return undefined
    throw error
  }
}

function decrypt({ nonce, ciphertext, tag }: SealedCapability, key: Uint8Array): Uint8Array | undefined {
  const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES }).setAuthTag(tag)
  const plaintext = decipher.update(ciphertext)
  try {
    decipher.final()
    return plaintext
  } catch {
    return undefined // The tag does not fit: sealed with another key.
  }
}
