import Type, { type Static } from 'typebox'
import { oneOf, strict } from '../common.ts'
import { MAX_ALLOWED_NAMESPACES, MAX_CONNECTORS, MAX_HOST, MAX_NETWORK_ENTRIES, MAX_TEXT } from '../limit.ts'
import { Image, LabelValue, LogLevel, PodTemplate, Resources } from './workload.ts'

const Duration = (description: string) => Type.String({ maxLength: 20, pattern: '^[0-9]{1,9}(s|m|h|d)$', description })

export const AllowedNamespaces = Type.Object(
  {
    from: oneOf(['Same', 'All', 'Selector'], {
      description: 'Which namespaces: this one, all, or those that selector matches.',
    }),
    selector: Type.Optional(
      Type.Object(
        {
          matchLabels: Type.Optional(
            Type.Record(Type.String(), LabelValue, {
              maxProperties: 16,
              description: 'Labels that the namespace must have.',
            }),
          ),
        },
        { ...strict, description: 'Namespaces by their labels; only with from Selector.' },
      ),
    ),
    addresses: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: MAX_HOST, pattern: '^[A-Za-z0-9*?._:/-]+$' }), {
        maxItems: MAX_NETWORK_ENTRIES,
        description: 'CIDRs and name patterns within which their Resources may lie.',
      }),
    ),
    names: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: MAX_HOST, pattern: '^[A-Za-z0-9._-]+$' }), {
        maxItems: MAX_NETWORK_ENTRIES,
        description: 'Suffixes under which their Resources may take aliases.',
      }),
    ),
  },
  { ...strict, description: 'What Resources of other namespaces may name in this network.' },
)
export type AllowedNamespaces = Static<typeof AllowedNamespaces>

export const OnControllerLoss = Type.Object(
  {
    mode: oneOf(['untilExpiry', 'closeAfter'], {
      description:
        'untilExpiry: streams live until their ACL ends. closeAfter: they are closed after `seconds` without the Controller.',
    }),
    seconds: Type.Optional(Type.Integer({ minimum: 5, maximum: 86_400, description: 'Only with closeAfter.' })),
  },
  { ...strict, description: 'What a Connector does while it cannot reach the Controller. untilExpiry when absent.' },
)
export type OnControllerLoss = Static<typeof OnControllerLoss>

export const RemoteNetworkSpec = Type.Object(
  {
    displayName: Type.Optional(Type.String({ maxLength: MAX_TEXT, description: 'Name shown to people.' })),
    connectors: Type.Optional(
      Type.Object(
        {
          replicas: Type.Optional(
            Type.Integer({
              minimum: 0,
              maximum: MAX_CONNECTORS,
              description: 'How many Connectors the operator runs. 2 when absent.',
            }),
          ),
          image: Type.Optional(Image),
          resources: Type.Optional(Resources),
          logLevel: Type.Optional(LogLevel),
          drainSeconds: Type.Optional(
            Type.Integer({
              minimum: 0,
              maximum: 3600,
              description: 'How long live streams may go on at shutdown. 30 when absent.',
            }),
          ),
          podTemplate: Type.Optional(PodTemplate),
        },
        { ...strict, description: 'Connectors that the operator runs for this network.' },
      ),
    ),
    allowedNamespaces: Type.Optional(
      Type.Array(AllowedNamespaces, {
        maxItems: MAX_ALLOWED_NAMESPACES,
        description: 'Other namespaces whose Resources may use this network; none when empty.',
      }),
    ),
    acl: Type.Optional(
      Type.Object(
        {
          lifetime: Type.Optional(Duration('Life of a Client ACL, from 5m to 24h. 30m when absent.')),
          onControllerLoss: Type.Optional(OnControllerLoss),
        },
        { ...strict, description: 'Freshness of access.' },
      ),
    ),
    guardExceptions: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 49, pattern: '^[0-9a-fA-F:.]+/[0-9]{1,3}$' }), {
        maxItems: MAX_NETWORK_ENTRIES,
        'x-kubernetes-list-type': 'set',
        description:
          'CIDRs among the guarded addresses (loopback, link-local, metadata) that names may resolve to after all.',
      }),
    ),
  },
  { ...strict, description: 'Desired state of a RemoteNetwork.' },
)
export type RemoteNetworkSpec = Static<typeof RemoteNetworkSpec>
