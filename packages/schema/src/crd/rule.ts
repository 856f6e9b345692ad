import { MAX_RELAY_NAME } from '../limit.ts'
import { isCidr, isIp, isNetwork } from './cidr.ts'
import type { PortPolicy, PortRange } from './protocols.ts'
import type { RelayAddress, RelaySpec } from './relay.ts'
import type { AllowedNamespaces, OnControllerLoss } from './remote-network.ts'
import type { ResourceSpec } from './resource.ts'

/** A cross-field rule of a kind: the same sentence in CEL for the API server and as a predicate for everyone else. */
export type Rule<T> = {
  /** CEL expression over `self`, the value that the rule stands at. */
  cel: string
  /** The same rule; true when the value is acceptable. */
  check: (value: T) => boolean
  /** Says what was wanted, for the person who typed it. */
  message: string
  /** Path, below the value, of the field at fault; empty for the value itself. */
  field: string
}

/** Rules that stand at one place of a kind. `at` is the path from the object; `*` stands for each item of a list. */
export type PlacedRules = { at: string; rules: readonly Rule<never>[] }

const SECONDS_PER_UNIT: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }
/** RFC 1123 label, underscores allowed as in names of services (RFC 2782). */
const LABEL = '[a-zA-Z0-9_]([-a-zA-Z0-9_]{0,61}[a-zA-Z0-9_])?'
const DNS_NAME = `^${LABEL}([.]${LABEL})*[.]?$`
const DNS_SUFFIX = `^[.]?${LABEL}([.]${LABEL})*[.]?$`
const WILDCARD = '^[-a-zA-Z0-9_*?]{1,63}([.][-a-zA-Z0-9_*?]{1,63})*[.]?$'
/** Resolvers and URL parsers read names that end so as IPv4 addresses in odd notations (`127.1`, `0x7f.1`). */
const NUMERIC_END = '(^|[.])([0-9]+|0[xX][0-9a-fA-F]*)[.]?$'
const OBJECT_NAME = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'
const MAX_OBJECT_NAME = 50
/** Key of a label or an annotation, name of a compute resource: an optional domain, a name. */
const KEY = '^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'
/** A DNS name, a slash, 63 characters. */
const MAX_KEY = 317

const matches = (pattern: string) => {
  const expression = new RegExp(pattern)
  return (text: string) => expression.test(text)
}
const [isName, isSuffix, isWildcard, endsNumeric, isObjectName, isKey] = [
  matches(DNS_NAME),
  matches(DNS_SUFFIX),
  matches(WILDCARD),
  matches(NUMERIC_END),
  matches(OBJECT_NAME),
  matches(KEY),
]
const isRange = (text: string) => text.includes('/')
const isPattern = (text: string) => /[*?]/.test(text)

/** Puts a rule's type aside: a list of rules is checked against values of its place only. */
function placed<T>(at: string, ...rules: Rule<T>[]): PlacedRules {
  return { at, rules: rules as unknown as Rule<never>[] }
}

const NUMBER_OF_SECONDS =
  "int(self.substring(0, self.size() - 1)) * (self.endsWith('s') ? 1 : self.endsWith('m') ? 60 : self.endsWith('h') ? 3600 : 86400)"
const secondsOf = (text: string) => Number(text.slice(0, -1)) * SECONDS_PER_UNIT[text.slice(-1)]!

/** A `*` in CEL's own alphabet: text holds a range, or a pattern. */
const CEL_RANGE = "self.contains('/')"
const CEL_PATTERN = "(self.contains('*') || self.contains('?'))"

const ADDRESS: Rule<string>[] = [
  {
    cel: `!${CEL_RANGE} || isCIDR(self)`,
    check: text => !isRange(text) || isCidr(text),
    message: 'is not a CIDR, such as 10.0.0.0/8 or fd00::/8',
    field: '',
  },
  {
    cel: `!${CEL_RANGE} || !isCIDR(self) || cidr(self).masked() == cidr(self)`,
    check: text => !isRange(text) || !isCidr(text) || isNetwork(text),
    message: 'has host bits set: write the first address of the range, or /32 (IPv6: /128) for one address',
    field: '',
  },
  {
    cel: `${CEL_RANGE} || isIP(self) || (${CEL_PATTERN} ? self.matches('${WILDCARD}') : self.matches('${DNS_NAME}') && !self.matches('${NUMERIC_END}'))`,
    check: text =>
      isRange(text) || isIp(text) || (isPattern(text) ? isWildcard(text) : isName(text) && !endsNumeric(text)),
    message: 'is not a DNS name, wildcard DNS name or IP address',
    field: '',
  },
]

