import { type Kind, POD_ENV } from '@sallyport/schema'

/** Values from which every bound of the kinds is tried: whole objects, texts of any length, lists of any length. */

const UID = '6b1f6d0e-9c55-4c19-a8a2-0d8a7f7d9a10'
const AT = '2030-01-01T00:00:00Z'
const POD = {
  metadata: { labels: { team: 'a' }, annotations: { 'example.com/team': 'a' } },
  nodeSelector: { zone: 'a' },
  affinity: { nodeAffinity: {} },
  tolerations: [{ key: 'dedicated', operator: 'Exists' }],
  topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'ScheduleAnyway' }],
  priorityClassName: 'high',
  env: [{ name: 'TZ', value: 'UTC' }],
}
const AMOUNTS = { requests: { cpu: '100m' }, limits: { memory: '64Mi' } }
const condition = (type: string) => ({
  type,
  status: 'True',
  reason: 'Accepted',
  message: 'the object is accepted',
  lastTransitionTime: AT,
  observedGeneration: 1,
})
const STATUS = { observedGeneration: 1, conditions: [condition('Ready')] }
const relay = (address: object) => ({
  spec: {
    deployment: 'Managed',
    replicas: 1,
    address,
    service: { type: 'NodePort', annotations: { 'example.com/team': 'a' } },
    image: 'example.com/relay:1',
    resources: AMOUNTS,
    podTemplate: POD,
  },
  status: {
    ...STATUS,
    endpoints: [{ index: 0, name: 'relay.example.com', address: 'relay.example.com:443' }],
    ready: 1,
  },
})

/** Objects that are accepted and have, together, something at every place of their kind. */
export const WHOLE: Record<Kind, { spec: object; status: object }[]> = {
  RemoteNetwork: [
    {
      spec: {
        displayName: 'Office',
        connectors: {
          replicas: 2,
          image: 'example.com/connector:1',
          resources: AMOUNTS,
          logLevel: 'info',
          drainSeconds: 30,
          podTemplate: POD,
        },
        allowedNamespaces: [
          {
            from: 'Selector',
            selector: { matchLabels: { team: 'a' } },
            addresses: ['10.0.0.0/8'],
            names: ['team.internal'],
          },
        ],
        acl: { lifetime: '30m', onControllerLoss: { mode: 'closeAfter', seconds: 30 } },
        guardExceptions: ['127.0.0.0/8'],
      },
      status: { ...STATUS, connectors: { desired: 2, ready: 2 } },
    },
  ],
  Connector: [
    {
      spec: { remoteNetworkRef: { name: 'office' }, deployment: 'External' },
      status: { ...STATUS, connectorID: 'a'.repeat(32), version: '1.0.0' },
    },
  ],
  Resource: [
    {
      spec: {
        remoteNetworkRef: { name: 'office', namespace: 'sallyport' },
        address: 'db.internal',
        aliases: ['db'],
        protocols: {
          tcp: { policy: 'Restricted', ports: [{ start: 80, end: 80 }] },
          udp: { policy: 'Restricted', ports: [{ start: 53, end: 53 }] },
          icmp: 'Deny',
        },
        access: [{ group: 'developers', expiresAt: AT, maxLoginAge: '12h' }],
        visible: true,
        openURL: 'https://db.internal/',
      },
      status: { ...STATUS, resourceID: UID },
    },
  ],
  Group: [
    {
      spec: {
        displayName: 'Developers',
        members: ['ada@example.com'],
        identityProviderGroups: [{ provider: 'corp', name: 'engineers' }],
      },
      status: STATUS,
    },
  ],
  Relay: [
    relay({ template: 'relay-{index}.example.com:443' }),
    relay({ list: ['relay.example.com:443'] }),
    relay({ fromService: true }),
  ],
}

const dns = (length: number) =>
  Array.from({ length }, (_, index) => (index % 62 === 61 && index < length - 1 ? '.' : 'a')).join('')
const hostPort = (host: string) => (length: number) =>
  `${host}${dns(Math.max(0, Math.min(length - 6, 150) - host.length)) || (host === '' ? 'a' : '')}:${length < 7 ? 1 : 65_535}`
const letters = (length: number) => 'a'.repeat(length)
const exactly = (text: string) => () => text

