import type { ResourceId } from '@sallyport/schema'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Writes a UID as it stands in a Client ACL: its 16 bytes, base64url. */
export function packUid(uid: string): string {
  if (!UUID.test(uid)) throw new TypeError(`"${uid}" is not a UID`)
  return Buffer.from(uid.replaceAll('-', ''), 'hex').toString('base64url')
}

/** Reads a UID from a Client ACL; undefined when it is not 16 bytes. */
export function unpackUid(packed: string): ResourceId | undefined {
  const hex = Buffer.from(packed, 'base64url').toString('hex')
  if (hex.length !== 32) return undefined
  const [a, b, c, d] = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)]
  return `${a}-${b}-${c}-${d}-${hex.slice(20)}` as ResourceId
}
