import { normaliseRule, PolicyError } from '@sallyport/policy'
import { API_VERSION, type PortPolicy, type ResourceSpec, validateObject } from '@sallyport/schema'
import { type Declared, type KubeObject, type Owner, ownerReference, stamped, whose } from '../object.ts'
import { differs } from './difference.ts'
import { partOfLabels } from './label.ts'
import type { Context, Plan, Step } from './step.ts'

/** Annotation with which a Service asks to be a Resource of the RemoteNetwork that it names, as `name` or `namespace/name`. */
export const EXPOSE_ANNOTATION = 'sallyport.dev/expose'
/** Groups that may reach it, names that it has besides, and the name of the Resource; lists are separated by commas. */
export const GROUPS_ANNOTATION = 'sallyport.dev/groups'
export const ALIASES_ANNOTATION = 'sallyport.dev/aliases'
export const NAME_ANNOTATION = 'sallyport.dev/name'

/** What the operator reads of a Service. */
export type ServiceFields = {
  spec?: {
    type?: string
    selector?: Record<string, string>
    ports?: { port: number; protocol?: string; nodePort?: number }[]
  }
  status?: { loadBalancer?: { ingress?: { ip?: string; hostname?: string }[] } }
}

/** A Service that asks to be exposed, or has been. */
export type ExposureWorld = {
  service: KubeObject
  /** Resources that it owns. */
  children: readonly Declared<'Resource'>[]
  /** The Resource of a name in its namespace. */
  find: (name: string) => Declared<'Resource'> | undefined
}

type Child = { name: string; object: KubeObject }

const REFERENCE = /^([a-z0-9]([-a-z0-9]*[a-z0-9])?\/)?[a-z0-9]([-a-z0-9]*[a-z0-9])?$/

/**
 * Plans the Resource of a Service from its annotations. A mistake in them is told at the Service and changes nothing: what was exposed stays as it was,
 * as after an edit that the API server refuses.
 */
export function planExposure(world: ExposureWorld, { controller, settings }: Context): Plan {
  const { service, children, find } = world
  if (service.metadata.annotations?.[EXPOSE_ANNOTATION] === undefined) return { steps: removal(children, undefined) }
  const child = childOf(service, settings.clusterDomain)
  if (typeof child === 'string') return { steps: [mistake(service, child)] }
  const live = find(child.name) as KubeObject | undefined
  if (live !== undefined && whose(child.object, live) === 'foreign') {
    const taken = `Resource ${live.metadata.namespace}/${child.name} is there already and is not this Service's`
    return { steps: [mistake(service, `${taken}: choose another name with ${NAME_ANNOTATION}`)] }
  }
  const steps: Step[] = differs(child.object, live) ? [{ do: 'apply', object: child.object }] : []
  const refusal = controller.refusal(service.metadata.uid ?? '')
  const told = refusal === undefined || steps.length === 0 ? [] : [mistake(service, refusal)]
  return { steps: [...steps, ...removal(children, child.name), ...told] }
}

function removal(children: readonly Declared<'Resource'>[], kept: string | undefined): Step[] {
  return children
    .map(child => child as KubeObject)
    .filter(child => child.metadata.name !== kept && whose(child, child) === 'ours')
    .map(object => ({ do: 'remove', object }))
}

const mistake = (object: KubeObject, message: string): Step => ({ do: 'tell', object, reason: 'NotExposed', message })

/** The Resource that a Service asks for, or what is wrong with the annotations. */
function childOf(service: KubeObject, clusterDomain: string): Child | string {
  const { name: serviceName, namespace = '', annotations = {} } = service.metadata
  const { spec: { type, ports = [] } = {} } = service as ServiceFields
  if (type === 'ExternalName') {
    return 'a Service of type ExternalName stands for something elsewhere: declare a Resource with that address'
  }
  const tcp = portPolicy(ports, 'TCP')
  const udp = portPolicy(ports, 'UDP')
  if (tcp.policy === 'DenyAll' && udp.policy === 'DenyAll') return 'the Service has no TCP or UDP port'
  const network = annotations[EXPOSE_ANNOTATION]!.trim()
  if (!REFERENCE.test(network)) {
    return `${EXPOSE_ANNOTATION}: "${network}" is not the name of a RemoteNetwork: write name or namespace/name`
  }
  const groups = list(annotations[GROUPS_ANNOTATION])
  const wrong = groups.find(group => !REFERENCE.test(group))
  if (wrong !== undefined) {
    return `${GROUPS_ANNOTATION}: "${wrong}" is not the name of a Group: write name or namespace/name, separated by commas`
  }
  const aliases = list(annotations[ALIASES_ANNOTATION])
  const spec: ResourceSpec = {
    remoteNetworkRef: referenceOf(network),
    address: `${serviceName}.${namespace}.svc.${clusterDomain}`,
    ...(aliases.length === 0 ? {} : { aliases }),
    protocols: { tcp, udp, icmp: 'Deny' },
    ...(groups.length === 0 ? {} : { access: groups.map(group => ({ group })) }),
  }
  const name = (annotations[NAME_ANNOTATION] ?? serviceName).trim()
  return checked(name, spec, service)
}

function checked(name: string, spec: ResourceSpec, service: KubeObject): Child | string {
  const { namespace, uid = '' } = service.metadata
  const owner = { ...service, metadata: { ...service.metadata, uid } } as Owner
  const manifest = { apiVersion: API_VERSION, kind: 'Resource', metadata: { name, namespace }, spec }
  const [problem] = validateObject('Resource', manifest)
  if (problem !== undefined) return `${annotationOf(problem.field)}: ${problem.message}`
  try {
    normaliseRule(spec)
  } catch (error) {
    if (error instanceof PolicyError) return `${ALIASES_ANNOTATION}: ${error.message}`
    throw error
  }
  const metadata = {
    name,
    namespace: owner.metadata.namespace,
    labels: partOfLabels(),
    ownerReferences: [ownerReference(owner)],
  }
  return { name, object: stamped({ ...manifest, metadata }) }
}

/** The annotation from which a field of the Resource comes. */
function annotationOf(field: string): string {
  if (field.startsWith('metadata')) return NAME_ANNOTATION
  if (field.startsWith('spec.aliases')) return ALIASES_ANNOTATION
  if (field.startsWith('spec.access')) return GROUPS_ANNOTATION
  return field.startsWith('spec.remoteNetworkRef') ? EXPOSE_ANNOTATION : field
}

function portPolicy(ports: { port: number; protocol?: string }[], wanted: 'TCP' | 'UDP'): PortPolicy {
  const own = ports.filter(({ protocol = 'TCP' }) => protocol === wanted).map(({ port }) => port)
  const ranges = [...new Set(own)].sort((a, b) => a - b).map(port => ({ start: port, end: port }))
  return ranges.length === 0 ? { policy: 'DenyAll' } : { policy: 'Restricted', ports: ranges }
}

function referenceOf(reference: string): { name: string; namespace?: string } {
  const [first = '', second] = reference.split('/')
  return second === undefined ? { name: first } : { name: second, namespace: first }
}

const list = (text = ''): string[] => [
  ...new Set(
    text
      .split(',')
      .map(part => part.trim())
      .filter(part => part !== ''),
  ),
]
