import { normaliseRule, PolicyError, parseAddress, takenNames } from '@sallyport/policy'
import { type Declared, nameOf, type ObjectName } from './object.ts'
import { groupName } from './plan/resource.ts'

type Index = Map<string, Set<ObjectName>>
type Entry = { resource: Declared<'Resource'>; names: readonly string[] }

/** Name of the RemoteNetwork that a Resource names. */
export function networkOf({ metadata, spec }: Declared<'Resource'>): ObjectName {
  const { name = '', namespace = metadata.namespace } = spec?.remoteNetworkRef ?? {}
  return `${namespace}/${name}`
}

/** Names of the Groups in a Resource's `access`. */
export function groupsOf({ metadata, spec }: Declared<'Resource'>): ObjectName[] {
  return (spec?.access ?? []).map(({ group }) => groupName(group, metadata.namespace))
}

/** Resources by what they name: networks, Groups, exact names. A change costs as much as what it touches. */
export class ResourceIndex {
  readonly #entries = new Map<ObjectName, Entry>()
  readonly #byNetwork: Index = new Map()
  readonly #byGroup: Index = new Map()
  readonly #byClaim: Index = new Map()
  /** Whether a Resource may say what it says where it stands: who may not takes no names. */
  readonly #isAdmitted: (resource: Declared<'Resource'>) => boolean

  constructor(isAdmitted: (resource: Declared<'Resource'>) => boolean) {
    this.#isAdmitted = isAdmitted
  }

  /** Takes a Resource as it is; answers the other Resources that are touched. */
  put(resource: Declared<'Resource'>): Set<ObjectName> {
    const touched = this.remove(resource)
    const name = nameOf(resource)
    const entry = { resource, names: exactNames(resource) }
    this.#entries.set(name, entry)
    for (const [index, key] of this.#keysOf(entry)) add(index, key, name)
    for (const other of this.#rivals(name)) touched.add(other)
    touched.delete(name)
    return touched
  }

  /** Forgets a Resource; answers those that are touched. */
  remove(resource: Declared<'Resource'>): Set<ObjectName> {
    const name = nameOf(resource)
    const entry = this.#entries.get(name)
    if (entry === undefined) return new Set()
    const touched = this.#rivals(name)
    for (const [index, key] of this.#keysOf(entry)) drop(index, key, name)
    this.#entries.delete(name)
    touched.delete(name)
    return touched
  }

  inNetwork(network: ObjectName): Iterable<ObjectName> {
    return this.#byNetwork.get(network) ?? []
  }

  withGroup(group: ObjectName): Iterable<ObjectName> {
    return this.#byGroup.get(group) ?? []
  }

  /** The older Resource that has one of this one's exact names. */
  taken(resource: Declared<'Resource'>): { name: string; by: ObjectName } | undefined {
    const rivals = [...this.#rivals(nameOf(resource))].flatMap(name => this.#entries.get(name) ?? [])
    if (rivals.length < 2) return undefined
    const admitted = rivals.filter(rival => this.#isAdmitted(rival.resource))
    const declared = admitted.map(({ resource: { metadata, spec } }) => ({
      uid: metadata.uid,
      createdAt: metadata.creationTimestamp,
      rule: normaliseRule(spec!),
    }))
    const found = takenNames(declared).get(resource.metadata.uid)
    const owner = admitted.find(rival => rival.resource.metadata.uid === found?.by)
    return found === undefined || owner === undefined ? undefined : { name: found.name, by: nameOf(owner.resource) }
  }

  /** All that share a name with it, or with one that does: whose names decide about its own. */
  #rivals(name: ObjectName): Set<ObjectName> {
    const found = new Set([name])
    for (const each of found) {
      const entry = this.#entries.get(each)
      for (const claim of claimsOf(entry)) for (const other of this.#byClaim.get(claim) ?? []) found.add(other)
    }
    return found
  }

  #keysOf(entry: Entry): [Index, string][] {
    return [
      [this.#byNetwork, networkOf(entry.resource)],
      ...groupsOf(entry.resource).map((name): [Index, string] => [this.#byGroup, name]),
      ...claimsOf(entry).map((name): [Index, string] => [this.#byClaim, name]),
    ]
  }
}

function claimsOf(entry: Entry | undefined): string[] {
  return entry === undefined ? [] : entry.names.map(name => `${networkOf(entry.resource)} ${name}`)
}

function exactNames({ invalid, spec }: Declared<'Resource'>): string[] {
  if (invalid !== undefined || spec === undefined) return []
  try {
    const { address, aliases } = normaliseRule(spec)
    return parseAddress(address).kind === 'name' ? [address, ...aliases] : aliases
  } catch (error) {
    // It is refused for itself.
    if (error instanceof PolicyError) return []
    throw error
  }
}

function add(index: Index, key: string, value: string): void {
  const set = index.get(key)
  if (set === undefined) index.set(key, new Set([value]))
  else set.add(value)
}

function drop(index: Index, key: string, value: string): void {
  const set = index.get(key)
  if (set?.delete(value) && set.size === 0) index.delete(key)
}
