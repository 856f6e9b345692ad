import { type NormalRule, normaliseRule } from '@sallyport/policy'
import type { ClientResource, ResourceBody } from '@sallyport/schema'

/** A Resource as it stands in a Client's map. */
export function mapEntry(
  { uid, body: { metadata, network, spec } }: { uid: string; body: ResourceBody },
  rule: ClientResource['rule'],
  endMs: number | undefined,
): ClientResource {
  const resource = { uid, network, name: metadata.name, createdAt: metadata.createdAt, rule }
  const end = endMs === undefined ? {} : { endMs }
  return spec.openURL === undefined ? { ...resource, ...end } : { ...resource, ...end, openURL: spec.openURL }
}

/** Bytes that a Resource takes in a Client's map at most; what a Connector ACL says of it takes fewer. Throws PolicyError. */
export function entryBytes(body: ResourceBody, rule: NormalRule = normaliseRule(body.spec)): number {
  const uid = body.network // As long as any other UID.
  const comma = 1
  return Buffer.byteLength(JSON.stringify(mapEntry({ uid, body }, rule, Number.MAX_SAFE_INTEGER))) + comma
}
