/** Building blocks of the chart's values. */
import Type, { type TProperties, type TSchema } from 'typebox'
import { LogLevel, oneOf, strict } from '../../packages/schema/src/index.ts'

/** An object of values: only what it names. */
export const group = (properties: TProperties, description: string) =>
  Type.Object(properties, { ...strict, description })

/** Text with a default; empty says "none". */
export const text = (description: string, value = '', maxLength = 512) =>
  Type.Optional(Type.String({ maxLength, default: value, description }))
export const flag = (description: string, value = false) => Type.Optional(Type.Boolean({ default: value, description }))
export const number = (minimum: number, maximum: number, value: number, description: string) =>
  Type.Optional(Type.Integer({ minimum, maximum, default: value, description }))
export const choice = (values: readonly string[], value: string, description: string) =>
  Type.Optional(oneOf(values, { default: value, description }))
export const list = (items: TSchema, description: string, value: unknown[] = []) =>
  Type.Optional(Type.Array(items, { maxItems: 1000, default: value, description }))
export const names = (description: string) => list(Type.String({ minLength: 1, maxLength: 253 }), description)

const HOST = '[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*'
/** A DNS name; empty says "none". */
export const host = (description: string) =>
  Type.Optional(Type.String({ maxLength: 253, pattern: `^(${HOST})?$`, default: '', description }))
export const hosts = (description: string) =>
  list(Type.String({ minLength: 1, maxLength: 253, pattern: `^${HOST}$` }), description)

/** Labels or annotations. */
export const texts = (description: string) =>
  Type.Optional(
    Type.Record(Type.String({ pattern: '^.{1,317}$' }), Type.String({ maxLength: 262_144 }), {
      default: {},
      description,
    }),
  )

/** A part of Kubernetes' own API, which the API server judges. */
export const kubeObject = (description: string, value: object = {}) =>
  Type.Optional(Type.Unsafe<object>({ type: 'object', default: value, description }))
export const kubeList = (description: string) => list(Type.Unsafe<object>({ type: 'object' }), description)

/** Settings that every workload of the chart has. */
export const workload = (resources: object): TProperties => ({
  logLevel: Type.Optional({ ...LogLevel, default: 'info', description: 'What is logged.' }),
  resources: kubeObject('CPU and memory, as in a container.', resources),
  env: kubeList('Further environment variables, as in a container: HTTPS_PROXY, NO_PROXY, TZ.'),
  podLabels: texts('Further labels of the pods.'),
  podAnnotations: texts('Annotations of the pods.'),
  nodeSelector: texts('Labels that a node must have.'),
  affinity: kubeObject('Affinity of the pods, as in a PodSpec.'),
  tolerations: kubeList('Tolerations of the pods, as in a PodSpec.'),
  topologySpreadConstraints: kubeList(
    'Spread of the pods, as in a PodSpec; without labelSelector it is over the pods of this workload. Over nodes, where possible, when empty.',
  ),
  priorityClassName: text('Priority class of the pods.', '', 253),
})

/** Settings of a Service. */
export const service = (type: string, port: number) =>
  group(
    {
      type: choice(['ClusterIP', 'NodePort', 'LoadBalancer'], type, 'Type of the Service.'),
      port: number(1, 65_535, port, 'Port of the Service.'),
      nodePort: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 65_535,
          description:
            'Port on the nodes with type NodePort or LoadBalancer; chosen by Kubernetes when absent. A cluster has 30000 to 32767 for this, where nobody chose otherwise.',
        }),
      ),
      annotations: texts('Annotations of the Service.'),
      loadBalancerClass: text('Implementation of the load balancer; the default one of the cluster when empty.'),
      loadBalancerSourceRanges: names('CIDRs that may use the load balancer; all when empty.'),
      externalTrafficPolicy: choice(
        ['Cluster', 'Local'],
        'Cluster',
        "Local keeps the Clients' addresses, for the logs; Cluster reaches every node.",
      ),
    },
    'How the Service is exposed.',
  )

/** Gateways that a route hangs on. */
export const parentRefs = list(
  Type.Object(
    {
      name: Type.String({ minLength: 1, maxLength: 253, description: 'Name of the Gateway.' }),
      namespace: Type.Optional(
        Type.String({ maxLength: 63, description: "Its namespace; the release's when absent." }),
      ),
      sectionName: Type.Optional(Type.String({ maxLength: 253, description: 'Its listener; all when absent.' })),
    },
    { ...strict },
  ),
  'Gateways that the route hangs on.',
)
