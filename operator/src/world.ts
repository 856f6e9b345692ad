import { type DeclaredKind, isKind, type Kind } from '@sallyport/schema'
import { ResourceIndex } from './claim.ts'
import { Gather, networkOfConnector } from './gather.ts'
import {
  type AnyKind,
  type Declared,
  isEnding,
  type KubeObject,
  NETWORK_LABEL,
  nameOf,
  type ObjectName,
  type Secret,
} from './object.ts'
import { planAuthority } from './plan/authority.ts'
import { planConnector } from './plan/connector.ts'
import { planExposure } from './plan/exposure.ts'
import { planGroup } from './plan/group.ts'
import { planNetwork } from './plan/network.ts'
import { type PublicUrlWorld, publicUrlOf } from './plan/public-url.ts'
import { planRelay, relayRowUids } from './plan/relay.ts'
import { planResource } from './plan/resource.ts'
import { type Context, type ControllerView, type Plan, runnerOf, type Settings } from './plan/step.ts'
import { ServiceIndex } from './service-index.ts'
import type { Change, ObjectStore } from './store.ts'

/** Plans what there is to do about each object, and says which objects a change concerns. */
export class World {
  readonly #store: ObjectStore
  readonly #controller: ControllerView
  readonly #settings: Settings
  readonly #gather: Gather
  readonly #index = new ResourceIndex((resource, rule) => this.#gather.admits(resource, rule))
  readonly #services: ServiceIndex

  /** Key of the object that declares each row. */
  readonly #byUid = new Map<string, string>()
  /** The installation's own Secrets that were deleted, by their names. */
  readonly #lost = new Map<string, Secret>()

  constructor(store: ObjectStore, controller: ControllerView, settings: Settings) {
    this.#store = store
    this.#controller = controller
    this.#settings = settings
    this.#gather = new Gather(store, settings)
    this.#services = new ServiceIndex(settings.clusterDomain)
  }