/** For each pattern texts that match it, as long as they can be up to a length, and one that does not. */
export const TEXTS: Record<string, { of: (length: number) => string; bad: string }> = {
  '': { of: letters, bad: '' },
  '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$': { of: letters, bad: 'Office' },
  '^[A-Za-z0-9*?._:/-]+$': { of: dns, bad: 'db internal' },
  '^[A-Za-z0-9._-]+$': { of: dns, bad: '*.internal' },
  '^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9]*[a-z0-9])?$': { of: letters, bad: 'a/b/c' },
  '^[^@ \\t\\n\\f\\r]{1,64}@[^@ \\t\\n\\f\\r]{1,253}$': {
    of: length => `${letters(Math.min(64, length - 2))}@${letters(Math.max(1, length - 65))}`,
    bad: 'ann',
  },
  '^[0-9]{1,9}(s|m|h|d)$': { of: length => '1800s'.padStart(Math.min(length, 10), '0'), bad: '12w' },
  '^https?://': { of: length => 'https://'.padEnd(length, 'a'), bad: 'javascript:alert(1)' },
  '^[0-9a-fA-F:.]+/[0-9]{1,3}$': {
    of: length => (length < 49 ? '::/0' : 'fd00:0000:0000:0000:0000:0000:255.255.255.255/128'),
    bad: '127.0.0.1',
  },
  '^([a-z0-9.-]|[{]index[}])+:[0-9]{1,5}$': { of: hostPort('relay-{index}.'), bad: 'relay-{name}.example.com:443' },
  '^(\\[[0-9a-fA-F:.]+\\]|[A-Za-z0-9.-]+):[0-9]{1,5}$': { of: hostPort(''), bad: 'relay.example.com' },
  '^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$': { of: letters, bad: 'team a' },
  '^[0-9]+([.][0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|e[0-9]{1,2})?$': {
    of: length => '1'.padStart(length, '0'),
    bad: 'lots',
  },
  '^[A-Z][A-Za-z]*$': { of: length => 'A'.padEnd(length, 'a'), bad: 'not accepted' },
  '^[a-z2-7]{32}$': { of: exactly('a'.repeat(32)), bad: 'a'.repeat(31) },
  '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$': { of: exactly(UID), bad: UID.toUpperCase() },
  '^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[-+]([01][0-9]|2[0-3]):[0-5][0-9])$':
    { of: exactly('2030-01-01T00:00:00.123456789+01:00'), bad: '2016-12-31T23:59:60Z' },
}

const envNames = POD_ENV
const port = (index: number) => ({ start: index + 1, end: index + 1 })
const environment = (index: number) => ({ name: envNames[index % envNames.length], value: 'x' })
const key = (index: number) => ({ key: `key-${index}` })

/** The item of each list at an index; no two are the same. */
export const ITEMS: Record<string, (index: number) => unknown> = {
  'spec.connectors.podTemplate.tolerations': key,
  'spec.connectors.podTemplate.topologySpreadConstraints': key,
  'spec.connectors.podTemplate.env': environment,
  'spec.podTemplate.tolerations': key,
  'spec.podTemplate.topologySpreadConstraints': key,
  'spec.podTemplate.env': environment,
  'spec.allowedNamespaces': () => ({ from: 'Same' }),
  'spec.allowedNamespaces.*.addresses': index => `10.${index}.0.0/16`,
  'spec.allowedNamespaces.*.names': index => `team-${index}.internal`,
  'spec.guardExceptions': index => `127.0.0.${index}/32`,
  'spec.aliases': index => `db-${index}`,
  'spec.protocols.tcp.ports': port,
  'spec.protocols.udp.ports': port,
  'spec.access': index => ({ group: `group-${index}` }),
  'spec.members': index => `person-${index}@example.com`,
  'spec.identityProviderGroups': index => ({ provider: 'corp', name: `group-${index}` }),
  'spec.address.list': index => `relay.example.com:${index + 1}`,
  'status.conditions': index => condition(`Condition${index}`),
  'status.endpoints': index => ({ index, name: 'relay.example.com', address: 'relay.example.com:443' }),
}

const withoutPorts = (policy: { ports?: unknown }, value: string) => {
  if (value !== 'Restricted') delete policy.ports
}

/** What else changes with an accepted value, so that the rules between fields hold: by the place: its parent, the value and the spec. */
export const ADAPT: Record<string, (parent: never, value: never, spec: never) => void> = {
  'spec.address.list': (_: object, list: unknown[], spec: { replicas: number }) => {
    spec.replicas = list.length
  },
  'spec.allowedNamespaces.*.from': (entry: { selector?: unknown }, value: string) => {
    if (value !== 'Selector') delete entry.selector
  },
  'spec.acl.onControllerLoss.mode': (loss: { seconds?: unknown }, value: string) => {
    if (value === 'untilExpiry') delete loss.seconds
  },
  'spec.protocols.tcp.policy': withoutPorts,
  'spec.protocols.udp.policy': withoutPorts,
  'spec.protocols.tcp.ports.*.start': (range: { end: number }, value: number) => {
    range.end = value
  },
  'spec.protocols.udp.ports.*.start': (range: { end: number }, value: number) => {
    range.end = value
  },
  'spec.protocols.tcp.ports.*.end': (range: { start: number }, value: number) => {
    range.start = value
  },
  'spec.protocols.udp.ports.*.end': (range: { start: number }, value: number) => {
    range.start = value
  },
}
