import { ClientError } from '../error.ts'
import type { GrantedResource } from './access-map.ts'
import type { Knowledge, NetworkView } from './knowledge.ts'

/** A destination that is a Resource, and may be reached. */
export type Routed = { resource: GrantedResource; network: NetworkView }

/** Where a destination goes; undefined when it is no Resource. Throws ClientError with the first check that refuses. */
export function routeTo(
  knowledge: Knowledge,
  { host, port }: { host: string; port: number },
  nowMs: number,
  whyNotRenewed: string,
): Routed | undefined {
  const route = knowledge.access.routes.route(host, port, 'tcp', nowMs)
  if (route.kind === 'notOurs') {
    const ended = knowledge.endedResource(host)
    if (ended === undefined) return undefined
    throw new ClientError('expired', `access to "${ended.name}" has ended`)
  }
  const { resource } = route
  if (route.kind === 'denied' && route.reason === 'port_not_granted') {
    throw new ClientError('port_not_granted', `"${resource.name}" is granted, but not TCP port ${port} of it`)
  }
  if (route.kind === 'denied') throw new ClientError('expired', `access to "${resource.name}" has ended`)
  if (nowMs >= resource.aclEndMs) {
    throw new ClientError(
      'expired',
      `the access list that grants "${resource.name}" has ended and was not renewed${whyNotRenewed}`,
      { hint: 'It is renewed as soon as the Controller is reached again.' },
    )
  }
  const network = knowledge.networks.get(resource.network)
  if (network === undefined) throw new ClientError('not_granted', `the network of "${resource.name}" is gone`)
  return { resource, network }
}
