import { createHash, timingSafeEqual } from 'node:crypto'

/** Writes bytes as base64url without padding. */
export function toBase64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url')
}

/** Reads base64url without padding; undefined unless `text` is the one spelling of its bytes. */
export function fromBase64Url(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? new Uint8Array(bytes) : undefined
}

export function sha256(data: Uint8Array | string): Uint8Array {
  return createHash('sha256').update(data).digest()
}

/** Compares two secrets in a time that depends on neither. */
export function equalSecrets(a: string | Uint8Array, b: string | Uint8Array): boolean {
  // Hashing first makes the lengths equal and hides where texts of unequal length differ.
  return timingSafeEqual(sha256(a), sha256(b))
}
