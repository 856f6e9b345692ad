import { isKind, type Kind } from '@sallyport/schema'
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
 * An object that is there, has changed or has gone. `listed`: its going was not told, it is missing from a list. What someone has declared is gone as
 * soon as it is deleted, though a finalizer may keep it in the store for as long as it likes.
 */
export type Change = { kind: AnyKind; object: KubeObject; gone?: 'told' | 'listed' }

/** Deleted objects that are remembered. */
const MAX_DELETED = 10_000

/** All objects as last seen. */
export class ObjectStore {
  readonly #kinds = new Map<AnyKind, Map<ObjectName, KubeObject>>(ALL_KINDS.map(kind => [kind, new Map()]))
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
    if (before !== undefined && !isNewer(object, before)) return
    const another = before !== undefined && before.metadata.uid !== object.metadata.uid
    if (another) this.#bury(before, object)
    this.#of(kind).set(nameOf(object), object)
    if (another) this.#onChange({ kind, object: before, gone: 'told' })
    this.#onChange(isKind(kind) && isEnding(object) ? { kind, object, gone: 'told' } : { kind, object })
  }

  /** `uid` keeps a late message from removing a successor of the same name. */
  remove(kind: AnyKind, object: KubeObject, gone: 'told' | 'listed'): void {
    if (gone === 'told') this.#bury(object, object)
    const before = this.#of(kind).get(nameOf(object))
    if (before === undefined || before.metadata.uid !== object.metadata.uid) return
    this.#of(kind).delete(nameOf(object))
    this.#onChange({ kind, object: before, gone })
  }

  /** Takes a whole list of what `covers`; what is missing from it has gone. */
  replace(kind: AnyKind, objects: readonly KubeObject[], covers: (object: KubeObject) => boolean = () => true): void {
    const listed = new Set(objects.map(nameOf))
    for (const [name, object] of this.#of(kind)) {
      if (!listed.has(name) && covers(object)) this.remove(kind, object, 'listed')
    }
    for (const object of objects) this.put(kind, object)
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

function isLater(version: string, known: string): boolean {
  return /^[0-9]+$/.test(version + known) ? BigInt(version) > BigInt(known) : version !== known
}