const EXACT_NAME: Rule<string> = {
  cel: `self.matches('${DNS_NAME}') && !self.matches('${NUMERIC_END}')`,
  check: text => isName(text) && !endsNumeric(text),
  message: 'is not an exact DNS name',
  field: '',
}

const NETWORK: Rule<string> = {
  cel: 'isCIDR(self) && cidr(self).masked() == cidr(self)',
  check: isNetwork,
  message: 'is not a CIDR without host bits, such as 127.0.0.0/8',
  field: '',
}

const KEYS: Rule<Record<string, string>> = {
  cel: `self.all(key, key.size() <= ${MAX_KEY} && key.matches('${KEY}'))`,
  check: map => Object.keys(map).every(key => key.length <= MAX_KEY && isKey(key)),
  message: 'each key must be as that of a label, such as team or example.com/team',
  field: '',
}

const PORT_POLICY: Rule<PortPolicy> = {
  cel: "(self.policy == 'Restricted') == (has(self.ports) && self.ports.size() > 0)",
  check: ({ policy, ports = [] }) => (policy === 'Restricted') === ports.length > 0,
  message: 'ports are listed with policy Restricted, and only with it',
  field: 'ports',
}

const PORT_RANGE: Rule<PortRange> = {
  cel: 'self.start <= self.end',
  check: ({ start, end }) => start <= end,
  message: 'start must not be greater than end',
  field: 'start',
}

const NAME: Rule<{ metadata: { name: string } }> = {
  cel: `self.metadata.name.size() <= ${MAX_OBJECT_NAME} && self.metadata.name.matches('${OBJECT_NAME}')`,
  check: ({ metadata: { name } }) => name.length <= MAX_OBJECT_NAME && isObjectName(name),
  message: `metadata.name must be lower-case letters, digits and dashes, at most ${MAX_OBJECT_NAME} characters`,
  field: 'metadata.name',
}

const HOST_PORT: Rule<string>[] = [
  {
    cel: `self.lastIndexOf(':') <= ${MAX_RELAY_NAME}`,
    check: text => text.lastIndexOf(':') <= MAX_RELAY_NAME,
    message: `the host may have at most ${MAX_RELAY_NAME} characters: a capability stands in front of it in a server name`,
    field: '',
  },
  {
    cel: "self.lastIndexOf(':') >= 0 && int(self.substring(self.lastIndexOf(':') + 1)) >= 1 && int(self.substring(self.lastIndexOf(':') + 1)) <= 65535",
    check: text => {
      const port = Number(text.slice(text.lastIndexOf(':') + 1))
      return port >= 1 && port <= 65_535
    },
    message: 'the port must be from 1 to 65535',
    field: '',
  },
]

const ALLOWED_NAMESPACES: Rule<AllowedNamespaces> = {
  cel: "(self.from == 'Selector') == has(self.selector)",
  check: ({ from, selector }) => (from === 'Selector') === (selector !== undefined),
  message: 'selector is given with from Selector, and only with it',
  field: 'selector',
}

const SELECTOR: Rule<NonNullable<AllowedNamespaces['selector']>> = {
  cel: 'has(self.matchLabels) && self.matchLabels.size() > 0',
  check: ({ matchLabels = {} }) => Object.keys(matchLabels).length > 0,
  message: 'needs at least one label; for all namespaces write from All',
  field: 'matchLabels',
}

const ACL_LIFETIME: Rule<string> = {
  cel: `${NUMBER_OF_SECONDS} >= 300 && ${NUMBER_OF_SECONDS} <= 86400`,
  check: text => secondsOf(text) >= 300 && secondsOf(text) <= 86_400,
  message: 'must be from 5m to 24h',
  field: '',
}

const CONTROLLER_LOSS: Rule<OnControllerLoss> = {
  cel: "(self.mode == 'closeAfter') == has(self.seconds)",
  check: ({ mode, seconds }) => (mode === 'closeAfter') === (seconds !== undefined),
  message: 'seconds are given with mode closeAfter, and only with it',
  field: 'seconds',
}

