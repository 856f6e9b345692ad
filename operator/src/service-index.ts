import { normaliseName, ownServiceOf } from '@sallyport/policy'
import { type Declared, nameOf, type ObjectName, objectName } from './object.ts'

/** Resources by the Services that they have to do with: those that brought them, and those of their own namespace that they name. */
export class ServiceIndex {
  readonly #clusterDomain: string
  readonly #keys = new Map<ObjectName, string[]>()
  readonly #resources = new Map<string, Set<ObjectName>>()

  constructor(clusterDomain: string) {
    this.#clusterDomain = clusterDomain
  }

  put(resource: Declared<'Resource'>): void {
    this.remove(resource)
    const name = nameOf(resource)
    const keys = [...this.#owners(resource), ...this.#named(resource)]
    if (keys.length === 0) return
    this.#keys.set(name, keys)
    for (const key of keys) this.#resources.set(key, (this.#resources.get(key) ?? new Set()).add(name))
  }

  remove(resource: Declared<'Resource'>): void {
    const name = nameOf(resource)
    for (const key of this.#keys.get(name) ?? []) {
      const names = this.#resources.get(key)
      if (names?.delete(name) && names.size === 0) this.#resources.delete(key)
    }
    this.#keys.delete(name)
  }

  /** Resources that a Service owns. */
  ownedBy(service: { metadata: { uid?: string } }): Iterable<ObjectName> {
    return this.#resources.get(ownerKey(service.metadata.uid ?? '')) ?? []
  }

  /** Resources of the Service's namespace that name it. */
  naming(service: ObjectName): Iterable<ObjectName> {
    return this.#resources.get(nameKey(service)) ?? []
  }

  #owners({ metadata }: Declared<'Resource'>): string[] {
    return (metadata.ownerReferences ?? []).flatMap(({ kind, uid }) => (kind === 'Service' ? [ownerKey(uid)] : []))
  }

  #named({ metadata: { namespace }, spec }: Declared<'Resource'>): string[] {
    const where = { namespace, clusterDomain: this.#clusterDomain }
    const names = [spec?.address ?? '', ...(spec?.aliases ?? [])]
    const services = names.flatMap(name => ownServiceOf(normaliseName(name) ?? '', where) ?? [])
    return [...new Set(services)].map(service => nameKey(objectName(namespace, service)))
  }
}

const ownerKey = (uid: string) => `owner ${uid}`
const nameKey = (service: ObjectName) => `name ${service}`
