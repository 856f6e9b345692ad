import {
  COMPONENT_LABEL,
  CONNECTOR_LABEL,
  type Declared,
  FIELD_MANAGER,
  INDEX_LABEL,
  MANAGED_BY_LABEL,
  NETWORK_LABEL,
  RELAY_LABEL,
} from '../object.ts'

const NAME_LABEL = 'app.kubernetes.io/name'
const INSTANCE_LABEL = 'app.kubernetes.io/instance'
const PART_OF_LABEL = 'app.kubernetes.io/part-of'

/** Labels of an object that the operator makes and that is none of its components. */
export const partOfLabels = (): Record<string, string> => ({
  [PART_OF_LABEL]: 'sallyport',
  [MANAGED_BY_LABEL]: FIELD_MANAGER,
})

/** Labels of a child: those that Kubernetes recommends, and `own`. `instance` tells the children of a component apart. */
export function childLabels(
  component: 'connector' | 'relay' | 'controller',
  instance: string,
  own: Record<string, string> = {},
): Record<string, string> {
  return {
    [NAME_LABEL]: `sallyport-${component}`,
    [INSTANCE_LABEL]: instance,
    [COMPONENT_LABEL]: component,
    ...partOfLabels(),
    ...own,
  }
}

/** Labels of a Connector's children. */
export function connectorLabels(connector: Declared<'Connector'>): Record<string, string> {
  const network = connector.spec!.remoteNetworkRef.name
  return childLabels('connector', network, networkSelector(network, connector.metadata.name))
}

/** Labels by which the pods of a RemoteNetwork are found, or that of one of its Connectors. */
export function networkSelector(network: string, connector?: string): Record<string, string> {
  return { [NETWORK_LABEL]: network, ...(connector === undefined ? {} : { [CONNECTOR_LABEL]: connector }) }
}

/** Labels of the children of a Relay's replica. */
export function relayLabels(relay: Declared<'Relay'>, index: number): Record<string, string> {
  return childLabels('relay', relay.metadata.name, relaySelector(relay.metadata.name, index))
}

/** Labels by which the pods of a Relay are found, or that of one of its replicas. */
export function relaySelector(relay: string, index?: number): Record<string, string> {
  return { [RELAY_LABEL]: relay, ...(index === undefined ? {} : { [INDEX_LABEL]: String(index) }) }
}
