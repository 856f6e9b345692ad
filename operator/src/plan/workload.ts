import type { PodTemplate, RelaySpec } from '@sallyport/schema'
import { CONNECTOR_LABEL, type Declared, type KubeObject, ownerReference, stamped } from '../object.ts'
import { connectorLabels, networkSelector, relayLabels, relaySelector } from './label.ts'
import type { Settings } from './step.ts'

/** Port of a Relay's pod and of its Service. */
export const RELAY_PORT = 8443
const METRICS_PORT = 9090
const USER = 65532
const DEFAULT_DRAIN_SECONDS = 30
/** Time beyond the drain before the kubelet kills. */
const KILL_SECONDS = 10
const CONNECTOR_DIR = '/etc/sallyport/connector'
const RELAY_DIR = '/etc/sallyport/relay'
const STATE_DIR = '/var/lib/sallyport'
/** Most that a Connector keeps: its key, its access list, the access log that the Controller has yet to take. */
const STATE_SIZE = '256Mi'
/** What is reserved for a pod where nothing is said; there is no limit then. */
const DEFAULT_RESOURCES: RelaySpec['resources'] = { requests: { cpu: '50m', memory: '128Mi' } }
/** Former ReplicaSets that are kept for a look back. */
const HISTORY = 1

type Variable = { name: string; value: string }
type Volume = { name: string; path: string; source: object; readOnly: boolean }
type Pod = {
  name: string
  owner: Declared
  component: 'connector' | 'relay'
  labels: Record<string, string>
  /** Labels by which its Deployment finds it: no more than it takes, for they cannot be changed. */
  selector: Record<string, string>
  /** Labels of all pods among which it is spread. */
  group: Record<string, string>
  image: string
  pullSecrets: readonly string[]
  environment: Variable[]
  volumes: Volume[]
  ports: { name: string; containerPort: number }[]
  graceSeconds: number
  resources: RelaySpec['resources'] | undefined
  template: PodTemplate | undefined
}

/** Deployment of one Connector. */
export function connectorDeployment(
  connector: Declared<'Connector'>,
  network: Declared<'RemoteNetwork'>,
  settings: Settings,
): KubeObject {
  const wanted = network.spec?.connectors ?? {}
  const drainSeconds = wanted.drainSeconds ?? DEFAULT_DRAIN_SECONDS
  const { name } = connector.metadata
  const { connectorResolver } = settings
  return deployment({
    name,
    owner: connector,
    component: 'connector',
    labels: connectorLabels(connector),
    selector: { [CONNECTOR_LABEL]: name },
    group: networkSelector(network.metadata.name),
    image: wanted.image ?? settings.connectorImage,
    pullSecrets: settings.imagePullSecrets,
    environment: [
      { name: 'SALLYPORT_CONNECTOR_DIR', value: CONNECTOR_DIR },
      { name: 'SALLYPORT_STATE_DIR', value: STATE_DIR },
      { name: 'SALLYPORT_METRICS_LISTEN', value: `:${METRICS_PORT}` },
      { name: 'SALLYPORT_DRAIN_SECONDS', value: String(drainSeconds) },
      { name: 'SALLYPORT_LOG_LEVEL', value: wanted.logLevel ?? 'info' },
      ...(connectorResolver === undefined ? [] : [{ name: 'SALLYPORT_RESOLVER', value: connectorResolver }]),
    ],
    volumes: [
      { name: 'secret', path: CONNECTOR_DIR, source: { secret: { secretName: name } }, readOnly: true },
      { name: 'state', path: STATE_DIR, source: { emptyDir: { sizeLimit: STATE_SIZE } }, readOnly: false },
    ],
    ports: [{ name: 'metrics', containerPort: METRICS_PORT }],
    graceSeconds: drainSeconds + KILL_SECONDS,
    resources: wanted.resources,
    template: wanted.podTemplate,
  })
}

