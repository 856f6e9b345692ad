import {
  AccessIndex,
  compareAge,
  comparePrecedence,
  durationSeconds,
  normaliseRule,
  packUid,
  ruleDigest,
  type Touched,
} from '@sallyport/policy'
import {
  type AclEntry,
  type ClientResource,
  type ConnectorAclClaims,
  type GroupId,
  MAX_NETWORK_RESOURCE_BYTES,
  MAX_TENANT_RESOURCE_BYTES,
  type NetworkId,
  type ResourceId,
  type ResourceRule,
  type UserId,
} from '@sallyport/schema'
import type { AssertedPerson } from '../login-seam.ts'
import { entryBytes, mapEntry } from './map-entry.ts'
import type { Declared, DeclaredOf, HeldDevice, Person } from './row.ts'
import type { TenantState } from './tenant-state.ts'

/** A Resource as it stands in ACLs. */
type Compiled = {
  uid: string
  createdAt: string
  packed: string
  digest: string
  rule: ResourceRule
  bytes: number
  row: DeclaredOf<'resource'>
}
type Granted = { compiled: Compiled; endMs: number | undefined }
/** What a device may reach, by network; true until the first end among them. */
type Grants = { byNetwork: Map<string, Granted[]>; untilMs: number }

/** Whether a change could have taken something from people, and whom and which networks it touches. */
export type Effect = Touched & { mayReduce: boolean }

const NO_GRANTS: Grants = { byNetwork: new Map(), untilMs: Number.POSITIVE_INFINITY }
const BY_PACKED = (a: Granted, b: Granted) => (a.compiled.packed < b.compiled.packed ? -1 : 1)

/** Who may reach what: the tenant's people, Groups and Resources, compiled for those whom a change touches. */
export class Access {
  readonly #state: TenantState
  readonly #index = new AccessIndex()
  readonly #resources = new Map<string, Compiled>()
  readonly #ofNetwork = new Map<string, Set<string>>()
  /** How many Resources name a Group, by Group and network. */
  readonly #namedIn = new Map<string, Map<string, number>>()
  readonly #versions = new Map<string, number>()
  readonly #grants = new Map<string, Grants>()

  constructor(state: TenantState) {
    this.#state = state
    for (const row of state.declared.values()) this.declaredChanged(undefined, row)
    for (const person of state.people.values()) this.personChanged(person.id)
  }

