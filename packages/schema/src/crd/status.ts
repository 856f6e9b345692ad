import Type, { type Static, type TProperties } from 'typebox'
import { ConnectorId, HostPort, oneOf, strict, TimeText, Uid } from '../common.ts'
import { MAX_RELAYS, MAX_TEXT } from '../limit.ts'

export const Condition = Type.Object(
  {
    type: Type.String({ minLength: 1, maxLength: 64, description: 'What the condition speaks of.' }),
    status: oneOf(['True', 'False', 'Unknown'], { description: 'Whether it holds.' }),
    reason: Type.String({
      minLength: 1,
      maxLength: 64,
      pattern: '^[A-Z][A-Za-z]*$',
      description: 'Why, in one word of a closed list.',
    }),
    message: Type.String({ maxLength: 1024, description: 'Why, in a sentence that names the object at fault.' }),
    lastTransitionTime: { ...TimeText, description: 'When status changed last.' },
    observedGeneration: Type.Integer({ minimum: 0, description: 'Generation of the spec that it was judged by.' }),
  },
  { ...strict, description: 'One statement about the object.' },
)
export type Condition = Static<typeof Condition>

const Common = {
  observedGeneration: Type.Optional(
    Type.Integer({ minimum: 0, description: 'Generation of the spec that the status speaks of.' }),
  ),
  conditions: Type.Optional(
    Type.Array(Condition, {
      maxItems: 16,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
      description: 'What is known about the object; Ready sums it up.',
    }),
  ),
}

const Status = <P extends TProperties>(properties: P) =>
  Type.Object({ ...Common, ...properties }, { ...strict, description: 'Observed state; written by the operator.' })

const Count = (description: string) => Type.Integer({ minimum: 0, description })

export const RemoteNetworkStatus = Status({
  connectors: Type.Optional(
    Type.Object(
      { desired: Count('Connectors that belong to the network.'), ready: Count('Those that are ready.') },
      { ...strict, description: 'How many Connectors.' },
    ),
  ),
})
export type RemoteNetworkStatus = Static<typeof RemoteNetworkStatus>

export const ConnectorStatus = Status({
  connectorID: Type.Optional({
    ...ConnectorId,
    maxLength: 32,
    description: 'ID of the key that is enrolled: hash of its public half.',
  }),
  version: Type.Optional(Type.String({ maxLength: 50, description: 'Version of the Connector.' })),
})
export type ConnectorStatus = Static<typeof ConnectorStatus>

export const ResourceStatus = Status({
  resourceID: Type.Optional({ ...Uid, description: 'ID under which Controller, Clients and logs know it.' }),
})
export type ResourceStatus = Static<typeof ResourceStatus>

export const GroupStatus = Status({})
export type GroupStatus = Static<typeof GroupStatus>

export const RelayStatus = Status({
  endpoints: Type.Optional(
    Type.Array(
      Type.Object(
        {
          index: Count('Number of the replica, from 0.'),
          name: Type.String({ maxLength: MAX_TEXT, description: 'Name that its certificate carries.' }),
          address: { ...HostPort, description: 'Where it is dialled, as host:port.' },
        },
        { ...strict, description: 'One replica.' },
      ),
      {
        maxItems: MAX_RELAYS,
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['index'],
        description: 'Where Clients and Connectors dial the replicas.',
      },
    ),
  ),
  ready: Type.Optional(Count('Replicas at which a Connector is registered.')),
})
export type RelayStatus = Static<typeof RelayStatus>
