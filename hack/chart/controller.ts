/** Values of the Controller. */
import Type, { type TObject } from 'typebox'
import {
  ControllerConfigSchema,
  IdentityProvider,
  OperatorConfig,
  OperatorJwks,
  strict,
  TenantConfig,
  TenantName,
} from '../../packages/schema/src/index.ts'
import { choice, flag, group, host, hosts, list, parentRefs, service, text, texts, workload } from './workload.ts'

const { clientSecretFile: _file, ...provider } = IdentityProvider.properties
const [inCluster, inline] = OperatorJwks.anyOf
const { admins, adminGroups, url: tenantUrl } = TenantConfig.properties

/** An identity provider; what is secret of it stands in a Secret. */
const ChartIdentityProvider = Type.Object(
  {
    ...provider,
    clientSecret: Type.Optional(
      Type.Object(
        {
          name: Type.String({ minLength: 1, maxLength: 253, description: "Secret in the release's namespace." }),
          key: Type.String({ minLength: 1, maxLength: 253, description: 'Entry of the Secret.' }),
        },
        { ...strict, description: 'Where the client secret is (type oidc).' },
      ),
    ),
  },
  { ...strict },
)

/** A file of keys, or of a CA, is nothing that a chart could mount. */
const jwks = Type.Union(
  [inCluster, inline, Type.Object({ url: Type.String({ pattern: '^https://[^\\s]+$' }) }, { ...strict })],
  { description: 'Public keys of the issuer: inline, by url, or inCluster.' },
)
const operators = Type.Array(Type.Object({ ...OperatorConfig.properties, jwks }, { ...strict }), { maxItems: 64 })

/** The people and further operators of a tenant. */
const tenant = {
  identityProviders: Type.Optional(
    Type.Array(ChartIdentityProvider, {
      maxItems: 32,
      default: [],
      description: 'Who authenticates people. Nobody can log in while there is none.',
    }),
  ),
  admins: Type.Optional({ ...admins, default: [] }),
  adminGroups: Type.Optional({ ...adminGroups, default: [] }),
  operators: Type.Optional({
    ...operators,
    default: [],
    description: "Operators of other clusters that may declare too. This release's own is known already.",
  }),
}

/** Values at the root that are about the tenant `default`, and further tenants. */
export const tenants = {
  ...tenant,
  tenants: list(
    Type.Object(
      { name: { ...TenantName, description: 'Name; the login URL ends in /t/<name>.' }, url: tenantUrl, ...tenant },
      { ...strict },
    ),
    'Further tenants: people, Resources and keys of their own. What stands at the root is tenant `default`.',
  ),
}

const section = (name: 'acl' | 'certificates' | 'login' | 'enrolment' | 'relayKeys' | 'signingKeys') => {
  // The section has a default of its own where it stands in the Controller's file; here its fields have theirs.
  const { default: _default, ...schema } = ControllerConfigSchema.properties[name] as TObject & { default?: unknown }
  return schema
}

/** Values under `controller`. */
export const controller = group(
  {
    enabled: flag('Whether this release runs the Controller; if not, `external` says where it is.', true),
    url: text(
      'Public https URL. When empty: that of Ingress or Gateway where one is on, else the operator derives it from the Service (address of the load balancer, else of a Node, and the NodePort).',
      '',
      2048,
    ),
    external: group(
      {
        url: text('URL of the Controller.', '', 2048),
        audience: text(
          "`aud` of the operator's token, as that Controller's configuration has it; `url` when empty.",
          '',
          2048,
        ),
        caSecret: text('Secret whose entry `ca.crt` vouches for that Controller; public CAs do when empty.', '', 253),
      },
      'A Controller that another release or cluster runs; only with enabled false.',
    ),
    service: service('LoadBalancer', 443),
    ingress: group(
      {
        enabled: flag('Whether there is an Ingress. It must speak HTTPS to the Controller and let WebSockets through.'),
        className: text("Class; the cluster's default when empty.", '', 253),
        host: host('DNS name.'),
        annotations: texts('Annotations, such as nginx.ingress.kubernetes.io/backend-protocol: HTTPS.'),
        tlsSecret: text('Secret with the certificate that the Ingress shows; its own default when empty.', '', 253),
      },
      'Ingress for the Controller.',
    ),
    gateway: group(
      {
        enabled: flag('Whether there is a route of the Gateway API.'),
        route: choice(
          ['TLSRoute', 'HTTPRoute'],
          'TLSRoute',
          "TLSRoute passes the Controller's own TLS through. HTTPRoute: the Gateway ends TLS with a certificate of its own and begins it anew.",
        ),
        parentRefs,
        hostnames: hosts('DNS names; the first is in the URL.'),
      },
      'Gateway API for the Controller.',
    ),
    persistence: group(
      {
        size: Type.Optional(
          Type.String({
            pattern: '^[0-9]+(\\.[0-9]+)?[EPTGMK]i?$',
            default: '2Gi',
            description: 'Size of the volume.',
          }),
        ),
        storageClass: text("Storage class; the cluster's default when empty, `-` for none.", '', 253),
        annotations: texts('Annotations of the claim.'),
        existingClaim: text('Claim that exists already, instead of one that the chart makes.', '', 253),
        hostPath: Type.Optional(
          Type.String({
            maxLength: 4096,
            pattern: '^(/.*)?$',
            default: '',
            description:
              'For trying out on a node without a provisioner: its directory, which must exist and belong to user 65532. The chart makes a PersistentVolume of it.',
          }),
        ),
      },
      'Volume of the database (SQLite). It is kept when the release is uninstalled.',
    ),
    acl: section('acl'),
    certificates: section('certificates'),
    login: section('login'),
    enrolment: section('enrolment'),
    relayKeys: section('relayKeys'),
    signingKeys: section('signingKeys'),
    clockLeewaySeconds: ControllerConfigSchema.properties.clockLeewaySeconds,
    ...workload({ requests: { cpu: '100m', memory: '192Mi' }, limits: { memory: '512Mi' } }),
  },
  'The Controller: signs, and never sees data. One replica.',
)
