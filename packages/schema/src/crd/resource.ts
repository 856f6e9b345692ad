import Type, { type Static } from 'typebox'
import { Name, Namespace, strict, TimeText } from '../common.ts'
import { MAX_ACCESS, MAX_ALIASES, MAX_HOST, MAX_NAME, MAX_NAMESPACE } from '../limit.ts'
import { Protocols } from './protocols.ts'

export const Address = Type.String({
  minLength: 1,
  maxLength: MAX_HOST,
  pattern: '^[A-Za-z0-9*?._:/-]+$',
  description:
    'Exact DNS name, wildcard DNS name (* any run of characters, ? exactly one), IP address, or CIDR without host bits.',
})

export const AccessEntry = Type.Object(
  {
    group: Type.String({
      minLength: 1,
      maxLength: MAX_NAME + MAX_NAMESPACE + 1,
      pattern: '^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
      description: "Group: its name in the Resource's namespace, or namespace/name.",
    }),
    expiresAt: Type.Optional({ ...TimeText, description: 'End of the grant; live streams end at that second.' }),
    maxLoginAge: Type.Optional(
      Type.String({
        maxLength: 20,
        pattern: '^[0-9]{1,9}(s|m|h|d)$',
        description: 'How old the login may be at most, such as 12h.',
      }),
    ),
  },
  { ...strict, description: 'A Group that may reach the Resource.' },
)
export type AccessEntry = Static<typeof AccessEntry>

export const ResourceSpec = Type.Object(
  {
    remoteNetworkRef: Type.Object(
      { name: Name, namespace: Type.Optional(Namespace) },
      {
        ...strict,
        description: "RemoteNetwork through which it is reached; in the Resource's namespace when none is given.",
      },
    ),
    address: Address,
    aliases: Type.Optional(
      Type.Array(
        Type.String({
          minLength: 1,
          maxLength: MAX_HOST,
          pattern: '^[A-Za-z0-9._-]+$',
          description: 'A further exact DNS name.',
        }),
        {
          maxItems: MAX_ALIASES,
          'x-kubernetes-list-type': 'set',
          description: 'Further names of the Resource; the address stays valid.',
        },
      ),
    ),
    protocols: Type.Optional(Protocols),
    access: Type.Optional(
      Type.Array(AccessEntry, {
        maxItems: MAX_ACCESS,
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['group'],
        description: 'Who may reach it; nobody when empty.',
      }),
    ),
    visible: Type.Optional(
      Type.Boolean({ description: 'Whether people without access learn that it exists. False when absent.' }),
    ),
    openURL: Type.Optional(
      Type.String({ maxLength: 2048, pattern: '^https?://', description: 'Address to open in a browser.' }),
    ),
  },
  { ...strict, description: 'Desired state of a Resource.' },
)
export type ResourceSpec = Static<typeof ResourceSpec>
