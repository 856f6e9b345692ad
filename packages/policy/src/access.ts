import type { GroupId, NetworkId, ResourceId, UserId } from '@sallyport/schema'

/** A Group's access to a Resource. `endMs` is exclusive; `maxLoginAgeSeconds` how old the login may be. */
export type AccessGrant = { group: GroupId; endMs?: number; maxLoginAgeSeconds?: number }
export type AccessResource = { uid: ResourceId; network: NetworkId; access: readonly AccessGrant[] }
export type ProviderGroupRef = { provider: string; name: string }
export type AccessGroup = {
  uid: GroupId
  members: readonly string[]
  identityProviderGroups: readonly ProviderGroupRef[]
}
/** A person; `email` only when it counts (verified, from a provider that may speak for its domain), `groups` at their own provider. */
export type Person = { id: UserId; email?: string; provider: string; groups: readonly string[] }

/** Whose lists a change touches, and of which networks. */
export type Touched = { users: ReadonlySet<UserId>; networks: ReadonlySet<NetworkId> }

/** What a person may reach at some moment, of one network or all. */
export type Reachable = { resource: ResourceId; network: NetworkId; endMs?: number }

const NOBODY: Touched = { users: new Set(), networks: new Set() }

/** People x Groups x Resources of one tenant, indexed so that a change costs as much as what it touches (U1). */
export class AccessIndex {
  readonly #resources = new Map<ResourceId, AccessResource>()
  readonly #groups = new Map<GroupId, AccessGroup>()
  readonly #people = new Map<UserId, Person>()
  readonly #resourcesOfGroup = new MultiMap<GroupId, ResourceId>()
  readonly #groupsOfKey = new MultiMap<string, GroupId>()
  readonly #peopleOfKey = new MultiMap<string, UserId>()

