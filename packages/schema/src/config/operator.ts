import Type, { type Static } from 'typebox'
import { HostPort, Namespace, oneOf, strict } from '../common.ts'

const Text = (description: string, maxLength = 4096) => Type.String({ minLength: 1, maxLength, description })
const Path = (description: string) => Type.Optional(Text(description))
const Url = (description: string) => Type.String({ maxLength: 2048, pattern: '^https://[^\\s]+$', description })
const Namespaces = (description: string) =>
  Type.Optional(Type.String({ maxLength: 16_384, pattern: '^[a-z0-9]([-a-z0-9,]*[a-z0-9])?$', description }))

/** Configuration of the operator: each variable can be given as a flag too, SALLYPORT_STATE_DIR as `--state-dir`. */
export const OperatorConfigSchema = Type.Object(
  {
    SALLYPORT_PROVIDER: oneOf(['kubernetes', 'file'], {
      default: 'kubernetes',
      description: 'Where objects are declared: in a cluster, or in a directory of YAML files on this machine.',
    }),
    SALLYPORT_RELEASE: Type.String({
      pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
      minLength: 1,
      maxLength: 53,
      default: 'sallyport',
      description:
        'Name of the installation: Secrets <release>-ca, <release>-controller-tls and <release>-store-key, ConfigMap <release>-login, Lease <release>-operator.',
    }),
    SALLYPORT_CONTROLLER_URL: Url('URL of the Controller for the operator and the Connectors that it runs.'),
    SALLYPORT_CONTROLLER_PUBLIC_URL: Type.Optional(
      Url(
        'URL of the Controller for people and External Connectors. That of SALLYPORT_CONTROLLER_SERVICE, or else SALLYPORT_CONTROLLER_URL, when absent.',
      ),
    ),
    SALLYPORT_LOGIN_PIN: Type.Boolean({
      default: true,
      description:
        'Whether what people type to log in pins the CA of the Controller. False where they see the certificate of a proxy in front of it, which a public CA vouches for: External Connectors trust that for the public URL, too.',
    }),
    SALLYPORT_CONTROLLER_SERVICE: Type.Optional(
      Type.String({
        pattern: '^[a-z]([-a-z0-9]*[a-z0-9])?$',
        minLength: 1,
        maxLength: 63,
        description:
          "Service of the operator's own namespace from which the public URL is derived: the LoadBalancer's address, else a Node's address and the NodePort, else SALLYPORT_CONTROLLER_URL.",
      }),
    ),
    SALLYPORT_CONTROLLER_NAMES: Type.Optional(
      Text(
        "Further names and addresses of the Controller's serving certificate, separated by commas; those of its URLs always are in it.",
      ),
    ),
    SALLYPORT_CONTROLLER_CA_FILE: Path(
      'PEM file of the CAs that vouch for the Controller. The installation CA, which the operator makes, when absent.',
    ),
    SALLYPORT_CONTROLLER_AUDIENCE: Type.Optional(
      Text(
        "`aud` of the operator's token, as the tenant's configuration has it. SALLYPORT_CONTROLLER_PUBLIC_URL, or else SALLYPORT_CONTROLLER_URL, when absent.",
        2048,
      ),
    ),
    SALLYPORT_CERTIFICATES: oneOf(['operator', 'provided', 'external'], {
      default: 'operator',
      description:
        'Who issues serving certificates. operator: the operator, with the CA in Secret <release>-ca, which it makes where there is none. provided: the same, but it makes no CA and waits for it. external: someone else, who writes tls.crt, tls.key and ca.crt into Secrets of type kubernetes.io/tls: <release>-controller-tls, and <relay>-<index>-tls for each Relay replica.',
    }),
    SALLYPORT_CA_SECONDS: Type.Integer({
      minimum: 60,
      maximum: 20 * 365 * 86_400,
      default: 3650 * 86_400,
      description: 'Life of the CA that the operator makes; renewed at half of it, with the same key.',
    }),
    SALLYPORT_CERTIFICATE_SECONDS: Type.Integer({
      minimum: 20,
      maximum: 825 * 86_400,
      default: 60 * 86_400,
      description: 'Life of serving certificates of the Controller and of Relays; renewed at half of it.',
    }),
    SALLYPORT_NAMESPACE: {
      ...Namespace,
      default: 'default',
      description: "The operator's own namespace; with files that of objects that name none.",
    },
    SALLYPORT_MANAGED_NAMESPACES: Namespaces(
      'Namespaces in which RemoteNetworks, Connectors and Relays count, separated by commas. Its own when absent.',
    ),
    SALLYPORT_WATCH_NAMESPACES: Namespaces(
      'Namespaces whose Resources and Groups count, separated by commas. All when absent.',
    ),
    SALLYPORT_CLUSTER_DOMAIN: Type.String({
      default: 'cluster.local',
      maxLength: 253,
      description: "Domain of the cluster's Services.",
    }),
    SALLYPORT_KUBECONFIG: Path('kubeconfig file. As kubectl finds it, or the pod’s own account, when absent.'),
    SALLYPORT_TOKEN_FILE: Type.String({
      default: '/var/run/secrets/sallyport/token',
      maxLength: 4096,
      description: "The operator's token for the Controller: a projected ServiceAccount token. Read for each use.",
    }),
    SALLYPORT_LEADER_ELECTION: Type.Boolean({
      default: true,
      description: 'Whether replicas elect a leader by a Lease; a single one can do without.',
    }),
    SALLYPORT_LEASE_SECONDS: Type.Integer({
      minimum: 2,
      maximum: 60,
      default: 10,
      description:
        'How long the Lease of a leader counts that has stopped renewing it: a replica takes over that much later. It is renewed five times as often.',
    }),
    SALLYPORT_STALE_SECONDS: Type.Integer({
      minimum: 1,
      maximum: 600,
      default: 30,
      description:
        'How long a call to the API server may take, and how long a kind may be neither listed nor watched until /healthz and /readyz say so.',
    }),
    SALLYPORT_CONNECTOR_IMAGE: Type.String({
      default: 'sallyport/connector:0.1.0',
      maxLength: 512,
      description: 'Image of Connectors where their RemoteNetwork names none.',
    }),
    SALLYPORT_RELAY_IMAGE: Type.String({
      default: 'sallyport/relay:0.1.0',
      maxLength: 512,
      description: 'Image of Relays that name none.',
    }),
    SALLYPORT_IMAGE_PULL_SECRETS: Type.Optional(
      Text('Secrets with which Connectors and Relays pull their images, by name, separated by commas.'),
    ),
    SALLYPORT_DIR: Path('Directory of YAML files; only with provider file.'),
    SALLYPORT_STATE_DIR: Path(
      "Directory of statuses, Secrets, logs and the operator's keys; made when missing; only with provider file.",
    ),
    SALLYPORT_CONNECTOR_COMMAND: Type.Optional(
      Text('Command of a Connector, words separated by spaces; with provider file.'),
    ),
    SALLYPORT_RELAY_COMMAND: Type.Optional(Text('Command of a Relay, words separated by spaces; with provider file.')),
    SALLYPORT_CONNECTOR_RESOLVER: Type.Optional(
      Text('DNS servers of the Connectors that it runs (their SALLYPORT_RESOLVER); with provider file.', 1024),
    ),
    SALLYPORT_TOKEN_ISSUER: Type.String({
      default: 'sallyport-operator',
      maxLength: 2048,
      description: '`iss` of the tokens that it signs; with provider file.',
    }),
    SALLYPORT_TOKEN_SUBJECT: Type.String({
      default: 'operator',
      maxLength: 512,
      description: '`sub` of the tokens that it signs; with provider file.',
    }),
    SALLYPORT_RESYNC_SECONDS: Type.Integer({
      minimum: 1,
      maximum: 86_400,
      default: 300,
      description: 'How often everything is listed and compared again.',
    }),
    SALLYPORT_REMOVAL_WAIT_SECONDS: Type.Integer({
      minimum: 0,
      maximum: 86_400,
      default: 300,
      description: 'How long a resync waits that would remove more than half of what is declared, and more than 20.',
    }),
    SALLYPORT_METRICS_LISTEN: Type.String({
      ...HostPort,
      pattern: '^(\\[[0-9a-fA-F:.]+\\]|[A-Za-z0-9.-]*):[0-9]{1,5}$',
      default: ':9090',
      minLength: 2,
      description: 'Where `/healthz`, `/readyz` and `/metrics` are served: host:port, or :port for all addresses.',
    }),
    SALLYPORT_LOG_LEVEL: oneOf(['debug', 'info', 'warn', 'error'], {
      default: 'info',
      description: 'What is logged.',
    }),
  },
  { ...strict, description: 'Configuration of the operator.' },
)
export type OperatorConfigSchema = Static<typeof OperatorConfigSchema>
