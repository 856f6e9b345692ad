import { admitRule, type Declarer, NAMESPACE_NAME_LABEL, type NormalRule, type ServiceTarget } from '@sallyport/policy'
import { groupsOf, networkOf, type ResourceIndex } from './claim.ts'
import { type Declared, isEnding, isOwnedBy, type KubeObject, nameOf, type ObjectName, RELAY_LABEL } from './object.ts'
import { installationCaOf } from './plan/authority.ts'
import { type ConnectorWorld, connectorChildName } from './plan/connector.ts'
import { EXPOSE_ANNOTATION, type ExposureWorld, type ServiceFields } from './plan/exposure.ts'
import { type NetworkWorld, networkBudgetName } from './plan/network.ts'
import { relayBudgetName } from './plan/relay.ts'
import type { RelayWorld } from './plan/replica.ts'
import { isUsable, type ResourceWorld } from './plan/resource.ts'
import type { Settings } from './plan/step.ts'
import type { ServiceIndex } from './service-index.ts'
import type { ObjectStore } from './store.ts'

/** Gathers from the store all that decides about one object. */
export class Gather {
  readonly #store: ObjectStore
  readonly #settings: Settings

  constructor(store: ObjectStore, settings: Settings) {
    this.#store = store
    this.#settings = settings
  }

  /** PEM of the CAs that vouch for serving certificates. */
  get installationCa(): string | undefined {
    const { namespace, names } = this.#settings
    return installationCaOf(this.#store.get('Secret', namespace, names.ca), this.#settings)
  }

  network(network: Declared<'RemoteNetwork'>): NetworkWorld {
    const { namespace, name } = network.metadata
    const members = this.connectorsOf(nameOf(network))
      .filter(connector => !isEnding(connector))
      .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
      .map(connector => ({ connector, ...this.#childrenOf(connector) }))
    const budget = ownedBy(network, this.#store.get('PodDisruptionBudget', namespace, networkBudgetName(name)))
    return { network, members, budget }
  }

  connector(connector: Declared<'Connector'>): ConnectorWorld {
    const network = connector.spec?.remoteNetworkRef.name ?? ''
    return {
      connector,
      network: declared(this.#store.get('RemoteNetwork', connector.metadata.namespace, network)),
      ...this.#childrenOf(connector),
      installationCa: this.installationCa,
    }
  }

  resource(resource: Declared<'Resource'>, index: ResourceIndex): ResourceWorld {
    const network = this.#networkOf(resource)
    return {
      resource,
      network,
      declarer: network === undefined ? undefined : this.#declarer(resource, network),
      groups: groupsOf(resource).map(name => {
        const group = declared(this.#store.get('Group', ...split(name)))
        return group?.invalid === undefined ? group : undefined
      }),
      taken: index.taken(resource),
    }
  }

  relay(relay: Declared<'Relay'>): RelayWorld {
    const { namespace, name } = relay.metadata
    const isChild = (object: KubeObject) =>
      object.metadata.namespace === namespace &&
      object.metadata.labels?.[RELAY_LABEL] === name &&
      isOwnedBy(object, relay)
    const children = <T extends KubeObject>(all: Iterable<T>): T[] => [...all].filter(isChild)
    return {
      relay,
      secrets: children(this.#store.all('Secret')),
      deployments: children(this.#store.all('Deployment')),
      services: children(this.#store.all('Service')),
      nodes: [...this.#store.all('Node')],
      budget: ownedBy(relay, this.#store.get('PodDisruptionBudget', namespace, relayBudgetName(name))),
      installationCa: this.installationCa,
      issued: [...this.#store.all('Secret')].filter(({ metadata }) => metadata.namespace === namespace),
    }
  }

  /** Undefined where a Service neither asks to be exposed nor is. */
  exposure(service: KubeObject, index: ServiceIndex): ExposureWorld | undefined {
    const children = [...index.ownedBy(service)].flatMap(name => this.#store.get('Resource', ...split(name)) ?? [])
    if (service.metadata.annotations?.[EXPOSE_ANNOTATION] === undefined && children.length === 0) return undefined
    const { namespace = '' } = service.metadata
    return { service, children, find: name => this.#store.get('Resource', namespace, name) }
  }

  /** Whether a Resource with that rule may say what it says where it stands. */
  admits(resource: Declared<'Resource'>, rule: NormalRule): boolean {
    const network = this.#networkOf(resource)
    if (network === undefined || !isUsable(network, this.#settings.managedNamespaces)) return false
    return admitRule(rule, this.#declarer(resource, network)).allow
  }

  connectorsOf(network: ObjectName): Declared<'Connector'>[] {
    return [...this.#store.all('Connector')].filter(
      connector => connector.invalid === undefined && networkOfConnector(connector) === network,
    )
  }

  #childrenOf(connector: Declared<'Connector'>) {
    const { namespace, name } = connector.metadata
    const child = connectorChildName(name)
    return {
      secret: ownedBy(connector, this.#store.get('Secret', namespace, child)),
      deployment: ownedBy(connector, this.#store.get('Deployment', namespace, child)),
    }
  }

  #declarer({ metadata: { namespace } }: Declared<'Resource'>, network: Declared<'RemoteNetwork'>): Declarer {
    const labels = this.#store.get('Namespace', '', namespace)?.metadata.labels
    return {
      namespace,
      namespaceLabels: { [NAMESPACE_NAME_LABEL]: namespace, ...labels },
      knowsLabels: this.#settings.readsCluster,
      network: {
        namespace: network.metadata.namespace,
        allowedNamespaces: network.spec?.allowedNamespaces ?? [],
      },
      clusterDomain: this.#settings.clusterDomain,
      serviceTarget: name => serviceTarget(this.#store.get('Service', namespace, name)),
    }
  }

  #networkOf(resource: Declared<'Resource'>): Declared<'RemoteNetwork'> | undefined {
    return declared(this.#store.get('RemoteNetwork', ...split(networkOf(resource))))
  }
}

/** Name of the RemoteNetwork that a Connector names. */
export const networkOfConnector = ({ metadata, spec }: Declared<'Connector'>): ObjectName =>
  `${metadata.namespace}/${spec?.remoteNetworkRef.name}`

/** What is being deleted is not declared. */
function declared<T extends Declared>(object: T | undefined): T | undefined {
  return object === undefined || isEnding(object) ? undefined : object
}

/** A child of `owner`: what stands under the name of one may be anyone's. */
function ownedBy<T extends KubeObject>(owner: Declared, child: T | undefined): T | undefined {
  return child !== undefined && isOwnedBy(child, owner) ? child : undefined
}

function serviceTarget(service: KubeObject | undefined): ServiceTarget {
  if (service === undefined) return 'none'
  const { type, selector = {} } = (service as ServiceFields).spec ?? {}
  if (type === 'ExternalName') return 'externalName'
  return Object.keys(selector).length === 0 ? 'noSelector' : 'pods'
}

function split(name: ObjectName): [string, string] {
  const slash = name.indexOf('/')
  return [name.slice(0, slash), name.slice(slash + 1)]
}
