import { API_VERSION, type Kind } from '@sallyport/schema'

/** An object and whether it is accepted; `refused` is the message (or a part of it) of the rule that it breaks. */
export type Case = {
  name: string
  kind: Kind
  spec?: object
  metadata?: object
  /** Only the API server is sent one. */
  status?: object
  refused?: string
  field?: string
}

/** Writes a case as an object. */
export function manifest({ kind, spec, metadata }: Case, index: number): object {
  const named = { name: `case-${index}`, namespace: 'default', ...metadata }
  return { apiVersion: API_VERSION, kind, metadata: named, ...(spec === undefined ? {} : { spec }) }
}

const network = { remoteNetworkRef: { name: 'office' } }
const resource = (spec: object) => ({ ...network, address: 'web.internal', ...spec })
const address = (name: string, text: string, refused?: string): Case => ({
  name: `address ${name}`,
  kind: 'Resource',
  spec: { ...network, address: text },
  ...(refused === undefined ? {} : { refused, field: 'spec.address' }),
})
const ports = (name: string, tcp: object, refused?: string, field?: string): Case => ({
  name: `ports ${name}`,
  kind: 'Resource',
  spec: resource({ protocols: { tcp } }),
  ...(refused === undefined ? {} : { refused, field: field ?? 'spec.protocols.tcp.ports' }),
})
const lifetime = (text: string, refused?: string): Case => ({
  name: `acl lifetime ${text}`,
  kind: 'RemoteNetwork',
  spec: { acl: { lifetime: text } },
  ...(refused === undefined ? {} : { refused, field: 'spec.acl.lifetime' }),
})
const relay = (name: string, spec: object, refused?: string, field?: string): Case => ({
  name: `Relay ${name}`,
  kind: 'Relay',
  spec,
  ...(refused === undefined ? {} : { refused, field: field ?? 'spec.address' }),
})
const allowed = (name: string, entry: object, refused?: string, field?: string): Case => ({
  name: `allowedNamespaces ${name}`,
  kind: 'RemoteNetwork',
  spec: { allowedNamespaces: [entry] },
  ...(refused === undefined ? {} : { refused, field: `spec.allowedNamespaces.0.${field}` }),
})

const others = (field: string, text: string, refused?: string): Case =>
  allowed(`with ${text} among ${field}`, { from: 'All', [field]: [text] }, refused, `${field}.0`)
/** A map that a person writes and that goes into what the operator makes. */
const map = (kind: 'RemoteNetwork' | 'Relay', path: string, key: string, value: string, isRefused = false): Case => {
  const at = kind === 'Relay' ? path : `connectors.${path}`
  const base = kind === 'Relay' ? { replicas: 1, address: { list: ['relay.example.com:443'] } } : {}
  const nested = at.split('.').reduceRight<object>((inner, step) => ({ [step]: inner }), { [key]: value })
  const rest = isRefused ? { refused: KEY, field: `spec.${at}` } : {}
  return { name: `${kind} ${path} with the key "${key}"`, kind, spec: { ...base, ...nested }, ...rest }
}
const maps = (
  path: string,
  value: string,
  kinds: readonly ('RemoteNetwork' | 'Relay')[] = ['RemoteNetwork', 'Relay'],
) =>
  kinds.flatMap(kind => [
    map(kind, path, `${'a'.repeat(253)}/${'b'.repeat(63)}`, value),
    map(kind, path, `${'a'.repeat(254)}/${'b'.repeat(63)}`, value, true),
    map(kind, path, 'b'.repeat(64), value, true),
    map(kind, path, 'a b', value, true),
    map(kind, path, '', value, true),
  ])

const HOST_BITS = 'has host bits set'
const NO_CIDR = 'is not a CIDR'
const NO_NAME = 'is not a DNS name, wildcard DNS name or IP address'
const LISTED = 'ports are listed with policy Restricted, and only with it'
const LIFE = 'must be from 5m to 24h'
const GUARD = 'is not a CIDR without host bits'
const KEY = 'each key must be as that of a label'
const PORT = 'the port must be from 1 to 65535'