  /** Adds or replaces a Resource. Touches everyone who could reach it or can: its rule may have changed. */
  putResource(resource: AccessResource): Touched {
    const before = this.#resources.get(resource.uid)
    const users = new Set(this.#peopleOfResource(before))
    for (const { group } of before?.access ?? []) this.#resourcesOfGroup.delete(group, resource.uid)
    this.#resources.set(resource.uid, resource)
    for (const { group } of resource.access) this.#resourcesOfGroup.add(group, resource.uid)
    for (const user of this.#peopleOfResource(resource)) users.add(user)
    return { users, networks: new Set(before === undefined ? [resource.network] : [before.network, resource.network]) }
  }

  removeResource(uid: ResourceId): Touched {
    const before = this.#resources.get(uid)
    if (before === undefined) return NOBODY
    const users = new Set(this.#peopleOfResource(before))
    for (const { group } of before.access) this.#resourcesOfGroup.delete(group, uid)
    this.#resources.delete(uid)
    return { users, networks: new Set([before.network]) }
  }

  /** Adds or replaces a Group. Touches who came in or left, where the Group gives access to anything. */
  putGroup(group: AccessGroup): Touched {
    const before = new Set(this.#membersOf(group.uid))
    this.#dropGroup(group.uid)
    this.#groups.set(group.uid, group)
    for (const key of keysOfGroup(group)) this.#groupsOfKey.add(key, group.uid)
    return this.#touchedByGroup(group.uid, before)
  }

  removeGroup(uid: GroupId): Touched {
    const before = new Set(this.#membersOf(uid))
    this.#dropGroup(uid)
    return this.#touchedByGroup(uid, before)
  }

  /** Adds a person or replaces what is known of them. Touches them, where their Groups have changed. */
  putPerson(person: Person): Touched {
    const before = this.groupsOf(person.id)
    this.#dropPerson(person.id)
    this.#people.set(person.id, person)
    for (const key of keysOfPerson(person)) this.#peopleOfKey.add(key, person.id)
    return this.#touchedByPerson(person.id, before)
  }

  removePerson(id: UserId): Touched {
    const before = this.groupsOf(id)
    this.#dropPerson(id)
    return this.#touchedByPerson(id, before)
  }

  /** Groups that a person is a member of. */
  groupsOf(id: UserId): Set<GroupId> {
    const person = this.#people.get(id)
    return person === undefined ? new Set() : this.groupsFor(person)
  }

  /** Groups that someone would be a member of: with none they are not invited (U2). */
  groupsFor(person: Omit<Person, 'id'>): Set<GroupId> {
    return new Set(keysOfPerson(person).flatMap(key => [...this.#groupsOfKey.get(key)]))
  }

  /** People who can reach a Resource. */
  peopleOf(uid: ResourceId): Set<UserId> {
    return new Set(this.#peopleOfResource(this.#resources.get(uid)))
  }

  /**
   * What a person can reach at `nowMs` with a login of `loginAtMs`; of several Groups the one whose grant ends last counts. `network` leaves
   * out all others.
   */
  reachable(id: UserId, loginAtMs: number, nowMs: number, network?: NetworkId): Reachable[] {
    const groups = this.groupsOf(id)
    const uids = new Set([...groups].flatMap(group => [...this.#resourcesOfGroup.get(group)]))
    const found: Reachable[] = []
    for (const uid of uids) {
      const resource = this.#resources.get(uid)!
      if (network !== undefined && resource.network !== network) continue
      const endMs = lastEnd(resource.access, groups, loginAtMs)
      if (endMs <= nowMs) continue
      const entry = { resource: uid, network: resource.network }
      found.push(endMs === Infinity ? entry : { ...entry, endMs })
    }
    return found
  }

  #dropGroup(uid: GroupId): void {
    const group = this.#groups.get(uid)
    if (group === undefined) return
    for (const key of keysOfGroup(group)) this.#groupsOfKey.delete(key, uid)
    this.#groups.delete(uid)
  }

  #dropPerson(id: UserId): void {
    const person = this.#people.get(id)
    if (person === undefined) return
    for (const key of keysOfPerson(person)) this.#peopleOfKey.delete(key, id)
    this.#people.delete(id)
  }

  *#membersOf(uid: GroupId): Generator<UserId> {
    const group = this.#groups.get(uid)
    if (group === undefined) return
    for (const key of keysOfGroup(group)) yield* this.#peopleOfKey.get(key)
  }

  *#peopleOfResource(resource: AccessResource | undefined): Generator<UserId> {
    for (const { group } of resource?.access ?? []) yield* this.#membersOf(group)
  }

  #touchedByGroup(uid: GroupId, before: ReadonlySet<UserId>): Touched {
    const networks = this.#networksOf([uid])
    if (networks.size === 0) return NOBODY
    return { users: new Set(this.#membersOf(uid)).symmetricDifference(before), networks }
  }

  #touchedByPerson(id: UserId, before: ReadonlySet<GroupId>): Touched {
    const networks = this.#networksOf(this.groupsOf(id).symmetricDifference(before))
    return networks.size === 0 ? NOBODY : { users: new Set([id]), networks }
  }

  #networksOf(groups: Iterable<GroupId>): Set<NetworkId> {
    const networks = new Set<NetworkId>()
    for (const group of groups) {
      for (const uid of this.#resourcesOfGroup.get(group)) networks.add(this.#resources.get(uid)!.network)
    }
    return networks
  }
}

/** Latest end among the grants of someone's Groups: P3 and, from the time of the login, P1. Infinity where one never ends. */
function lastEnd(access: readonly AccessGrant[], groups: ReadonlySet<GroupId>, loginAtMs: number): number {
  let last = -Infinity
  for (const { group, endMs = Infinity, maxLoginAgeSeconds } of access) {
    if (!groups.has(group)) continue
    const loginEndMs = maxLoginAgeSeconds === undefined ? Infinity : loginAtMs + maxLoginAgeSeconds * 1000
    last = Math.max(last, Math.min(endMs, loginEndMs))
  }
  return last
}

function keysOfGroup({ members, identityProviderGroups }: AccessGroup): Set<string> {
  return new Set([...members.map(emailKey), ...identityProviderGroups.map(providerKey)])
}

function keysOfPerson({ email, provider, groups }: Omit<Person, 'id'>): string[] {
  const own = groups.map(name => providerKey({ provider, name }))
  return email === undefined ? own : [emailKey(email), ...own]
}

function emailKey(email: string): string {
  return `email\0${email.toLowerCase()}`
}

/** A group is that of its provider: another provider's group of the same name is another group. */
function providerKey({ provider, name }: ProviderGroupRef): string {
  return `group\0${provider}\0${name}`
}

class MultiMap<K, V> {
  readonly #sets = new Map<K, Set<V>>()
  static readonly #none: ReadonlySet<never> = new Set<never>()

  get(key: K): ReadonlySet<V> {
    return this.#sets.get(key) ?? MultiMap.#none
  }

  add(key: K, value: V): void {
    const set = this.#sets.get(key)
    if (set === undefined) this.#sets.set(key, new Set([value]))
    else set.add(value)
  }

  delete(key: K, value: V): void {
    const set = this.#sets.get(key)
    if (set?.delete(value) && set.size === 0) this.#sets.delete(key)
  }
}
