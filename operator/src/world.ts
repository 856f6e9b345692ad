import { admitRule, normaliseRule, PolicyError } from '@sallyport/policy'
import { type DeclaredKind, isKind, type Kind } from '@sallyport/schema'
import { groupsOf, networkOf, ResourceIndex } from './claim.ts'
import { type Declared, type KubeObject, NETWORK_LABEL, nameOf, type ObjectName, RELAY_LABEL } from './object.ts'
import {
  CA_SECRET,
  CONTROLLER_TLS_SECRET,
  installationCaOf,
  planAuthority,
  STORE_KEY_SECRET,
} from './plan/authority.ts'
import { connectorChildName, planConnector } from './plan/connector.ts'
import { planGroup } from './plan/group.ts'
import { networkBudgetName, planNetwork } from './plan/network.ts'
import { planRelay, relayBudgetName, relayRowUids } from './plan/relay.ts'
import { planResource } from './plan/resource.ts'
import type { Context, ControllerView, Plan, Settings } from './plan/step.ts'
import type { Change, ObjectStore } from './store.ts'

const LABEL_NAME = 'kubernetes.io/metadata.name'

/** Gathers for each object what decides about it, and says which objects a change concerns. */
export class World {
  readonly #store: ObjectStore
  readonly #controller: ControllerView
  readonly #settings: Settings
  readonly #index = new ResourceIndex(resource => this.#isAdmitted(resource))

  /** Key of the object that declares each row. */
  readonly #byUid = new Map<string, string>()

  constructor(store: ObjectStore, controller: ControllerView, settings: Settings) {
    this.#store = store
    this.#controller = controller
    this.#settings = settings
  }

