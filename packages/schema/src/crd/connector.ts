import Type, { type Static } from 'typebox'
import { Name, strict } from '../common.ts'
import { DeploymentMode } from './workload.ts'

export const ConnectorSpec = Type.Object(
  {
    remoteNetworkRef: Type.Object({ name: Name }, { ...strict, description: 'RemoteNetwork of the same namespace.' }),
    deployment: Type.Optional(DeploymentMode),
  },
  { ...strict, description: 'Desired state of a Connector: one identity in a RemoteNetwork.' },
)
export type ConnectorSpec = Static<typeof ConnectorSpec>
