/** Every value of the chart: values.yaml, its schema and the reference page are made of this. */
import Type from 'typebox'
import { Name, Namespace, PodTemplate, RelaySpec, strict } from '../../packages/schema/src/index.ts'
import { controller, tenants } from './controller.ts'
import { choice, flag, group, kubeList, list, names, number, parentRefs, text, texts, workload } from './workload.ts'

const image = (name: string) =>
  group(
    {
      repository: text('Repository, without registry.', `sallyport/${name}`),
      tag: text("Tag; the chart's appVersion when empty.", '', 128),
      digest: Type.Optional(
        Type.String({
          pattern: '^(sha256:[0-9a-f]{64})?$',
          maxLength: 71,
          default: '',
          description: 'Digest, which goes before the tag.',
        }),
      ),
    },
    `Image of the ${name}.`,
  )

const images = group(
  {
    registry: text('Registry, and path in it, that goes in front of every repository.'),
    pullPolicy: choice(['IfNotPresent', 'Always', 'Never'], 'IfNotPresent', 'When images are pulled.'),
    pullSecrets: names('Secrets with which images are pulled, by name.'),
    operator: image('operator'),
    controller: image('controller'),
    relay: image('relay'),
    connector: image('connector'),
  },
  'Images. Those of Relay and Connector hold where the objects name none.',
)

const operator = group(
  {
    replicas: number(1, 5, 2, 'How many; one leads, the others take over within seconds.'),
    managedNamespaces: list(
      Namespace,
      "Namespaces in which RemoteNetworks, Connectors and Relays count, and in which the operator makes Secrets, Deployments and Services; they must exist. The release's own is always one.",
    ),
    watchNamespaces: list(
      Namespace,
      'Namespaces whose Resources, Groups and Services count. All when empty. With any, the chart makes Roles only, no ClusterRole: CRDs are then upgraded by hand, labels of namespaces and addresses of Nodes are not known to the operator.',
    ),
    resyncSeconds: number(1, 86_400, 300, 'How often everything is listed and compared again.'),
    removalWaitSeconds: number(
      0,
      86_400,
      300,
      'How long a resync waits that would remove more than half of what is declared, and more than 20.',
    ),
    ...workload({ requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '1Gi' } }),
  },
  'The operator: makes the cluster, and the Controller, as the objects declare.',
)

const relay = Type.Object(
  {
    name: { ...Name, maxLength: 30, description: 'Name; the Relay object is called <release>-<name>.' },
    replicas: RelaySpec.properties.replicas,
    address: RelaySpec.properties.address,
    service: RelaySpec.properties.service,
    image: RelaySpec.properties.image,
    resources: RelaySpec.properties.resources,
    podTemplate: Type.Optional(PodTemplate),
    tlsRoute: Type.Optional(
      Type.Object(
        { parentRefs },
        {
          ...strict,
          description:
            'A TLSRoute per replica, for a Gateway that passes TLS through; address.template then names the host of each.',
        },
      ),
    ),
  },
  { ...strict },
)

const certManager = group(
  {
    enabled: flag("Whether cert-manager issues the installation's CA, instead of the operator."),
    issuerRef: group(
      {
        name: text('Name of the issuer; it must be able to issue CAs.', '', 253),
        kind: text('Its kind.', 'Issuer', 63),
        group: text('Its API group.', 'cert-manager.io', 253),
      },
      'Who issues.',
    ),
    durationHours: number(
      24,
      876_000,
      87_600,
      'Life of the CA. It is renewed after two fifths of it, with the same key.',
    ),
  },
  'cert-manager.',
)

const monitoring = group(
  {
    serviceMonitor: group(
      {
        enabled: flag(
          'Whether there is a ServiceMonitor for Controller and operator, and a PodMonitor for Relays and Connectors.',
        ),
        interval: text('How often metrics are read.', '30s', 20),
        labels: texts('Labels by which Prometheus finds it.'),
      },
      'Prometheus operator: what to scrape.',
    ),
    prometheusRule: group(
      { enabled: flag('Whether there are alerts.'), labels: texts('Labels by which Prometheus finds them.') },
      'Prometheus operator: alerts.',
    ),
    dashboard: group(
      {
        enabled: flag('Whether there is a ConfigMap with a Grafana dashboard.'),
        labels: Type.Optional(
          Type.Record(Type.String({ pattern: '^.{1,317}$' }), Type.String({ maxLength: 63 }), {
            default: { grafana_dashboard: '1' },
            description: "Labels by which Grafana's sidecar finds it.",
          }),
        ),
      },
      'Grafana.',
    ),
  },
  'Metrics.',
)

/** Schema of the chart's values. */
export const ChartValues = Type.Object(
  {
    images,
    clusterDomain: text("Domain of the cluster's Services.", 'cluster.local', 253),
    labels: texts('Further labels of every object.'),
    crds: group(
      { upgrade: flag('Whether a Job brings the CRDs up to date before an upgrade; Helm itself never does.', true) },
      'CustomResourceDefinitions. They are kept when the release is uninstalled.',
    ),
    ...tenants,
    controller,
    operator,
    relays: list(
      relay,
      'Relays, where Clients and Connectors meet. Each replica is one of its own, with its own Service.',
      [{ name: 'relay', replicas: 2, address: { fromService: true }, service: { type: 'LoadBalancer' } }],
    ),
    authority: group(
      {
        provided: flag(
          'Whether the CA is yours: a Secret <release>-ca with tls.crt, tls.key and ca.crt, for which the operator waits. Otherwise the operator makes one. Renew it before half of its life is over, with the same key: the operator never writes it.',
        ),
      },
      'The CA of the installation, which Clients pin at their first login.',
    ),
    trustedCAs: group(
      {
        configMap: text('ConfigMap with the CAs, as PEM; none when empty.', '', 253),
        key: Type.Optional(
          Type.String({
            pattern: '^[-._a-zA-Z0-9]+$',
            maxLength: 253,
            default: 'ca.crt',
            description: 'Its entry.',
          }),
        ),
      },
      'CAs that operator and Controller trust besides public ones, where they speak to others: of an identity provider, of a proxy.',
    ),
    certManager,
    gatewayAPI: group(
      { tlsRouteVersion: choice(['v1', 'v1alpha2'], 'v1', 'Version of TLSRoute: v1 since Gateway API 1.5.') },
      'Gateway API.',
    ),
    networkPolicy: group(
      {
        enabled: flag('Whether only the ports that are meant to be reached can be.'),
        metricsFrom: kubeList(
          'Who may read metrics, as `from` of a NetworkPolicy; everyone in the cluster when empty.',
        ),
      },
      'NetworkPolicies of what the chart and the operator run.',
    ),
    podDisruptionBudget: group(
      { enabled: flag('Whether one operator always stays while nodes are drained.', true) },
      'PodDisruptionBudget of the operator; those of Connectors and Relays are made by it.',
    ),
    monitoring,
    global: Type.Optional(
      Type.Unsafe<object>({ type: 'object', description: 'Values of a chart that this one is part of; none is used.' }),
    ),
  },
  { ...strict, description: 'Values of the chart.' },
)