  /** Plans what there is to do about one object; undefined when it is not there. */
  plan(kind: Kind, namespace: string, name: string, nowMs: number): Plan | undefined {
    const context: Context = { nowMs, settings: this.#settings, controller: this.#controller }
    const object = this.#store.get(kind, namespace, name)
    if (object === undefined || object.metadata.deletionTimestamp !== undefined) return undefined
    switch (kind) {
      case 'RemoteNetwork': {
        const network = object as Declared<'RemoteNetwork'>
        return planNetwork(this.#networkWorld(network), context)
      }
      case 'Connector':
        return planConnector(this.#connectorWorld(object as Declared<'Connector'>), context)
      case 'Resource':
        return planResource(this.#resourceWorld(object as Declared<'Resource'>), context)
      case 'Group':
        return planGroup(object as Declared<'Group'>, context)
      case 'Relay':
        return planRelay(this.#relayWorld(object as Declared<'Relay'>), context)
    }
  }

  /** Plans the installation CA and what hangs on it. */
  planAuthority(nowMs: number): Plan {
    const own = (name: string) => this.#store.get('Secret', this.#settings.namespace, name)
    const world = { ca: own(CA_SECRET), controllerTls: own(CONTROLLER_TLS_SECRET), storeKey: own(STORE_KEY_SECRET) }
    return planAuthority(world, this.#settings, nowMs)
  }

  /** PEM of the CAs that vouch for serving certificates. */
  get installationCa(): string | undefined {
    return installationCaOf(this.#store.get('Secret', this.#settings.namespace, CA_SECRET))
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

  /** Objects that a change concerns, as keys. */
  concerned({ kind, object, gone }: Change): string[] {
    const name = nameOf(object)
    if (isKind(kind)) this.#remember(kind, object, gone !== undefined)
    switch (kind) {
      case 'RemoteNetwork':
        return [key(kind, name), ...this.#ofNetwork(name)]
      case 'Connector': {
        const connector = object as unknown as Declared<'Connector'>
        return [key(kind, name), key('RemoteNetwork', networkOfConnector(connector))]
      }
      case 'Resource': {
        const resource = object as unknown as Declared<'Resource'>
        const touched = gone === undefined ? this.#index.put(resource) : this.#index.remove(resource)
        return [key(kind, name), ...keys('Resource', touched)]
      }
      case 'Group':
        return [key(kind, name), ...keys('Resource', this.#index.withGroup(name))]
      case 'Relay':
        return [key(kind, name)]
      case 'Namespace':
        return [...this.#store.all('Resource')]
          .filter(({ metadata }) => metadata.namespace === object.metadata.name)
          .map(resource => key('Resource', nameOf(resource)))
      case 'Node':
        return [...this.#store.all('Relay')]
          .filter(({ spec }) => spec?.address?.fromService === true)
          .map(relay => key('Relay', nameOf(relay)))
      case 'Secret':
        return isAuthority(object) ? ['authority', ...this.#withSecrets()] : ownersOf(object)
      case 'Service':
      case 'Deployment':
      case 'PodDisruptionBudget':
        return ownersOf(object)
    }
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
    return ['authority', ...kinds.flatMap(kind => [...this.#store.all(kind)].map(object => key(kind, nameOf(object))))]
  }

  #remember(kind: Kind, object: KubeObject, isGone: boolean): void {
    const own = key(kind, nameOf(object))
    for (const { uid } of this.rowsOf(kind, object)) {
      if (!isGone) this.#byUid.set(uid, own)
      else if (this.#byUid.get(uid) === own) this.#byUid.delete(uid)
    }
  }

  #ofNetwork(name: ObjectName): string[] {
    return [
      ...this.#connectorsOf(name).map(connector => key('Connector', nameOf(connector))),
      ...keys('Resource', this.#index.inNetwork(name)),
    ]
  }

  #withSecrets(): string[] {
    const kinds = ['Connector', 'Relay'] as const
    return kinds.flatMap(kind => [...this.#store.all(kind)].map(object => key(kind, nameOf(object))))
  }

  #connectorsOf(network: ObjectName): Declared<'Connector'>[] {
    return [...this.#store.all('Connector')].filter(
      connector => connector.invalid === undefined && networkOfConnector(connector) === network,
    )
  }

  #networkWorld(network: Declared<'RemoteNetwork'>) {
    const { namespace, name } = network.metadata
    const members = this.#connectorsOf(nameOf(network))
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
      .map(connector => {
        const child = connectorChildName(connector.metadata.name)
        const secret = this.#store.get('Secret', namespace, child)
        return { connector, secret, deployment: this.#store.get('Deployment', namespace, child) }
      })
    return { network, members, budget: this.#store.get('PodDisruptionBudget', namespace, networkBudgetName(name)) }
  }

  #connectorWorld(connector: Declared<'Connector'>) {
    const { namespace, name } = connector.metadata
    const network = connector.spec?.remoteNetworkRef.name ?? ''
    const child = connectorChildName(name)
    return {
      connector,
      network: this.#store.get('RemoteNetwork', namespace, network),
      secret: this.#store.get('Secret', namespace, child),
      deployment: this.#store.get('Deployment', namespace, child),
      installationCa: this.installationCa,
    }
  }

  #resourceWorld(resource: Declared<'Resource'>) {
    return {
      resource,
      network: this.#networkOf(resource),
      namespaceLabels: this.#labelsOf(resource.metadata.namespace),
      groups: groupsOf(resource).map(name => {
        const group = this.#store.get('Group', ...split(name))
        return group?.invalid === undefined ? group : undefined
      }),
      taken: this.#index.taken(resource),
    }
  }

  #relayWorld(relay: Declared<'Relay'>) {
    const { namespace, name } = relay.metadata
    const children = <T extends KubeObject>(all: Iterable<T>): T[] =>
      [...all].filter(({ metadata }) => metadata.namespace === namespace && metadata.labels?.[RELAY_LABEL] === name)
    return {
      relay,
      secrets: children(this.#store.all('Secret')),
      deployments: children(this.#store.all('Deployment')),
      services: children(this.#store.all('Service')),
      nodes: [...this.#store.all('Node')],
      budget: this.#store.get('PodDisruptionBudget', namespace, relayBudgetName(name)),
      installationCa: this.installationCa,
    }
  }

  #networkOf(resource: Declared<'Resource'>): Declared<'RemoteNetwork'> | undefined {
    return this.#store.get('RemoteNetwork', ...split(networkOf(resource)))
  }

  #labelsOf(namespace: string): Record<string, string> {
    return { [LABEL_NAME]: namespace, ...this.#store.get('Namespace', '', namespace)?.metadata.labels }
  }

  #isAdmitted(resource: Declared<'Resource'>): boolean {
    const network = this.#networkOf(resource)
    if (network === undefined) return false
    const { namespace } = resource.metadata
    const { clusterDomain } = this.#settings
    const owner = { namespace: network.metadata.namespace, allowedNamespaces: network.spec?.allowedNamespaces ?? [] }
    const declarer = { namespace, namespaceLabels: this.#labelsOf(namespace), network: owner, clusterDomain }
    try {
      return admitRule(normaliseRule(resource.spec!), declarer).allow
    } catch (error) {
      if (error instanceof PolicyError) return false
      throw error
    }
  }
}

export const key = (kind: Kind, name: ObjectName): string => `${kind}/${name}`
const keys = (kind: Kind, names: Iterable<ObjectName>) => [...names].map(name => key(kind, name))

function split(name: ObjectName): [string, string] {
  const slash = name.indexOf('/')
  return [name.slice(0, slash), name.slice(slash + 1)]
}

const networkOfConnector = ({ metadata, spec }: Declared<'Connector'>): ObjectName =>
  `${metadata.namespace}/${spec?.remoteNetworkRef.name}`

const isAuthority = ({ metadata: { name } }: KubeObject) =>
  [CA_SECRET, CONTROLLER_TLS_SECRET, STORE_KEY_SECRET].includes(name)

/** Owners of a child, and the RemoteNetwork with which those of all its Connectors are planned. */
function ownersOf({ metadata }: KubeObject): string[] {
  const { namespace, ownerReferences = [], labels = {} } = metadata
  const network = labels[NETWORK_LABEL]
  return [
    ...ownerReferences.map(({ kind, name }) => `${kind}/${namespace}/${name}`),
    ...(network === undefined ? [] : [key('RemoteNetwork', `${namespace}/${network}`)]),
  ]
}
