import Type, { type Static } from 'typebox'
import { oneOf, strict } from '../common.ts'

const quantities = (description: string) =>
  Type.Record(
    Type.String(),
    Type.String({
      maxLength: 32,
      pattern: '^[0-9]+([.][0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|e[0-9]{1,2})?$',
      description: 'Amount, such as 100m or 64Mi.',
    }),
    { maxProperties: 16, description },
  )

export const Resources = Type.Object(
  {
    requests: Type.Optional(quantities('What is reserved.')),
    limits: Type.Optional(quantities('What is allowed at most.')),
  },
  { ...strict, description: 'CPU and memory of each pod.' },
)

const preserved = (description: string) =>
  Type.Unsafe<Record<string, unknown>>({ type: 'object', 'x-kubernetes-preserve-unknown-fields': true, description })
const preservedList = (description: string) =>
  Type.Unsafe<Record<string, unknown>[]>({
    type: 'array',
    maxItems: 32,
    items: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    description,
  })
const labels = (description: string) => Type.Record(Type.String(), LabelValue, { maxProperties: 64, description })

/** Value of a label, as Kubernetes has it. */
export const LabelValue = Type.String({
  maxLength: 63,
  pattern: '^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$',
  description: 'Value of the label.',
})
/** Annotations of what the operator makes. */
export const annotations = (description: string) =>
  Type.Record(Type.String(), Type.String({ maxLength: 1024, description: 'Value of the annotation.' }), {
    maxProperties: 64,
    description,
  })

/** Environment variables that a podTemplate may set: documented ones of the image only. */
export const POD_ENV = [
  ...['HTTPS_PROXY', 'NO_PROXY', 'NODE_EXTRA_CA_CERTS', 'SALLYPORT_LOG_LEVEL'],
  // Of a Relay.
  ...['SALLYPORT_MAX_STRANGERS', 'SALLYPORT_MAX_STRANGERS_PER_ADDRESS', 'SALLYPORT_MAX_TUNNELS'],
  'TZ',
] as const

export const PodTemplate = Type.Object(
  {
    metadata: Type.Optional(
      Type.Object(
        { labels: Type.Optional(labels('Labels.')), annotations: Type.Optional(annotations('Annotations.')) },
        { ...strict, description: 'Labels and annotations of the pods.' },
      ),
    ),
    nodeSelector: Type.Optional(labels('Labels that a node must have.')),
    affinity: Type.Optional(preserved('Affinity of the pods, as in a PodSpec.')),
    tolerations: Type.Optional(preservedList('Tolerations of the pods, as in a PodSpec.')),
    topologySpreadConstraints: Type.Optional(preservedList('Spread of the pods, as in a PodSpec.')),
    priorityClassName: Type.Optional(Type.String({ maxLength: 253, description: 'Priority class of the pods.' })),
    env: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: oneOf(POD_ENV, { description: 'Variable.' }),
            value: Type.String({ maxLength: 4096, description: 'Its value.' }),
          },
          strict,
        ),
        {
          maxItems: POD_ENV.length,
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          description: 'Environment variables of the container.',
        },
      ),
    ),
  },
  { ...strict, description: 'What may be changed about the pods.' },
)
export type PodTemplate = Static<typeof PodTemplate>

export const LogLevel = oneOf(['debug', 'info', 'warn', 'error'], { description: 'What is logged. info when absent.' })
export const Image = Type.String({
  minLength: 1,
  maxLength: 512,
  description: "Image; the operator's own version when absent.",
})
export const DeploymentMode = oneOf(['Managed', 'External'], {
  description: 'Managed: the operator runs it. External: the operator writes its Secret only. Managed when absent.',
})
