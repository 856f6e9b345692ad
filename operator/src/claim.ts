import {
  type Declared as Declaration,
  exactNamesOf,
  type NormalRule,
  normaliseRule,
  PolicyError,
  takenNames,
} from '@sallyport/policy'
import { type Declared, nameOf, type ObjectName } from './object.ts'
import { groupName } from './plan/resource.ts'

type Index = Map<string, Set<ObjectName>>
type Entry = {
  resource: Declared<'Resource'>
  /** As policy judges it; undefined where it takes no names. */
  declaration: Declaration | undefined
  /** The exact names that it asks for, each with the network in which it does. */
  claims: readonly string[]
}
/** A name that belongs to an older Resource. */
export type Taken = { name: string; by: ObjectName }
/** Whether a Resource with that rule may say what it says where it stands. */
export type Admits = (resource: Declared<'Resource'>, rule: NormalRule) => boolean

/** Name of the RemoteNetwork that a Resource names. */
export function networkOf({ metadata, spec }: Declared<'Resource'>): ObjectName {
  const { name = '', namespace = metadata.namespace } = spec?.remoteNetworkRef ?? {}
  return `${namespace}/${name}`
}

/** Names of the Groups in a Resource's `access`. */
export function groupsOf({ metadata, spec }: Declared<'Resource'>): ObjectName[] {
  return (spec?.access ?? []).map(({ group }) => groupName(group, metadata.namespace))
}

/**
 * Resources by what they name: networks, Groups, exact names. A change only notes the names that it is about. Whose they are is decided when someone
 * asks, once for all changes until then: that costs as much as the Resources that are tied to those names have names, however they are tied.
 */
export class ResourceIndex {
  readonly #entries = new Map<ObjectName, Entry>()
  readonly #byNetwork: Index = new Map()
  readonly #byGroup: Index = new Map()
  readonly #byClaim: Index = new Map()
  readonly #taken = new Map<ObjectName, Taken>()
  /** Claims about which something has changed since it was decided whose they are. */
  readonly #open = new Set<string>()
  readonly #admits: Admits
  #touched = new Set<ObjectName>()

  /** Who is not admitted takes no names. */
  constructor(admits: Admits) {
    this.#admits = admits
  }

  /** Takes a Resource as it is. */
  put(resource: Declared<'Resource'>): void {
    const name = nameOf(resource)
    const before = this.#entries.get(name)
    const entry = entryOf(resource, this.#admits)
    if (before !== undefined) for (const [index, key] of this.#keysOf(before)) drop(index, key, name)
    this.#entries.set(name, entry)
    for (const [index, key] of this.#keysOf(entry)) add(index, key, name)
    if (!asksAlike(before, entry)) this.#reopen(name, before, entry)
  }

  /** Forgets a Resource. */
  remove(resource: Declared<'Resource'>): void {
    const name = nameOf(resource)
    const before = this.#entries.get(name)
    if (before === undefined) return
    for (const [index, key] of this.#keysOf(before)) drop(index, key, name)
    this.#entries.delete(name)
    this.#reopen(name, before)
  }

  /** Looks again at Resources whose admission may have changed. */
  readmit(names: Iterable<ObjectName>): void {
    for (const name of [...names]) {
      const entry = this.#entries.get(name)
      if (entry !== undefined) this.put(entry.resource)
    }
  }

  inNetwork(network: ObjectName): Iterable<ObjectName> {
    return this.#byNetwork.get(network) ?? []
  }

  withGroup(group: ObjectName): Iterable<ObjectName> {
    return this.#byGroup.get(group) ?? []
  }

  /** Whether something has changed since it was decided whose each name is. */
  get isOpen(): boolean {
    return this.#open.size > 0
  }

  /** The older Resource that has one of this one's exact names. */
  taken(resource: Declared<'Resource'>): Taken | undefined {
    this.#decide()
    return this.#taken.get(nameOf(resource))
  }

  /** Resources about which {@link taken} may answer something else than when this was asked last. */
  touched(): Set<ObjectName> {
    this.#decide()
    const touched = this.#touched
    this.#touched = new Set()
    return touched
  }

  #reopen(name: ObjectName, ...entries: (Entry | undefined)[]): void {
    for (const entry of entries) for (const claim of entry?.claims ?? []) this.#open.add(claim)
    // Nothing is decided about one that asks for nothing.
    this.#note(name, undefined)
  }

  #decide(): void {
    for (const claim of this.#open) this.#decideAmong(this.#tiedTo(claim))
  }

  #decideAmong(tied: readonly Entry[]): void {
    const names = new Map(tied.map(({ resource }) => [resource.metadata.uid, nameOf(resource)]))
    const taken = takenNames(tied.flatMap(({ declaration }) => declaration ?? []))
    for (const [uid, name] of names) {
      const found = taken.get(uid)
      this.#note(name, found && { name: found.name, by: names.get(found.by)! })
    }
  }

  #note(name: ObjectName, taken: Taken | undefined): void {
    const before = this.#taken.get(name)
    if (before?.name === taken?.name && before?.by === taken?.by) return
    this.#touched.add(name)
    if (taken === undefined) this.#taken.delete(name)
    else this.#taken.set(name, taken)
  }

  /** All that ask for a claim, or for another of one that does, and so on: they decide about each other. Each claim is followed once. */
  #tiedTo(claim: string): Entry[] {
    const reached = new Set([claim])
    const tied = new Set<ObjectName>()
    for (const each of reached) {
      this.#open.delete(each)
      for (const name of this.#byClaim.get(each) ?? []) {
        if (tied.has(name)) continue
        tied.add(name)
        for (const further of this.#entries.get(name)?.claims ?? []) reached.add(further)
      }
    }
    return [...tied].flatMap(name => this.#entries.get(name) ?? [])
  }

  #keysOf({ resource, claims }: Entry): [Index, string][] {
    return [
      [this.#byNetwork, networkOf(resource)],
      ...groupsOf(resource).map((name): [Index, string] => [this.#byGroup, name]),
      ...claims.map((name): [Index, string] => [this.#byClaim, name]),
    ]
  }
}

function entryOf(resource: Declared<'Resource'>, admits: Admits): Entry {
  const rule = ruleOf(resource)
  if (rule === undefined || !admits(resource, rule)) return { resource, declaration: undefined, claims: [] }
  const { uid, creationTimestamp: createdAt } = resource.metadata
  const network = networkOf(resource)
  return {
    resource,
    declaration: { uid, createdAt, rule },
    claims: exactNamesOf(rule).map(name => `${network} ${name}`),
  }
}

function ruleOf({ invalid, spec }: Declared<'Resource'>): NormalRule | undefined {
  if (invalid !== undefined || spec === undefined) return undefined
  try {
    return normaliseRule(spec)
  } catch (error) {
    // It is refused for itself.
    if (error instanceof PolicyError) return undefined
    throw error
  }
}

/** Whether the same is asked for, and with the same right. */
function asksAlike(before: Entry | undefined, after: Entry): boolean {
  const [one, other] = [before?.declaration, after.declaration]
  return (
    one?.uid === other?.uid && one?.createdAt === other?.createdAt && `${before?.claims ?? []}` === `${after.claims}`
  )
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