/** Deployment of one replica of a Relay. `listen` is where it listens. */
export function relayDeployment(
  relay: Declared<'Relay'>,
  { name, index, listen }: { name: string; index: number; listen: string },
  settings: Settings,
): KubeObject {
  const { image, resources, podTemplate } = relay.spec!
  return deployment({
    name,
    owner: relay,
    component: 'relay',
    labels: relayLabels(relay, index),
    selector: relaySelector(relay.metadata.name, index),
    group: relaySelector(relay.metadata.name),
    image: image ?? settings.relayImage,
    pullSecrets: settings.imagePullSecrets,
    environment: [
      { name: 'SALLYPORT_RELAY_DIR', value: RELAY_DIR },
      { name: 'SALLYPORT_LISTEN', value: listen },
      { name: 'SALLYPORT_METRICS_LISTEN', value: `:${METRICS_PORT}` },
    ],
    volumes: [{ name: 'secret', path: RELAY_DIR, source: { secret: { secretName: name } }, readOnly: true }],
    ports: [
      { name: 'relay', containerPort: RELAY_PORT },
      { name: 'metrics', containerPort: METRICS_PORT },
    ],
    graceSeconds: DEFAULT_DRAIN_SECONDS + KILL_SECONDS,
    resources,
    template: podTemplate,
  })
}

/** Service of one replica of a Relay. */
export function relayService(relay: Declared<'Relay'>, name: string, index: number): KubeObject {
  const { type = 'ClusterIP', annotations } = relay.spec?.service ?? {}
  return stamped({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name,
      namespace: relay.metadata.namespace,
      labels: relayLabels(relay, index),
      ...(annotations === undefined ? {} : { annotations }),
      ownerReferences: [ownerReference(relay)],
    },
    spec: {
      type,
      selector: relaySelector(relay.metadata.name, index),
      ports: [{ name: 'relay', port: RELAY_PORT, targetPort: 'relay', protocol: 'TCP' }],
    },
  })
}

function deployment(pod: Pod): KubeObject {
  const { name, owner, labels, selector, template } = pod
  return stamped({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: owner.metadata.namespace, labels, ownerReferences: [ownerReference(owner)] },
    spec: {
      replicas: 1,
      revisionHistoryLimit: HISTORY,
      selector: { matchLabels: selector },
      // The slot is occupied while the old pod lives, so a new one beside it could not enrol; while it drains, one can.
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
      template: {
        metadata: {
          labels: { ...template?.metadata?.labels, ...labels },
          ...(template?.metadata?.annotations === undefined ? {} : { annotations: template.metadata.annotations }),
        },
        spec: podSpec(pod),
      },
    },
  })
}

function podSpec({
  component,
  group,
  image,
  pullSecrets,
  environment,
  volumes,
  ports,
  graceSeconds,
  resources,
  template = {},
}: Pod): object {
  const { nodeSelector, affinity, tolerations, priorityClassName, env = [] } = template
  const own = environment.filter(({ name }) => !env.some(given => given.name === name))
  return {
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: graceSeconds,
    ...(pullSecrets.length === 0 ? {} : { imagePullSecrets: pullSecrets.map(name => ({ name })) }),
    securityContext: {
      runAsNonRoot: true,
      runAsUser: USER,
      runAsGroup: USER,
      fsGroup: USER,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    ...(nodeSelector === undefined ? {} : { nodeSelector }),
    ...(affinity === undefined ? {} : { affinity }),
    ...(tolerations === undefined ? {} : { tolerations }),
    topologySpreadConstraints: template.topologySpreadConstraints ?? [overHosts(group)],
    ...(priorityClassName === undefined ? {} : { priorityClassName }),
    containers: [
      {
        name: component,
        image,
        env: [...own, ...env],
        ports,
        resources: resources ?? DEFAULT_RESOURCES,
        readinessProbe: { httpGet: { path: '/readyz', port: 'metrics' }, periodSeconds: 2, timeoutSeconds: 5 },
        // A busy node is no reason to cut what is open: only who is silent for a minute is started again.
        livenessProbe: {
          httpGet: { path: '/healthz', port: 'metrics' },
          periodSeconds: 10,
          timeoutSeconds: 5,
          failureThreshold: 6,
        },
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
        volumeMounts: volumes.map(({ name, path, readOnly }) => ({
          name,
          mountPath: path,
          ...(readOnly ? { readOnly } : {}),
        })),
      },
    ],
    volumes: volumes.map(({ name, source }) => ({ name, ...source })),
  }
}

/** Spreads pods over hosts as far as that is possible. */
function overHosts(group: Record<string, string>): object {
  return {
    maxSkew: 1,
    topologyKey: 'kubernetes.io/hostname',
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: { matchLabels: group },
  }
}
