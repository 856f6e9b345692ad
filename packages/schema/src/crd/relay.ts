import Type, { type Static } from 'typebox'
import { HostPort, oneOf, strict } from '../common.ts'
import { MAX_RELAYS } from '../limit.ts'
import { annotations, DeploymentMode, Image, PodTemplate, Resources } from './workload.ts'

export const RelayAddress = Type.Object(
  {
    template: Type.Optional(
      Type.String({
        maxLength: 260,
        pattern: '^([a-z0-9.-]|[{]index[}])+:[0-9]{1,5}$',
        description: 'host:port with {index} for the replica.',
      }),
    ),
    list: Type.Optional(
      Type.Array(HostPort, { minItems: 1, maxItems: MAX_RELAYS, description: 'One host:port per replica.' }),
    ),
    fromService: Type.Optional(
      Type.Boolean({
        description: "The LoadBalancer's address of the replica's Service, else a Node's address and the NodePort.",
      }),
    ),
  },
  { ...strict, description: 'Where Clients and Connectors dial the Relay: exactly one way.' },
)
export type RelayAddress = Static<typeof RelayAddress>

export const RelaySpec = Type.Object(
  {
    deployment: Type.Optional(DeploymentMode),
    replicas: Type.Optional(
      Type.Integer({ minimum: 0, maximum: MAX_RELAYS, description: 'How many Relays. 2 when absent.' }),
    ),
    address: RelayAddress,
    service: Type.Optional(
      Type.Object(
        {
          type: Type.Optional(
            oneOf(['ClusterIP', 'NodePort', 'LoadBalancer'], { description: 'ClusterIP when absent.' }),
          ),
          annotations: Type.Optional(annotations('Annotations of the Services.')),
        },
        { ...strict, description: "The replicas' Services." },
      ),
    ),
    image: Type.Optional(Image),
    resources: Type.Optional(Resources),
    podTemplate: Type.Optional(PodTemplate),
  },
  { ...strict, description: 'Desired state of a Relay.' },
)
export type RelaySpec = Static<typeof RelaySpec>
