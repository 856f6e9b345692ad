import { createHash } from 'node:crypto'
import { canonicalJson, type DeclaredKind, type DeclaredMetadata as RowMetadata } from '@sallyport/schema'
import type { Declared } from '../object.ts'
import type { ControllerView, Step } from './step.ts'

/** Digest of a PUT body: SHA-256 of its canonical JSON (RFC 8785), base64url. */
export function bodyDigest(body: object): string {
  return createHash('sha256').update(canonicalJson(body)).digest('base64url')
}

/** What a row says of the object that declares it. */
export function rowMetadata({ metadata }: Declared): RowMetadata {
  const { namespace, name, creationTimestamp, generation } = metadata
  return { namespace, name, createdAt: creationTimestamp, generation }
}

/** Writes a row unless it says so already. */
export function putRow(kind: DeclaredKind, uid: string, body: object, controller: ControllerView): Step[] {
  const digest = bodyDigest(body)
  if (!controller.known || controller.row(uid)?.digest === digest) return []
  return [{ do: 'putRow', kind, uid, digest, body }]
}

/** Removes a row where there is one. */
export function deleteRow(kind: DeclaredKind, uid: string, controller: ControllerView): Step[] {
  return controller.row(uid) === undefined ? [] : [{ do: 'deleteRow', kind, uid }]
}

/** UUIDv5 (RFC 9562, section 5.5) of `name` in the namespace `uid`. */
export function uuidV5(uid: string, name: string): string {
  const namespace = Buffer.from(uid.replaceAll('-', ''), 'hex')
  const hash = createHash('sha1').update(namespace).update(name).digest().subarray(0, 16)
  hash[6] = (hash[6]! & 0x0f) | 0x50
  hash[8] = (hash[8]! & 0x3f) | 0x80
  const hex = hash.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
