import Type, { type Static } from 'typebox'
import { Email, Name, strict } from '../common.ts'
import { MAX_MEMBERS, MAX_TEXT } from '../limit.ts'

export const ProviderGroup = Type.Object(
  {
    provider: { ...Name, description: 'Identity provider, by its name in the configuration of the Controller.' },
    name: Type.String({ minLength: 1, maxLength: MAX_TEXT, description: 'Group as the identity provider names it.' }),
  },
  { ...strict, description: 'A group of an identity provider.' },
)
export type ProviderGroup = Static<typeof ProviderGroup>

export const GroupSpec = Type.Object(
  {
    displayName: Type.Optional(Type.String({ maxLength: MAX_TEXT, description: 'Name shown to people.' })),
    members: Type.Optional(
      Type.Array(Email, {
        maxItems: MAX_MEMBERS,
        'x-kubernetes-list-type': 'set',
        description: 'E-mail addresses of the members.',
      }),
    ),
    identityProviderGroups: Type.Optional(
      Type.Array(ProviderGroup, {
        maxItems: MAX_MEMBERS,
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['provider', 'name'],
        description: 'Groups of identity providers whose people are members too.',
      }),
    ),
  },
  { ...strict, description: 'Desired state of a Group.' },
)
export type GroupSpec = Static<typeof GroupSpec>