  /** Takes over a declared row that was written, or with `after` undefined removed. */
  declaredChanged(before: Declared | undefined, after: Declared | undefined): Effect {
    const row = after ?? before
    if (row === undefined) return effect(nobody, false)
    const uid = row.uid
    switch (row.kind) {
      case 'resource':
        return this.#resourceChanged(before as DeclaredOf<'resource'> | undefined, after as typeof row | undefined)
      case 'group': {
        const { members = [], identityProviderGroups = [] } = row.body.spec
        if (after === undefined) return effect(this.#index.removeGroup(uid as GroupId), true)
        return effect(this.#index.putGroup({ uid: uid as GroupId, members, identityProviderGroups }), true)
      }
      case 'network': {
        this.#bump(uid)
        const came = before === undefined || after === undefined
        return effect(
          { users: came ? this.#peopleOfNetwork(uid) : nobody.users, networks: new Set([uid as NetworkId]) },
          came,
        )
      }
      case 'connector':
      case 'relay':
        return effect(nobody, false)
    }
  }

  /** Takes over what is known of a person. */
  personChanged(id: string): Touched {
    const person = this.#state.people.get(id)
    return person === undefined
      ? this.#index.removePerson(id as UserId)
      : this.#index.putPerson({ id: id as UserId, ...assertedOf(person) })
  }

  /** Forgets what has been compiled for a device. */
  touch(device: string): void {
    this.#grants.delete(device)
  }

  /** Whether the device has a login that lives, and neither it nor its user is blocked. */
  isLive({ row, login }: HeldDevice, nowMs: number): boolean {
    const person = this.#state.people.get(row.user)
    if (person === undefined || person.blocked || row.blocked === 1) return false
    return login !== undefined && login.endedAtMs === null && nowMs < login.endsAtMs
  }

  /** Networks in which the device may reach anything. */
  networks(device: HeldDevice, nowMs: number): string[] {
    return [...this.#grantsOf(device, nowMs).byNetwork.keys()]
  }

  /** When the first of the device's grants ends; Infinity when none does. */
  nextEndMs(device: HeldDevice, nowMs: number): number {
    return this.#grantsOf(device, nowMs).untilMs
  }

  /** Entries of the device's Client ACL for a network. */
  entries(device: HeldDevice, network: string, nowMs: number): AclEntry[] {
    return (this.#grantsOf(device, nowMs).byNetwork.get(network) ?? []).map(
      ({ compiled: { packed, digest }, endMs }) =>
        endMs === undefined ? [packed, digest] : [packed, digest, Math.floor(endMs / 1000)],
    )
  }

  /** Resource map of the device. */
  clientResources(device: HeldDevice, nowMs: number): ClientResource[] {
    const granted = [...this.#grantsOf(device, nowMs).byNetwork.values()].flat()
    return granted.map(({ compiled: { rule, row }, endMs }) => mapEntry(row, rule, endMs))
  }

  /** Resources of a network, as its Connector ACL lists them; of those that a database holds beyond the limit the oldest. */
  resourcesOf(network: string): ConnectorAclClaims['resources'] {
    const all = [...(this.#ofNetwork.get(network) ?? [])].sort().map(uid => this.#resources.get(uid)!)
    return fitting(all, compiled => compiled, MAX_NETWORK_RESOURCE_BYTES, compareAge).map(
      ({ uid, createdAt, rule }) => ({ uid, createdAt, rule }),
    )
  }

  /** Changes whenever the network's Connector ACL would say something else. */
  version(network: string): number {
    return this.#versions.get(network) ?? 0
  }

  /** Networks of the Resources that name a Group. */
  networksOfGroup(group: string): Set<string> {
    const named = this.#namedIn.get(group)?.keys() ?? []
    return new Set([...named].filter(network => this.#state.of('network', network) !== undefined))
  }

  /** Whether any Group names the person. */
  isInvited(person: AssertedPerson): boolean {
    const { provider, email, groups } = person
    return this.#index.groupsFor({ provider, groups, ...(email !== undefined && { email }) }).size > 0
  }

  /** Every Resource with its rule, for those who ask why something is out of reach. */
  *rules(): Generator<{ uid: string; rule: ResourceRule; createdAt: string; visible: boolean }> {
    for (const { uid, rule, row } of this.#resources.values())
      yield { uid, rule, createdAt: row.body.metadata.createdAt, visible: row.body.spec.visible === true }
  }

  #resourceChanged(before: DeclaredOf<'resource'> | undefined, after: DeclaredOf<'resource'> | undefined): Effect {
    if (before !== undefined) {
      this.#resources.delete(before.uid)
      this.#countGroups(before, -1)
      this.#ofNetwork.get(before.body.network)?.delete(before.uid)
      this.#bump(before.body.network)
    }
    if (after === undefined) {
      return before === undefined
        ? effect(nobody, false)
        : effect(this.#index.removeResource(before.uid as ResourceId), true)
    }
    const { uid, body } = after
    const rule = normaliseRule(body.spec)
    const { createdAt } = body.metadata
    const signed = { packed: packUid(uid), digest: ruleDigest(rule), rule }
    this.#countGroups(after, 1)
    this.#resources.set(uid, { uid, createdAt, ...signed, bytes: entryBytes(body, rule), row: after })
    const ofNetwork = this.#ofNetwork.get(body.network) ?? new Set()
    this.#ofNetwork.set(body.network, ofNetwork.add(uid))
    this.#bump(body.network)
    const mayReduce = before === undefined ? false : accessText(before) !== accessText(after)
    const touched = this.#index.putResource({
      uid: uid as ResourceId,
      network: body.network as NetworkId,
      access: accessOf(after),
    })
    return effect(touched, mayReduce)
  }

  #countGroups({ body: { groups, network } }: DeclaredOf<'resource'>, by: 1 | -1): void {
    for (const group of new Set(groups)) {
      if (group === null) continue
      const counts = this.#namedIn.get(group) ?? new Map<string, number>()
      const count = (counts.get(network) ?? 0) + by
      if (count === 0) counts.delete(network)
      else counts.set(network, count)
      if (counts.size === 0) this.#namedIn.delete(group)
      else this.#namedIn.set(group, counts)
    }
  }

  #bump(network: string): void {
    this.#versions.set(network, this.version(network) + 1)
  }

  #peopleOfNetwork(network: string): Set<UserId> {
    const people = new Set<UserId>()
    for (const uid of this.#ofNetwork.get(network) ?? [])
      for (const user of this.#index.peopleOf(uid as ResourceId)) people.add(user)
    return people
  }

  #grantsOf(device: HeldDevice, nowMs: number): Grants {
    if (!this.isLive(device, nowMs)) return NO_GRANTS
    const known = this.#grants.get(device.row.id)
    if (known !== undefined && nowMs < known.untilMs) return known
    const reached: (Granted & { network: string })[] = []
    for (const grant of this.#index.reachable(device.row.user as UserId, device.login!.startedAtMs, nowMs)) {
      const { resource, network, endMs } = grant
      const compiled = this.#resources.get(resource)
      if (compiled !== undefined && this.#state.of('network', network) !== undefined)
        reached.push({ compiled, network, endMs })
    }
    const byNetwork = new Map<string, Granted[]>()
    let untilMs = Number.POSITIVE_INFINITY
    // The narrowest: a map that lacks one of them would hand what is its to a wider one.
    const mapped = fitting(reached, ({ compiled }) => compiled, MAX_TENANT_RESOURCE_BYTES, comparePrecedence)
    for (const { compiled, network, endMs } of mapped) {
      const granted = byNetwork.get(network) ?? []
      byNetwork.set(network, granted)
      granted.push({ compiled, endMs })
      untilMs = Math.min(untilMs, endMs ?? untilMs)
    }
    for (const granted of byNetwork.values()) granted.sort(BY_PACKED)
    const grants = { byNetwork, untilMs }
    this.#grants.set(device.row.id, grants)
    return grants
  }
}

/** What of a person decides about their Groups; the e-mail only where it counts. */
export function assertedOf({ provider, email, emailVerified, groups }: Person) {
  return { provider, groups, ...(emailVerified && { email }) }
}

/** Those of `items` whose Resources take at most `limit` bytes together: all of them, or the first in that order. */
function fitting<T>(
  items: T[],
  resourceOf: (item: T) => Compiled,
  limit: number,
  order: (a: Compiled, b: Compiled) => number,
): T[] {
  if (items.reduce((sum, item) => sum + resourceOf(item).bytes, 0) <= limit) return items
  const sorted = [...items].sort((a, b) => order(resourceOf(a), resourceOf(b)))
  let left = limit
  const end = sorted.findIndex(item => {
    left -= resourceOf(item).bytes
    return left < 0
  })
  return sorted.slice(0, end)
}

const nobody: Touched = { users: new Set(), networks: new Set() }
const effect = (touched: Touched, mayReduce: boolean): Effect => ({ ...touched, mayReduce })

function accessOf({ body: { spec, groups } }: DeclaredOf<'resource'>) {
  return (spec.access ?? []).flatMap(({ expiresAt, maxLoginAge }, index) => {
    const group = groups[index]
    if (group === null || group === undefined) return []
    return [
      {
        group: group as GroupId,
        ...(expiresAt !== undefined && { endMs: Date.parse(expiresAt) }),
        ...(maxLoginAge !== undefined && { maxLoginAgeSeconds: durationSeconds(maxLoginAge) }),
      },
    ]
  })
}

const accessText = (row: DeclaredOf<'resource'>) => JSON.stringify([row.body.network, accessOf(row)])