  /** Plans what there is to do about one object; undefined when it is not there, or is being deleted. */
  plan(kind: Kind, namespace: string, name: string, nowMs: number): Plan | undefined {
    const context = this.#context(nowMs)
    const object = this.#store.get(kind, namespace, name)
    if (object === undefined || isEnding(object)) return undefined
    switch (kind) {
      case 'RemoteNetwork':
        return planNetwork(this.#gather.network(object as Declared<'RemoteNetwork'>), context)
      case 'Connector':
        return planConnector(this.#gather.connector(object as Declared<'Connector'>), context)
      case 'Resource':
        return planResource(this.#gather.resource(object as Declared<'Resource'>, this.#index), context)
      case 'Group':
        return planGroup(object as Declared<'Group'>, context)
      case 'Relay':
        return planRelay(this.#gather.relay(object as Declared<'Relay'>), context)
    }
  }

  /** Plans the Resource of a Service; undefined when it has none and asks for none. */
  planExposure(namespace: string, name: string, nowMs: number): Plan | undefined {
    const service = this.#store.get('Service', namespace, name)
    if (service === undefined || isEnding(service)) return undefined
    const world = this.#gather.exposure(service, this.#services)
    return world === undefined ? undefined : planExposure(world, this.#context(nowMs))
  }

  /** Plans the installation CA and what hangs on it. */
  planAuthority(nowMs: number): Plan {
    const { namespace, names } = this.#settings
    const own = (name: string) => this.#store.get('Secret', namespace, name)
    const secrets = { ca: own(names.ca), controllerTls: own(names.controllerTls), storeKey: own(names.storeKey) }
    const lost = { ca: this.#lost.get(names.ca), storeKey: this.#lost.get(names.storeKey) }
    return planAuthority({ ...secrets, lost, ...this.#publicUrlWorld() }, this.#settings, nowMs)
  }

  /** PEM of the CAs that vouch for serving certificates. */
  get installationCa(): string | undefined {
    return this.#gather.installationCa
  }

  /** UIDs of all rows that objects declare. */
  declaredUids(): ReadonlySet<string> {
    return new Set(this.#byUid.keys())
  }

  declares(uid: string): boolean {
    return this.#byUid.has(uid)
  }

  /** Rows that an object declared, now that it is gone. */
  rowsOf(kind: Kind, object: KubeObject): { kind: DeclaredKind; uid: string }[] {
    const uid = object.metadata.uid ?? ''
    if (kind === 'Relay')
      return relayRowUids(object as unknown as Declared<'Relay'>).map(row => ({ kind: 'relay', uid: row }))
    const kinds = { RemoteNetwork: 'network', Connector: 'connector', Resource: 'resource', Group: 'group' } as const
    return [{ kind: kinds[kind], uid }]
  }

  /** UIDs of the rows that would fall with an object: its own, and those of what names it. */
  rowsFallingWith(kind: AnyKind, object: KubeObject): string[] {
    const own = isKind(kind) ? this.rowsOf(kind, object).map(({ uid }) => uid) : []
    const others = this.#naming(kind, object).flatMap(other => {
      const [kind, namespace, name] = other.split('/') as [Kind, string, string]
      return this.#store.get(kind, namespace, name)?.metadata.uid ?? []
    })
    return [...own, ...others]
  }

  /** UIDs for which something may be refused while an object is brought about: its own, those of its rows, and what runs its Connectors. */
  writtenWith(kind: AnyKind, object: KubeObject): string[] {
    const rows = isKind(kind) ? this.rowsOf(kind, object).map(({ uid }) => uid) : []
    const connectors = kind === 'RemoteNetwork' ? this.#gather.connectorsOf(nameOf(object)) : []
    return [object.metadata.uid ?? '', ...rows, ...connectors.map(({ metadata }) => runnerOf(metadata.uid))]
  }

  /** Takes note of a change. Answers the objects that it concerns, as keys; `names` stands for those that {@link renamed} answers. */
  concerned(change: Change): string[] {
    const concerned = this.#take(change)
    return this.#index.isOpen ? [...concerned, 'names'] : concerned
  }

  /** Resources, as keys, for which a name has come to be another's, or is so no more, since this was asked last. */
  renamed(): string[] {
    return keys('Resource', this.#index.touched())
  }

  /** Keys of the object that declares a row, and of those that wait for it. */
  concernedByRow(uid: string): string[] {
    const found = this.#byUid.get(uid)
    if (found === undefined) return []
    const [kind, namespace, name] = found.split('/') as [Kind, string, string]
    if (kind === 'RemoteNetwork') return [found, ...this.#ofNetwork(`${namespace}/${name}`)]
    const connector = kind === 'Connector' ? this.#store.get(kind, namespace, name) : undefined
    return connector === undefined ? [found] : [found, key('RemoteNetwork', networkOfConnector(connector))]
  }

  /** Keys of everything. */
  allKeys(): string[] {
    const kinds = ['RemoteNetwork', 'Relay', 'Connector', 'Group', 'Resource'] as const
    const exposed = [...this.#store.all('Service')].filter(
      service => this.#gather.exposure(service, this.#services) !== undefined,
    )
    return [
      'authority',
      ...kinds.flatMap(kind => [...this.#store.all(kind)].map(object => key(kind, nameOf(object)))),
      ...exposed.map(service => `Service/${nameOf(service)}`),
    ]
  }

  #take({ kind, object, gone }: Change): string[] {
    const name = nameOf(object)
    if (isKind(kind)) this.#remember(kind, object, gone !== undefined)
    switch (kind) {
      case 'RemoteNetwork':
        this.#index.readmit(this.#index.inNetwork(name))
        return [key(kind, name), ...this.#naming(kind, object)]
      case 'Connector': {
        const connector = object as unknown as Declared<'Connector'>
        return [key(kind, name), key('RemoteNetwork', networkOfConnector(connector))]
      }
      case 'Resource': {
        const resource = object as unknown as Declared<'Resource'>
        for (const index of [this.#index, this.#services]) {
          if (gone === undefined) index.put(resource)
          else index.remove(resource)
        }
        return [key(kind, name), ...ownersOf(object)]
      }
      case 'Group':
        return [key(kind, name), ...this.#naming(kind, object)]
      case 'Relay':
        return [key(kind, name)]
      case 'Namespace': {
        const standing = this.#standingIn(object.metadata.name)
        this.#index.readmit(standing)
        return keys('Resource', standing)
      }
      case 'Node':
        return [
          ...(this.#settings.controllerService === undefined ? [] : ['authority']),
          ...[...this.#store.all('Relay')]
            .filter(({ spec }) => spec?.address?.fromService === true)
            .map(relay => key('Relay', nameOf(relay))),
        ]
      case 'Secret':
        if (this.#isAuthority(object)) {
          if (gone === undefined) this.#lost.delete(object.metadata.name)
          else this.#lost.set(object.metadata.name, object as Secret)
          return ['authority', ...this.#withSecrets()]
        }
        return [...ownersOf(object), ...relayOfIssued(object)]
      case 'ConfigMap':
        return ['authority', ...this.#withSecrets()]
      case 'Service':
        this.#index.readmit(this.#services.naming(name))
        return [
          ...(this.#isControllerService(object) ? ['authority'] : []),
          ...ownersOf(object),
          ...(gone === undefined && this.#gather.exposure(object, this.#services) !== undefined
            ? [`Service/${name}`]
            : []),
          ...keys('Resource', this.#services.naming(name)),
        ]
      case 'Deployment':
      case 'PodDisruptionBudget':
        return ownersOf(object)
    }
  }

  #context(nowMs: number): Context {
    return {
      ...{ nowMs, settings: this.#settings, controller: this.#controller },
      publicUrl: publicUrlOf(this.#publicUrlWorld(), this.#settings),
    }
  }

  #remember(kind: Kind, object: KubeObject, isGone: boolean): void {
    const own = key(kind, nameOf(object))
    for (const { uid } of this.rowsOf(kind, object)) {
      if (!isGone) this.#byUid.set(uid, own)
      else if (this.#byUid.get(uid) === own) this.#byUid.delete(uid)
    }
  }

  /** Keys of the Connectors and Resources that name an object, or that stand in it. */
  #naming(kind: AnyKind, object: KubeObject): string[] {
    const name = nameOf(object)
    if (kind === 'RemoteNetwork') return this.#ofNetwork(name)
    if (kind === 'Group') return keys('Resource', this.#index.withGroup(name))
    if (kind === 'Service') return keys('Resource', this.#services.naming(name))
    return kind === 'Namespace' ? keys('Resource', this.#standingIn(object.metadata.name)) : []
  }

  #standingIn(namespace: string): ObjectName[] {
    return [...this.#store.all('Resource')].filter(({ metadata }) => metadata.namespace === namespace).map(nameOf)
  }

  #ofNetwork(name: ObjectName): string[] {
    return [
      ...this.#gather.connectorsOf(name).map(connector => key('Connector', nameOf(connector))),
      ...keys('Resource', this.#index.inNetwork(name)),
    ]
  }

  #isAuthority({ metadata: { name, namespace } }: KubeObject): boolean {
    const { names } = this.#settings
    return namespace === this.#settings.namespace && [names.ca, names.controllerTls, names.storeKey].includes(name)
  }

  #isControllerService({ metadata: { name, namespace } }: KubeObject): boolean {
    return namespace === this.#settings.namespace && name === this.#settings.controllerService
  }

  #publicUrlWorld(): PublicUrlWorld {
    const { namespace, names, controllerService } = this.#settings
    return {
      service: controllerService === undefined ? undefined : this.#store.get('Service', namespace, controllerService),
      nodes: [...this.#store.all('Node')],
      login: this.#store.get('ConfigMap', namespace, names.login),
    }
  }

  #withSecrets(): string[] {
    const kinds = ['Connector', 'Relay'] as const
    return kinds.flatMap(kind => [...this.#store.all(kind)].map(object => key(kind, nameOf(object))))
  }
}

export const key = (kind: Kind, name: ObjectName): string => `${kind}/${name}`
const keys = (kind: Kind, names: Iterable<ObjectName>) => [...names].map(name => key(kind, name))

/** The Relay for one of whose replicas the Secret may hold a certificate that someone else has issued. */
function relayOfIssued({ metadata }: KubeObject): string[] {
  const [, relay] = /^(.+)-[0-9]+-tls$/.exec(metadata.name) ?? []
  return relay === undefined ? [] : [`Relay/${metadata.namespace}/${relay}`]
}

/** Owners of a child, and the RemoteNetwork with which those of all its Connectors are planned. */
function ownersOf({ metadata }: KubeObject): string[] {
  const { namespace, ownerReferences = [], labels = {} } = metadata
  const network = labels[NETWORK_LABEL]
  return [
    ...ownerReferences.map(({ kind, name }) => `${kind}/${namespace}/${name}`),
    ...(network === undefined ? [] : [key('RemoteNetwork', `${namespace}/${network}`)]),
  ]
}