const ALIASES: Rule<ResourceSpec> = {
  cel: "!has(self.aliases) || self.aliases.size() == 0 || !(self.address.contains('/') || self.address.contains('*') || self.address.contains('?'))",
  check: ({ address, aliases = [] }) => aliases.length === 0 || !(isRange(address) || isPattern(address)),
  message: 'an address that is many destinations can have no alias',
  field: 'aliases',
}

const ONE_WAY: Rule<RelayAddress> = {
  cel: '(has(self.template) ? 1 : 0) + (has(self.list) ? 1 : 0) + (has(self.fromService) ? 1 : 0) == 1',
  check: address => Object.values(address).filter(way => way !== undefined).length === 1,
  message: 'exactly one of template, list and fromService is wanted',
  field: '',
}

const FROM_SERVICE: Rule<RelayAddress> = {
  cel: '!has(self.fromService) || self.fromService',
  check: ({ fromService }) => fromService !== false,
  message: 'fromService is true or left out',
  field: 'fromService',
}

const RELAY_SPEC: Rule<RelaySpec>[] = [
  {
    cel: '!has(self.address.list) || self.address.list.size() == (has(self.replicas) ? self.replicas : 2)',
    check: ({ address: { list }, replicas = 2 }) => list === undefined || list.length === replicas,
    message: 'address.list must have one entry per replica (2 replicas unless replicas says otherwise)',
    field: 'address.list',
  },
  {
    cel: "!has(self.address.template) || (has(self.replicas) ? self.replicas : 2) <= 1 || self.address.template.contains('{index}')",
    check: ({ address: { template }, replicas = 2 }) =>
      template === undefined || replicas <= 1 || template.includes('{index}'),
    message: 'address.template must contain {index} when there is more than one replica',
    field: 'address.template',
  },
  {
    cel: "!has(self.address.fromService) || !has(self.deployment) || self.deployment == 'Managed'",
    check: ({ address: { fromService }, deployment = 'Managed' }) =>
      fromService === undefined || deployment === 'Managed',
    message: 'an External Relay has no Service to take its address from: use list or template',
    field: 'address.fromService',
  },
]

/** Rules of the maps that go into pods. */
const podRules = (at: string): PlacedRules[] =>
  [
    'resources.requests',
    'resources.limits',
    'podTemplate.metadata.labels',
    'podTemplate.metadata.annotations',
    'podTemplate.nodeSelector',
  ].map(map => placed(`${at}.${map}`, KEYS))

/** Rules of every kind. */
export const COMMON_RULES: readonly PlacedRules[] = [placed('', NAME)]

/** Rules of a RemoteNetwork. */
export const REMOTE_NETWORK_RULES: readonly PlacedRules[] = [
  placed('spec.allowedNamespaces.*', ALLOWED_NAMESPACES),
  placed('spec.allowedNamespaces.*.selector', SELECTOR),
  placed('spec.allowedNamespaces.*.selector.matchLabels', KEYS),
  placed('spec.allowedNamespaces.*.addresses.*', ...ADDRESS),
  placed<string>('spec.allowedNamespaces.*.names.*', {
    cel: `self.matches('${DNS_SUFFIX}')`,
    check: isSuffix,
    message: 'is not a DNS name or a suffix of one',
    field: '',
  }),
  placed('spec.acl.lifetime', ACL_LIFETIME),
  placed('spec.acl.onControllerLoss', CONTROLLER_LOSS),
  placed('spec.guardExceptions.*', NETWORK),
  ...podRules('spec.connectors'),
]

/** Rules of a Resource. */
export const RESOURCE_RULES: readonly PlacedRules[] = [
  placed('spec', ALIASES),
  placed('spec.address', ...ADDRESS),
  placed('spec.aliases.*', EXACT_NAME),
  placed('spec.protocols.tcp', PORT_POLICY),
  placed('spec.protocols.tcp.ports.*', PORT_RANGE),
  placed('spec.protocols.udp', PORT_POLICY),
  placed('spec.protocols.udp.ports.*', PORT_RANGE),
]

/** Rules of a Relay. */
export const RELAY_RULES: readonly PlacedRules[] = [
  placed('spec', ...RELAY_SPEC),
  placed('spec.address', ONE_WAY, FROM_SERVICE),
  placed('spec.address.template', ...HOST_PORT),
  placed('spec.address.list.*', ...HOST_PORT),
  placed('spec.service.annotations', KEYS),
  ...podRules('spec'),
]
