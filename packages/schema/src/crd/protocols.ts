import Type, { type Static } from 'typebox'
import { oneOf, Port, strict } from '../common.ts'
import { MAX_PORT_RANGES } from '../limit.ts'

export const PortRange = Type.Object(
  { start: Port, end: Port },
  { ...strict, description: 'Ports from start to end, both included.' },
)
export type PortRange = Static<typeof PortRange>

export const PortPolicy = Type.Object(
  {
    policy: oneOf(['AllowAll', 'Restricted', 'DenyAll'], {
      description: 'AllowAll: every port. Restricted: the listed ranges. DenyAll: none.',
    }),
    ports: Type.Optional(
      Type.Array(PortRange, { maxItems: MAX_PORT_RANGES, description: 'Allowed ranges; only with policy Restricted.' }),
    ),
  },
  { ...strict, description: 'Which ports of a transport are allowed.' },
)
export type PortPolicy = Static<typeof PortPolicy>

export const Protocols = Type.Object(
  {
    tcp: Type.Optional(PortPolicy),
    udp: Type.Optional(PortPolicy),
    icmp: Type.Optional(
      oneOf(['Allow', 'Deny'], { description: 'Whether echo requests are allowed. Allow when absent.' }),
    ),
  },
  { ...strict, description: 'What may be reached, per protocol; a protocol left out is wholly allowed.' },
)
export type Protocols = Static<typeof Protocols>