/** What is accepted, beside its nearest refusal. The API server and `validateObject` must agree on each. */
export const CASES: Case[] = [
  { name: 'RemoteNetwork without a spec', kind: 'RemoteNetwork' },
  { name: 'Group without a spec', kind: 'Group' },
  { name: 'Resource without a spec', kind: 'Resource', refused: '', field: 'spec' },
  { name: 'longest name', kind: 'Group', metadata: { name: 'a'.repeat(50) } },
  {
    name: 'one character more',
    kind: 'Group',
    metadata: { name: 'a'.repeat(51) },
    refused: 'at most 50 characters',
    field: 'metadata.name',
  },
  {
    name: 'name with a dot',
    kind: 'Group',
    metadata: { name: 'a.b' },
    refused: 'at most 50 characters',
    field: 'metadata.name',
  },

  address('exact name', 'db.internal'),
  address('name with underscores', '_ldap._tcp.corp.internal'),
  address('name with trailing dot', 'db.internal.'),
  address('name in capitals', 'DB.Internal'),
  address('one label', 'db'),
  address('empty label', 'db..internal', NO_NAME),
  address('label that ends with a dash', 'db-.internal', NO_NAME),
  address('label of 63 characters', `${'a'.repeat(63)}.internal`),
  address('label of 64 characters', `${'a'.repeat(64)}.internal`, NO_NAME),
  address('number in disguise', '127.1', NO_NAME),
  address('hexadecimal number in disguise', '0x7f.1', NO_NAME),
  address('wildcard', '*.db.internal'),
  address('wildcard inside a label', 'db-?.internal'),
  address('wildcard with an empty label', '*..internal', NO_NAME),
  address('IPv4', '10.1.2.3'),
  address('IPv4 with a leading zero', '10.1.2.03', NO_NAME),
  address('IPv4 out of range', '10.1.2.256', NO_NAME),
  address('IPv6', 'fd00::1'),
  address('IPv6 with too many groups', 'fd00:1:2:3:4:5:6:7:8', NO_NAME),
  address('IPv6 that maps IPv4', '::ffff:10.0.0.1', NO_NAME),
  address('host and port', 'db.internal:5432', NO_NAME),
  address('CIDR', '10.0.0.0/8'),
  address('CIDR with host bits', '10.0.0.1/8', HOST_BITS),
  address('CIDR of one address', '10.0.0.1/32'),
  address('CIDR with too long a prefix', '10.0.0.0/33', NO_CIDR),
  address('CIDR of all', '0.0.0.0/0'),
  address('CIDR of IPv6', 'fd00::/8'),
  address('CIDR of IPv6 with host bits', 'fd00::1/8', HOST_BITS),
  address('name with a slash', 'db.internal/8', NO_CIDR),
  address('space', 'db internal', ''),
  address('empty', '', ''),

  { name: 'aliases', kind: 'Resource', spec: resource({ aliases: ['a.internal', 'b'] }) },
  {
    name: 'wildcard alias',
    kind: 'Resource',
    spec: resource({ aliases: ['*.internal'] }),
    refused: '',
    field: 'spec.aliases.0',
  },
  {
    name: 'alias that is an address',
    kind: 'Resource',
    spec: resource({ aliases: ['10.0.0.1'] }),
    refused: 'is not an exact DNS name',
    field: 'spec.aliases.0',
  },
  { name: 'alias of one address', kind: 'Resource', spec: { ...network, address: '10.0.0.1', aliases: ['a'] } },
  {
    name: 'alias of a CIDR',
    kind: 'Resource',
    spec: { ...network, address: '10.0.0.0/8', aliases: ['a'] },
    refused: 'can have no alias',
    field: 'spec.aliases',
  },
  {
    name: 'alias of a wildcard',
    kind: 'Resource',
    spec: { ...network, address: '*.internal', aliases: ['a'] },
    refused: 'can have no alias',
    field: 'spec.aliases',
  },

  ports('with AllowAll none', { policy: 'AllowAll' }),
  ports('with AllowAll some', { policy: 'AllowAll', ports: [{ start: 1, end: 2 }] }, LISTED),
  ports('with DenyAll some', { policy: 'DenyAll', ports: [{ start: 1, end: 2 }] }, LISTED),
  ports('with Restricted some', { policy: 'Restricted', ports: [{ start: 80, end: 80 }] }),
  ports('with Restricted none', { policy: 'Restricted' }, LISTED),
  ports('with Restricted an empty list', { policy: 'Restricted', ports: [] }, LISTED),
  ports('whose start is its end', { policy: 'Restricted', ports: [{ start: 80, end: 80 }] }),
  ports(
    'whose start is after its end',
    { policy: 'Restricted', ports: [{ start: 81, end: 80 }] },
    'start must not be greater than end',
    'spec.protocols.tcp.ports.0.start',
  ),
  ports('of 65535', { policy: 'Restricted', ports: [{ start: 1, end: 65535 }] }),
  ports('of 65536', { policy: 'Restricted', ports: [{ start: 1, end: 65536 }] }, '', 'spec.protocols.tcp.ports.0.end'),
  ports('of 0', { policy: 'Restricted', ports: [{ start: 0, end: 1 }] }, '', 'spec.protocols.tcp.ports.0.start'),
  ports('of an unknown policy', { policy: 'Some' }, '', 'spec.protocols.tcp.policy'),
  {
    name: 'ports of UDP whose start is after its end',
    kind: 'Resource',
    spec: resource({ protocols: { udp: { policy: 'Restricted', ports: [{ start: 2, end: 1 }] } } }),
    refused: 'start must not be greater than end',
    field: 'spec.protocols.udp.ports.0.start',
  },

  {
    name: 'ports of UDP that are not listed',
    kind: 'Resource',
    spec: resource({ protocols: { udp: { policy: 'Restricted' } } }),
    refused: LISTED,
    field: 'spec.protocols.udp.ports',
  },

  {
    name: 'access',
    kind: 'Resource',
    spec: resource({
      access: [{ group: 'devs' }, { group: 'other/ops', expiresAt: '2030-01-01T00:00:00Z', maxLoginAge: '12h' }],
    }),
  },
  {
    name: 'access of a group in two namespaces',
    kind: 'Resource',
    spec: resource({ access: [{ group: 'a/b/c' }] }),
    refused: '',
    field: 'spec.access.0.group',
  },
  {
    name: 'access that ends at no time',
    kind: 'Resource',
    spec: resource({ access: [{ group: 'devs', expiresAt: 'tomorrow' }] }),
    refused: '',
    field: 'spec.access.0.expiresAt',
  },
  {
    name: 'access with an odd age',
    kind: 'Resource',
    spec: resource({ access: [{ group: 'devs', maxLoginAge: '12w' }] }),
    refused: '',
    field: 'spec.access.0.maxLoginAge',
  },
  { name: 'a page to open', kind: 'Resource', spec: resource({ openURL: 'https://web.internal/' }) },
  {
    name: 'a script to open',
    kind: 'Resource',
    spec: resource({ openURL: 'javascript:alert(1)' }),
    refused: '',
    field: 'spec.openURL',
  },
  {
    name: 'a field that is not known',
    kind: 'Resource',
    spec: resource({ prots: {} }),
    refused: '',
    field: 'spec.prots',
  },

  lifetime('5m'),
  lifetime('4m', LIFE),
  lifetime('299s', LIFE),
  lifetime('24h'),
  lifetime('1d'),
  lifetime('25h', LIFE),
  lifetime('2d', LIFE),
  lifetime('86401s', LIFE),
  lifetime('999999999d', LIFE),
  lifetime('5', ''),
  { name: 'streams until expiry', kind: 'RemoteNetwork', spec: { acl: { onControllerLoss: { mode: 'untilExpiry' } } } },
  {
    name: 'seconds without closeAfter',
    kind: 'RemoteNetwork',
    spec: { acl: { onControllerLoss: { mode: 'untilExpiry', seconds: 30 } } },
    refused: 'seconds are given with mode closeAfter',
    field: 'spec.acl.onControllerLoss.seconds',
  },
  {
    name: 'closeAfter with seconds',
    kind: 'RemoteNetwork',
    spec: { acl: { onControllerLoss: { mode: 'closeAfter', seconds: 30 } } },
  },
  {
    name: 'closeAfter without seconds',
    kind: 'RemoteNetwork',
    spec: { acl: { onControllerLoss: { mode: 'closeAfter' } } },
    refused: 'seconds are given with mode closeAfter',
    field: 'spec.acl.onControllerLoss.seconds',
  },
  { name: 'guard exceptions', kind: 'RemoteNetwork', spec: { guardExceptions: ['127.0.0.0/8', '::1/128'] } },
  {
    name: 'guard exception with host bits',
    kind: 'RemoteNetwork',
    spec: { guardExceptions: ['127.0.0.1/8'] },
    refused: GUARD,
    field: 'spec.guardExceptions.0',
  },
  {
    name: 'guard exception that is an address',
    kind: 'RemoteNetwork',
    spec: { guardExceptions: ['127.0.0.1'] },
    refused: '',
    field: 'spec.guardExceptions.0',
  },

  allowed('with a selector', { from: 'Selector', selector: { matchLabels: { team: 'a' } } }),
  allowed('Selector without a selector', { from: 'Selector' }, 'selector is given with from Selector', 'selector'),
  allowed(
    'All with a selector',
    { from: 'All', selector: { matchLabels: { team: 'a' } } },
    'selector is given with from Selector',
    'selector',
  ),
  allowed(
    'with a selector of no labels',
    { from: 'Selector', selector: {} },
    'needs at least one label',
    'selector.matchLabels',
  ),
  allowed('with addresses', {
    from: 'All',
    addresses: ['10.0.0.0/8', '*.team.internal', 'fd00::/8'],
    names: ['team.internal', '.other.internal'],
  }),
  allowed(
    'with a key of a label that is none',
    { from: 'Selector', selector: { matchLabels: { 'a b': 'c' } } },
    KEY,
    'selector.matchLabels',
  ),
  others('addresses', '10.0.0.1/8', HOST_BITS),
  others('addresses', '10.0.0.0/33', NO_CIDR),
  others('addresses', '10.0.0.256', NO_NAME),
  allowed(
    'with a name of empty labels',
    { from: 'All', names: ['a..b'] },
    'is not a DNS name or a suffix of one',
    'names.0',
  ),
  ...maps('resources.requests', '1'),
  ...maps('resources.limits', '1'),
  ...maps('podTemplate.metadata.labels', 'a'),
  ...maps('podTemplate.metadata.annotations', 'a b'),
  ...maps('podTemplate.nodeSelector', 'a'),
  ...maps('service.annotations', 'a b', ['Relay']),
  { name: 'no Connectors', kind: 'RemoteNetwork', spec: { connectors: { replicas: 0 } } },
  {
    name: '51 Connectors',
    kind: 'RemoteNetwork',
    spec: { connectors: { replicas: 51 } },
    refused: '',
    field: 'spec.connectors.replicas',
  },
  {
    name: 'a documented variable',
    kind: 'RemoteNetwork',
    spec: { connectors: { podTemplate: { env: [{ name: 'HTTPS_PROXY', value: 'http://proxy:3128' }] } } },
  },
  {
    name: 'any other variable',
    kind: 'RemoteNetwork',
    spec: { connectors: { podTemplate: { env: [{ name: 'NODE_OPTIONS', value: '--inspect' }] } } },
    refused: '',
    field: 'spec.connectors.podTemplate.env.0.name',
  },
  {
    name: 'a volume',
    kind: 'RemoteNetwork',
    spec: { connectors: { podTemplate: { volumes: [] } } },
    refused: '',
    field: 'spec.connectors.podTemplate.volumes',
  },

  relay('with a list', { address: { list: ['127.0.0.1:4001', '127.0.0.1:4002'] } }),
  relay(
    'with a list that is too short',
    { address: { list: ['127.0.0.1:4001'] } },
    'one entry per replica',
    'spec.address.list',
  ),
  relay('with a list for one', { replicas: 1, address: { list: ['[::1]:4001'] } }),
  relay(
    'with a list entry of port 0',
    { replicas: 1, address: { list: ['127.0.0.1:0'] } },
    PORT,
    'spec.address.list.0',
  ),
  relay(
    'with a list entry of port 65536',
    { replicas: 1, address: { list: ['127.0.0.1:65536'] } },
    PORT,
    'spec.address.list.0',
  ),
  relay(
    'with a host that is too long',
    { replicas: 1, address: { list: [`${'a.'.repeat(75)}b:443`] } },
    'at most 150 characters',
    'spec.address.list.0',
  ),
  relay('with a template', { address: { template: 'relay-{index}.example.com:443' } }),
  relay(
    'with a template that names one host for two',
    { address: { template: 'relay.example.com:443' } },
    'must contain {index}',
    'spec.address.template',
  ),
  relay(
    'with a template of port 0',
    { replicas: 1, address: { template: 'relay.example.com:0' } },
    PORT,
    'spec.address.template',
  ),
  relay(
    'with a template whose host is too long',
    { replicas: 1, address: { template: `${'a.'.repeat(75)}b:443` } },
    'at most 150 characters',
    'spec.address.template',
  ),
  relay('with a template for one', { replicas: 1, address: { template: 'relay.example.com:443' } }),
  relay(
    'with another variable in the template',
    { address: { template: 'relay-{name}.example.com:443' } },
    '',
    'spec.address.template',
  ),
  relay('from its Service', { address: { fromService: true } }),
  relay(
    'not from its Service',
    { address: { fromService: false } },
    'fromService is true or left out',
    'spec.address.fromService',
  ),
  relay('with no address', { address: {} }, 'exactly one of template, list and fromService', 'spec.address'),
  relay(
    'with two ways',
    { address: { fromService: true, template: 'relay-{index}.example.com:443' } },
    'exactly one of template, list and fromService',
    'spec.address',
  ),
  relay(
    'External from its Service',
    { deployment: 'External', address: { fromService: true } },
    'an External Relay has no Service',
    'spec.address.fromService',
  ),
  relay('External with a list', { deployment: 'External', replicas: 1, address: { list: ['relay.example.com:443'] } }),

  { name: 'a member', kind: 'Group', spec: { members: ['ann@example.com'] } },
  {
    name: 'a member without a domain',
    kind: 'Group',
    spec: { members: ['ann'] },
    refused: '',
    field: 'spec.members.0',
  },
  {
    name: 'a provider group',
    kind: 'Group',
    spec: { identityProviderGroups: [{ provider: 'corp', name: 'Engineers & Co' }] },
  },
  {
    name: 'a provider group without its provider',
    kind: 'Group',
    spec: { identityProviderGroups: [{ name: 'engineers' }] },
    refused: '',
    field: 'spec.identityProviderGroups.0.provider',
  },
  { name: 'Connector', kind: 'Connector', spec: { ...network, deployment: 'External' } },
  { name: 'Connector of no network', kind: 'Connector', spec: {}, refused: '', field: 'spec.remoteNetworkRef' },
]
