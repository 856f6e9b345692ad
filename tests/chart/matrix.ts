/** Values that companies would set: each case is rendered, judged by the API server, and read by the processes. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { Values } from './helm.ts'

const example = (name: string) => parse(readFileSync(join(import.meta.dirname, '../../examples', name), 'utf8'))
const TRYOUT = example('values-tryout.yaml')
const DIGEST = `sha256:${'ab'.repeat(32)}`
const PARENT = { name: 'public', namespace: 'gateways', sectionName: 'tls' }

export const OIDC = {
  name: 'corp',
  type: 'oidc',
  issuer: 'https://id.example.com',
  clientId: 'sallyport',
  clientSecret: { name: 'corp-oidc', key: 'secret' },
  emailDomains: ['example.com'],
}

const SCHEDULING = {
  logLevel: 'debug',
  resources: { requests: { cpu: '1', memory: '1Gi' }, limits: { memory: '1Gi' } },
  env: [{ name: 'HTTPS_PROXY', value: 'http://proxy.example.com:3128' }],
  podLabels: { 'cost-centre': '42' },
  podAnnotations: { 'example.com/note': 'yes' },
  nodeSelector: { 'kubernetes.io/os': 'linux' },
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: 'pool', operator: 'In', values: ['edge'] }] }],
      },
    },
  },
  tolerations: [{ key: 'dedicated', operator: 'Exists', effect: 'NoSchedule' }],
  topologySpreadConstraints: [
    { maxSkew: 1, topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'DoNotSchedule' },
  ],
  priorityClassName: 'system-cluster-critical',
}

export const MATRIX: Record<string, Values> = {
  defaults: {},
  'the try-out': TRYOUT,
  'the try-out on a node without a provisioner': {
    ...TRYOUT,
    controller: { ...TRYOUT.controller, ...example('values-hostpath.yaml').controller },
  },
  'people of two providers and two tenants': {
    identityProviders: [OIDC, { ...OIDC, name: 'partner', emailDomains: ['partner.example'], clientSecret: undefined }],
    admins: ['ada@example.com'],
    adminGroups: [{ provider: 'corp', name: 'platform' }],
    trustedCAs: { configMap: 'corp-cas', key: 'bundle.pem' },
    operators: [
      {
        issuer: 'https://kubernetes.other.example',
        jwks: { url: 'https://kubernetes.other.example/openid/v1/jwks' },
        subject: 'system:serviceaccount:sallyport:sallyport-operator',
        source: 'other',
      },
    ],
    tenants: [{ name: 'lab', identityProviders: [{ ...OIDC, emailDomains: ['lab.example'] }] }],
  },
  'behind an Ingress': {
    controller: {
      service: { type: 'ClusterIP' },
      ingress: {
        enabled: true,
        className: 'nginx',
        host: 'access.example.com',
        annotations: { 'nginx.ingress.kubernetes.io/backend-protocol': 'HTTPS' },
        tlsSecret: 'access-tls',
      },
    },
  },
  'behind a Gateway that passes TLS through': {
    controller: {
      service: { type: 'ClusterIP' },
      gateway: { enabled: true, parentRefs: [PARENT], hostnames: ['access.example.com'] },
    },
    relays: [
      {
        name: 'edge',
        replicas: 3,
        address: { template: 'relay-{index}.example.com:443' },
        tlsRoute: { parentRefs: [PARENT] },
      },
    ],
  },
  'behind a Gateway that ends TLS': {
    controller: {
      service: { type: 'ClusterIP' },
      gateway: { enabled: true, route: 'HTTPRoute', parentRefs: [PARENT], hostnames: ['access.example.com'] },
    },
  },
  'everything about Services': {
    controller: {
      url: 'https://access.example.com/',
      service: {
        type: 'LoadBalancer',
        port: 8443,
        nodePort: 30443,
        annotations: { 'example.com/scheme': 'internal' },
        loadBalancerClass: 'example.com/nlb',
        loadBalancerSourceRanges: ['192.0.2.0/24'],
        externalTrafficPolicy: 'Local',
      },
    },
    relays: [
      {
        name: 'edge',
        address: { list: ['192.0.2.1:8443'] },
        replicas: 1,
        service: { type: 'LoadBalancer', annotations: { 'example.com/scheme': 'public' } },
        resources: { requests: { memory: '128Mi' } },
        podTemplate: { priorityClassName: 'system-cluster-critical', env: [{ name: 'TZ', value: 'UTC' }] },
      },
    ],
  },
  'images by digest from a registry of their own': {
    images: {
      registry: 'registry.example.com/mirror/',
      pullPolicy: 'Always',
      pullSecrets: ['regcred'],
      operator: { digest: DIGEST },
      controller: { digest: DIGEST },
      relay: { tag: '1.2.3' },
      connector: { repository: 'ours/connector' },
    },
  },
  'scheduled with care': {
    labels: { team: 'platform' },
    clusterDomain: 'corp.local',
    controller: { ...SCHEDULING, persistence: { storageClass: 'fast', size: '10Gi', annotations: { note: 'backup' } } },
    operator: { ...SCHEDULING, replicas: 3 },
  },
  'lives of tokens and keys': {
    controller: {
      acl: { defaultLifetimeSeconds: 300 },
      login: { maxSessionSeconds: 28_800, accessTokenSeconds: 120 },
      enrolment: { tokenSeconds: 3600 },
      relayKeys: { activationSeconds: 60, rotationSeconds: 2_592_000 },
      signingKeys: { rotationSeconds: 31_536_000, announceSeconds: 3600 },
      clockLeewaySeconds: 60,
    },
  },
  'a claim that exists': { controller: { persistence: { existingClaim: 'database' } } },
  'Roles only': {
    operator: { watchNamespaces: ['apps', 'data'], managedNamespaces: ['networks'] },
    relays: [{ name: 'edge', address: { template: 'relay-{index}.example.com:443' } }],
  },
  'several managed namespaces': { operator: { managedNamespaces: ['networks', 'sallyport'] } },
  'a CA of their own': { authority: { provided: true } },
  'cert-manager': { certManager: { enabled: true, issuerRef: { name: 'corp', kind: 'ClusterIssuer' } } },
  'watched and fenced': {
    networkPolicy: {
      enabled: true,
      metricsFrom: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }],
    },
    monitoring: {
      serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
      prometheusRule: { enabled: true },
      dashboard: { enabled: true },
    },
  },
  'nothing that can be left out': {
    relays: [],
    crds: { upgrade: false },
    podDisruptionBudget: { enabled: false },
    operator: { replicas: 1 },
  },
  'an operator without a Controller of its own': {
    controller: { enabled: false, external: { url: 'https://access.example.com', caSecret: 'access-ca' } },
    networkPolicy: { enabled: true },
    monitoring: { serviceMonitor: { enabled: true } },
  },
}
