import { grantsOf, RouteMap, ruleDigest } from '@sallyport/policy'
import type { ClientAclClaims, ClientResource, ResourceId } from '@sallyport/schema'

/** A Resource that stands in the map and, with the same rule, in a verified Client ACL. */
export type GrantedResource = ClientResource & { aclEndMs: number }

/** Why a Resource of the map is not routed to. */
export type Dropped = { resource: ClientResource; reason: 'no_acl' | 'not_in_acl' | 'rule_differs' | 'rule_unreadable' }

/** What a Client may route. */
export type AccessMap = { routes: RouteMap<GrantedResource>; granted: GrantedResource[]; dropped: Dropped[] }

/**
 * Joins the resource map, which the Controller only says, with the Client ACLs, which it has signed: an entry counts when UID and rule
 * digest stand in the verified ACL of its network.
 */
export function compileAccess(
  resources: readonly ClientResource[],
  acls: ReadonlyMap<string, Pick<ClientAclClaims, 'res' | 'exp'>>,
): AccessMap {
  const grants = new Map([...acls].map(([network, acl]) => [network, { grants: grantsOf(acl), endMs: acl.exp * 1000 }]))
  const granted: GrantedResource[] = []
  const dropped: Dropped[] = []
  for (const resource of resources) {
    const acl = grants.get(resource.network)
    const grant = acl?.grants.get(resource.uid as ResourceId)
    const reason =
      acl === undefined
        ? 'no_acl'
        : grant === undefined
          ? 'not_in_acl'
          : digestOf(resource) === undefined
            ? 'rule_unreadable'
            : digestOf(resource) === grant.digest
              ? undefined
              : 'rule_differs'
    if (reason !== undefined || acl === undefined || grant === undefined) {
      dropped.push({ resource, reason: reason ?? 'not_in_acl' })
      continue
    }
    // The signed end counts, not the one that the map says.
    const { endMs: _, ...rest } = resource
    granted.push({ ...rest, aclEndMs: acl.endMs, ...(grant.endMs === undefined ? {} : { endMs: grant.endMs }) })
  }
  return { routes: new RouteMap(granted), granted, dropped }
}

function digestOf({ rule }: ClientResource): string | undefined {
  try {
    return ruleDigest(rule)
  } catch {
    return undefined // A rule that cannot be read has no digest; the Resource is reported as dropped.
  }
}

/** Says why a Resource was dropped, for people. */
export const droppedText: Record<Dropped['reason'], string> = {
  no_acl: 'there is no verified access list for its network',
  not_in_acl: 'the signed access list does not name it',
  rule_differs: 'the signed access list names another rule for it',
  rule_unreadable: 'its rule cannot be read',
}
