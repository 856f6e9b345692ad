import type { Kind } from '@sallyport/schema'
import {
  ALL_KINDS,
  type AnyKind,
  type ConfigMap,
  type Declared,
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

/** An object that is there, has changed or has gone. `listed`: its going was not told, it is missing from a list. */
export type Change = { kind: AnyKind; object: KubeObject; gone?: 'told' | 'listed' }

/** All objects as last seen. */
export class ObjectStore {
  readonly #kinds = new Map<AnyKind, Map<ObjectName, KubeObject>>(ALL_KINDS.map(kind => [kind, new Map()]))
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
    if (before !== undefined && !isNewer(object, before)) return
    const another = before !== undefined && before.metadata.uid !== object.metadata.uid
    this.#of(kind).set(nameOf(object), object)
    if (another) this.#onChange({ kind, object: before, gone: 'told' })
    this.#onChange({ kind, object })
  }

  /** `uid` keeps a late message from removing a successor of the same name. */
  remove(kind: AnyKind, object: KubeObject, gone: 'told' | 'listed'): void {
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

  #of(kind: AnyKind): Map<ObjectName, KubeObject> {
    return this.#kinds.get(kind)!
  }
}

/** What an answer has put in is not replaced by an event that was under way before it: versions of one object rise. */
function isNewer({ metadata }: KubeObject, before: KubeObject): boolean {
  const [version, known] = [metadata.resourceVersion, before.metadata.resourceVersion]
  if (metadata.uid !== before.metadata.uid || version === undefined || known === undefined) return true
  return /^[0-9]+$/.test(version + known) ? BigInt(version) > BigInt(known) : version !== known
}
