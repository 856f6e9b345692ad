import { fromBase64Url, open, openText, parseStoreKey, type StoreKey, seal, secretHash } from '@sallyport/trust'

/** Encrypts what a copy of the database must not tell; `purpose` (what it is and whose) must be the same at opening. */
export type Sealer = {
  seal(purpose: string, secret: string | Uint8Array): string
  open(purpose: string, sealed: string): Uint8Array
  openText(purpose: string, sealed: string): string
}

/** Reads the content of a store key file: 32 bytes in base64, or `<id>.<base64url>`. Throws TrustError `malformed`. */
export function readStoreKey(text: string): StoreKey {
  const plain = text.trim()
  const unpadded = plain.replace(/=+$/, '').replaceAll('+', '-').replaceAll('/', '_')
  const key = unpadded.includes('.') ? undefined : fromBase64Url(unpadded)
  if (key === undefined || key.length !== 32) return parseStoreKey(plain)
  return { id: secretHash(unpadded).slice(0, 12), key }
}

/** Seals with `key`. */
export function createSealer(key: StoreKey): Sealer {
  return {
    seal: (purpose, secret) => seal(secret, purpose, key),
    open: (purpose, sealed) => open(sealed, purpose, [key]),
    openText: (purpose, sealed) => openText(sealed, purpose, [key]),
  }
}
