import type { ConfigMap, KubeObject } from '../object.ts'
import { hostPort, type NodeFields } from './address.ts'
import type { ServiceFields } from './exposure.ts'
import type { Settings } from './step.ts'

/** What decides about the Controller's public URL. */
export type PublicUrlWorld = {
  /** The Controller's Service. */
  service: KubeObject | undefined
  nodes: readonly KubeObject[]
  /** Holds the URL that was derived last. */
  login: ConfigMap | undefined
}

/**
 * The Controller's public URL: the configured one; else its Service's LoadBalancer address, else a Node's address and the NodePort, else the
 * URL in the cluster. One that was derived before stays as long as it is right, so that a Node more or less does not move the Controller.
 */
export function publicUrlOf({ service, nodes, login }: PublicUrlWorld, settings: Settings): string {
  const { controllerUrl, controllerPublicUrl } = settings
  if (controllerPublicUrl !== undefined) return controllerPublicUrl
  if (service === undefined) return controllerUrl
  const urls = urlsOf(service, nodes)
  const known = login?.data?.url
  return known !== undefined && urls.includes(known) ? known : (urls[0] ?? controllerUrl)
}

/** Whether a public CA vouches for the Controller at `url`: where that is what people see, and they are given nothing to pin. */
export const hasPublicCa = (url: string, publicUrl: string, { pinsLogin }: Pick<Settings, 'pinsLogin'>): boolean =>
  !pinsLogin && url === publicUrl

/** Every URL under which the Service is reached from outside, the best first. */
function urlsOf(service: KubeObject, nodes: readonly KubeObject[]): string[] {
  // The API server has validated both.
  const { spec, status } = service as ServiceFields
  const [port] = spec?.ports ?? []
  const ingress = (status?.loadBalancer?.ingress ?? []).flatMap(({ hostname, ip }) => hostname ?? ip ?? [])
  if (ingress.length > 0) return ingress.map(host => urlOf(host, port?.port))
  if (port?.nodePort === undefined) return []
  const addresses = [...nodes]
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    .flatMap(node => (node as NodeFields).status?.addresses ?? [])
  return ['ExternalIP', 'InternalIP'].flatMap(wanted =>
    addresses.flatMap(({ type, address }) => (type === wanted ? [urlOf(address, port.nodePort)] : [])),
  )
}

/** A URL as the URL parser writes it, without the slash at its end. */
function urlOf(host: string, port = 443): string {
  return new URL(`https://${hostPort(host, port)}`).origin
}
