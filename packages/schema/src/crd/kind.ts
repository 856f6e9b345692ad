import type { TObject, TSchema } from 'typebox'
import { type ConnectorSpec, ConnectorSpec as ConnectorSpecSchema } from './connector.ts'
import { type GroupSpec, GroupSpec as GroupSpecSchema } from './group.ts'
import { type RelaySpec, RelaySpec as RelaySpecSchema } from './relay.ts'
import { type RemoteNetworkSpec, RemoteNetworkSpec as RemoteNetworkSpecSchema } from './remote-network.ts'
import { type ResourceSpec, ResourceSpec as ResourceSpecSchema } from './resource.ts'
import { type PlacedRules, RELAY_RULES, REMOTE_NETWORK_RULES, RESOURCE_RULES } from './rule.ts'
import { ConnectorStatus, GroupStatus, RelayStatus, RemoteNetworkStatus, ResourceStatus } from './status.ts'

/** API group of the kinds. */
export const API_GROUP = 'sallyport.dev'
export const API_NAME = 'v1alpha1'
export const API_VERSION = `${API_GROUP}/${API_NAME}`

export const KINDS = ['RemoteNetwork', 'Connector', 'Resource', 'Group', 'Relay'] as const
export type Kind = (typeof KINDS)[number]

/** Spec of each kind. */
export type Specs = {
  RemoteNetwork: RemoteNetworkSpec
  Connector: ConnectorSpec
  Resource: ResourceSpec
  Group: GroupSpec
  Relay: RelaySpec
}

/** A column of `kubectl get`. */
export type PrinterColumn = { name: string; type: 'string' | 'integer' | 'date'; jsonPath: string; priority?: number }

/** All that makes a kind. */
export type KindTable = {
  plural: string
  singular: string
  shortNames: readonly string[]
  description: string
  spec: TObject
  /** Whether an object may leave out its spec. */
  specOptional: boolean
  status: TSchema
  rules: readonly PlacedRules[]
  columns: readonly PrinterColumn[]
}

const condition = (name: string, field: 'status' | 'reason', type = 'Ready', priority = 0): PrinterColumn => ({
  name,
  type: 'string',
  jsonPath: `.status.conditions[?(@.type=="${type}")].${field}`,
  ...(priority === 0 ? {} : { priority }),
})
const READY = [condition('Ready', 'status'), condition('Reason', 'reason')]
const AGE: PrinterColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }

/** The kinds of the API group. */
export const KIND_TABLE: Record<Kind, KindTable> = {
  RemoteNetwork: {
    plural: 'remotenetworks',
    singular: 'remotenetwork',
    shortNames: ['rn'],
    description: 'A private network that Connectors stand in: every Connector of it can reach every Resource of it.',
    spec: RemoteNetworkSpecSchema,
    specOptional: true,
    status: RemoteNetworkStatus,
    rules: REMOTE_NETWORK_RULES,
    columns: [
      { name: 'Connectors', type: 'integer', jsonPath: '.status.connectors.desired' },
      { name: 'Serving', type: 'integer', jsonPath: '.status.connectors.ready' },
      ...READY,
      AGE,
    ],
  },
  Connector: {
    plural: 'connectors',
    singular: 'connector',
    shortNames: ['cn'],
    description: 'One identity of a RemoteNetwork, for one running Connector.',
    spec: ConnectorSpecSchema,
    specOptional: false,
    status: ConnectorStatus,
    rules: [],
    columns: [
      { name: 'Network', type: 'string', jsonPath: '.spec.remoteNetworkRef.name' },
      { name: 'Version', type: 'string', jsonPath: '.status.version' },
      ...READY,
      { name: 'ID', type: 'string', jsonPath: '.status.connectorID', priority: 1 },
      AGE,
    ],
  },
  Resource: {
    plural: 'resources',
    singular: 'resource',
    shortNames: ['sres'],
    description: 'Something private that can be reached through a RemoteNetwork, and who may reach it.',
    spec: ResourceSpecSchema,
    specOptional: false,
    status: ResourceStatus,
    rules: RESOURCE_RULES,
    columns: [
      { name: 'Address', type: 'string', jsonPath: '.spec.address' },
      { name: 'Network', type: 'string', jsonPath: '.spec.remoteNetworkRef.name' },
      ...READY,
      AGE,
    ],
  },
  Group: {
    plural: 'groups',
    singular: 'group',
    shortNames: ['gr'],
    description:
      'People, by e-mail address and by groups of their identity provider: the only way from a person to a Resource.',
    spec: GroupSpecSchema,
    specOptional: true,
    status: GroupStatus,
    rules: [],
    columns: [{ name: 'Name', type: 'string', jsonPath: '.spec.displayName' }, ...READY, AGE],
  },
  Relay: {
    plural: 'relays',
    singular: 'relay',
    shortNames: ['rl'],
    description:
      'A meeting point that Clients and Connectors dial; it splices ciphertext. Each replica is one of its own.',
    spec: RelaySpecSchema,
    specOptional: false,
    status: RelayStatus,
    rules: RELAY_RULES,
    columns: [
      { name: 'Address', type: 'string', jsonPath: '.status.endpoints[0].address' },
      { name: 'Serving', type: 'integer', jsonPath: '.status.ready' },
      ...READY,
      AGE,
    ],
  },
}
