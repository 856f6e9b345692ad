import { isKind, KINDS, type Kind } from '@sallyport/schema'
import {
  ALL_KINDS,
  type AnyKind,
  type ConfigMap,
  type Declared,
  isEnding,
  type KubeObject,
  nameOf,
  type ObjectName,
  objectName,
  type Secret,
} from './object.ts'

type Stored = {
  [K in Kind]: Declared<K>
} & {
  Namespace: KubeObject
  Node: KubeObject
  Secret: Secret
  ConfigMap: ConfigMap
  Service: KubeObject
  Deployment: KubeObject
  PodDisruptionBudget: KubeObject
}

/**
 * An object that is there, has changed or has gone. `listed`: its going was not told, a list lacks it. `missing`: a list lacks it, and it stays until
 * it is let go. What someone has declared is gone as soon as it is deleted, though a finalizer may keep it in the store for as long as it likes.
 */
export type Change = { kind: AnyKind; object: KubeObject; gone?: 'told' | 'listed'; missing?: true }

/** Kinds that rows in the Controller rest on: a broken list of them must not take rows away. */
const HELD_KINDS: readonly AnyKind[] = [...KINDS, 'Namespace', 'Service']

/** Deleted objects that are remembered. */
const MAX_DELETED = 10_000

/** All objects as last seen. Those that only a list lacks are among them until they are let go. */
export class ObjectStore {
  readonly #kinds = new Map<AnyKind, Map<ObjectName, KubeObject>>(ALL_KINDS.map(kind => [kind, new Map()]))
  readonly #missing = new Map<AnyKind, Set<ObjectName>>(HELD_KINDS.map(kind => [kind, new Set()]))
  /** Version at which each UID was deleted: what is older, such as the answer to a write that crossed the deletion, brings no one back. */
  readonly #deleted = new Map<string, string>()
  readonly #onChange: (change: Change) => void

  constructor(onChange: (change: Change) => void) {
    this.#onChange = onChange
  }

  get<K extends AnyKind>(kind: K, namespace: string, name: string): Stored[K] | undefined {
    // Objects are put under their own kind only.
    return this.#of(kind).get(objectName(namespace, name)) as Stored[K] | undefined
  }

  all<K extends AnyKind>(kind: K): IterableIterator<Stored[K]> {
    return this.#of(kind).values() as IterableIterator<KubeObject> as IterableIterator<Stored[K]>
  }

  count(kind: AnyKind): number {
    return this.#of(kind).size
  }

  put(kind: AnyKind, object: KubeObject): void {
    const before = this.#of(kind).get(nameOf(object))
    if (this.#isBuried(object)) return
    const wasMissing = this.#missing.get(kind)?.delete(nameOf(object))
    if (before !== undefined && !isNewer(object, before)) {
      if (wasMissing) this.#tell(kind, before)
      return
    }
    const another = before !== undefined && before.metadata.uid !== object.metadata.uid
    if (another) this.#bury(before, object)
    this.#of(kind).set(nameOf(object), object)
    if (another) this.#onChange({ kind, object: before, gone: 'told' })
    this.#tell(kind, object)
  }

  /** `uid` keeps a late message from removing a successor of the same name. */
  remove(kind: AnyKind, object: KubeObject, gone: 'told' | 'listed'): void {
    if (gone === 'told') this.#bury(object, object)
    const before = this.#of(kind).get(nameOf(object))
    if (before === undefined || before.metadata.uid !== object.metadata.uid) return
    this.#of(kind).delete(nameOf(object))
    this.#missing.get(kind)?.delete(nameOf(object))
    this.#onChange({ kind, object: before, gone })
  }

  /** Takes a whole list of what `covers`, as it was at `version`: what is older and not in it is missing. */
  replace(
    kind: AnyKind,
    objects: readonly KubeObject[],
    covers: (object: KubeObject) => boolean = () => true,
    version?: string,
  ): void {
    const listed = new Set(objects.map(nameOf))
    for (const [name, object] of this.#of(kind)) {
      if (!listed.has(name) && covers(object) && !isMadeAfter(object, version)) this.miss(kind, object)
    }
    for (const object of objects) this.put(kind, object)
  }

  /** Takes note that a list lacks an object. A child of the operator's, which is only made again, has gone with that. */
  miss(kind: AnyKind, object: KubeObject): void {
    const missing = this.#missing.get(kind)
    if (missing === undefined) this.remove(kind, object, 'listed')
    else if (!missing.has(nameOf(object))) {
      missing.add(nameOf(object))
      this.#onChange({ kind, object, missing: true })
    }
  }

  isMissing(kind: AnyKind, namespace: string, name: string): boolean {
    return this.#missing.get(kind)?.has(objectName(namespace, name)) ?? false
  }

  /** What the last lists lack. */
  missing(): { kind: AnyKind; object: KubeObject }[] {
    return [...this.#missing].flatMap(([kind, names]) =>
      [...names].map(name => ({ kind, object: this.#of(kind).get(name)! })),
    )
  }

  /** Takes an object for gone that is still missing. Answers whether it was. */
  letGo(kind: AnyKind, object: KubeObject): boolean {
    const { namespace = '', name, uid } = object.metadata
    const isMissing = this.isMissing(kind, namespace, name) && this.#of(kind).get(nameOf(object))?.metadata.uid === uid
    if (isMissing) this.remove(kind, object, 'listed')
    return isMissing
  }

  #tell(kind: AnyKind, object: KubeObject): void {
    this.#onChange(isKind(kind) && isEnding(object) ? { kind, object, gone: 'told' } : { kind, object })
  }

  #bury({ metadata: { uid } }: KubeObject, { metadata: { resourceVersion } }: KubeObject): void {
    if (uid === undefined || resourceVersion === undefined) return
    this.#deleted.set(uid, resourceVersion)
    const [oldest] = this.#deleted.keys()
    if (this.#deleted.size > MAX_DELETED) this.#deleted.delete(oldest!)
  }

  #isBuried({ metadata: { uid = '', resourceVersion } }: KubeObject): boolean {
    const deletedAt = this.#deleted.get(uid)
    return deletedAt !== undefined && resourceVersion !== undefined && !isLater(resourceVersion, deletedAt)
  }

  #of(kind: AnyKind): Map<ObjectName, KubeObject> {
    return this.#kinds.get(kind)!
  }
}

/** What an answer has put in is not replaced by an event that was under way before it: versions of one object rise. */
function isNewer({ metadata }: KubeObject, before: KubeObject): boolean {
  const [version, known] = [metadata.resourceVersion, before.metadata.resourceVersion]
  if (metadata.uid !== before.metadata.uid || version === undefined || known === undefined) return true
  return isLater(version, known)
}

/** Versions of one kind rise through all its objects. */
function isMadeAfter({ metadata: { resourceVersion } }: KubeObject, version: string | undefined): boolean {
  if (resourceVersion === undefined || version === undefined || !/^[0-9]+$/.test(resourceVersion + version))
    return false
  return BigInt(resourceVersion) > BigInt(version)
}

function isLater(version: string, known: string): boolean {
  return /^[0-9]+$/.test(version + known) ? BigInt(version) > BigInt(known) : version !== known
}
