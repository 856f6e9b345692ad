import { createCipheriv, createDecipheriv } from 'node:crypto'
import { fromBase64Url, toBase64Url } from './bytes.ts'
import { TrustError } from './error.ts'
import { type RandomBytes, systemRandom } from './random.ts'

// Sealed text: 1.<key id>.<base64url of nonce (12) | ciphertext | tag (16)>; AES-256-GCM, `purpose` and key id as associated data.

const VERSION = '1'
const NONCE_BYTES = 12
const TAG_BYTES = 16
const KEY_BYTES = 32
const KEY_ID = /^[A-Za-z0-9_-]{1,64}$/

/** A key that encrypts secrets at rest: 32 bytes, kept outside the store. */
export type StoreKey = { id: string; key: Uint8Array }

/** Makes a store key. */
export function createStoreKey(random: RandomBytes = systemRandom): StoreKey {
  return { id: toBase64Url(random(9)), key: random(KEY_BYTES) }
}

/** Reads a store key from `<id>.<base64url of 32 bytes>`. Throws TrustError `malformed`. */
export function parseStoreKey(text: string): StoreKey {
  const [id, encoded, rest] = text.trim().split('.')
  const key = encoded === undefined ? undefined : fromBase64Url(encoded)
  if (id === undefined || !KEY_ID.test(id) || key?.length !== KEY_BYTES || rest !== undefined) {
    throw new TrustError('malformed', 'store key is not <id>.<43 characters of base64url>')
  }
  return { id, key }
}

/** Writes a store key as {@link parseStoreKey} reads it. */
export function formatStoreKey({ id, key }: StoreKey): string {
  return `${id}.${toBase64Url(key)}`
}

/** Encrypts `secret` for `purpose` (what it is and whose, such as `signing-key:<tenant>:<kid>`): it opens for that purpose only. */
export function seal(
  secret: string | Uint8Array,
  purpose: string,
  { id, key }: StoreKey,
  random: RandomBytes = systemRandom,
): string {
  if (!KEY_ID.test(id)) throw new TypeError('store key id')
  const nonce = random(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(associated(purpose, id))
  const sealed = Buffer.concat([nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()])
  return `${VERSION}.${id}.${toBase64Url(sealed)}`
}

/** Decrypts what {@link seal} made with one of `keys`. Throws TrustError `cannot_open`. */
export function open(sealed: string, purpose: string, keys: readonly StoreKey[]): Uint8Array {
  const [version, id, text, rest] = sealed.split('.')
  const key = keys.find(candidate => candidate.id === id)
  const bytes = text === undefined ? undefined : fromBase64Url(text)
  if (version !== VERSION || rest !== undefined || bytes === undefined || bytes.length < NONCE_BYTES + TAG_BYTES) {
    throw new TrustError('cannot_open', 'not a sealed secret')
  }
  if (id === undefined || key === undefined)
    throw new TrustError('cannot_open', 'secret sealed with a key not known here')
  const decipher = createDecipheriv('aes-256-gcm', key.key, bytes.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  })
  decipher.setAAD(associated(purpose, id)).setAuthTag(bytes.subarray(-TAG_BYTES))
  try {
    const secret = [decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]
    return new Uint8Array(Buffer.concat(secret))
  } catch (cause) {
    throw new TrustError('cannot_open', 'secret sealed for another purpose, or changed', { cause })
  }
}

/** Decrypts a text. Throws TrustError `cannot_open`. */
export function openText(sealed: string, purpose: string, keys: readonly StoreKey[]): string {
  return new TextDecoder().decode(open(sealed, purpose, keys))
}

function associated(purpose: string, keyId: string): Uint8Array {
  return Buffer.from(`sallyport\0${VERSION}\0${keyId}\0${purpose}`)
}
