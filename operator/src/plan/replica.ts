import { parseIp } from '@sallyport/policy'
import type { Declared, KubeObject, Secret } from '../object.ts'
import { hostPort, type NodeFields } from './address.ts'
import type { ServiceFields } from './exposure.ts'
import { uuidV5 } from './row.ts'
import { RELAY_PORT } from './workload.ts'

/** A Relay and its children as they are; `nodes` for Relays whose address is that of a Node. */
export type RelayWorld = {
  relay: Declared<'Relay'>
  secrets: readonly Secret[]
  deployments: readonly KubeObject[]
  services: readonly KubeObject[]
  nodes: readonly KubeObject[]
  budget: KubeObject | undefined
  installationCa: string | undefined
  /** Secrets with serving certificates that others issue, where the operator does not. */
  issued: readonly Secret[]
}

/** One replica: to everyone else a Relay of its own. */
export type Replica = { index: number; uid: string; name: string; address: string | undefined; child: string }

const DEFAULT_REPLICAS = 2

/** The replicas that a Relay declares. */
export function replicasOf(world: RelayWorld): Replica[] {
  const { relay } = world
  const { name, namespace, uid } = relay.metadata
  return Array.from({ length: relay.spec?.replicas ?? DEFAULT_REPLICAS }, (_, index) => {
    const address = addressOf(world, index)
    const host = address?.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '')
    return {
      index,
      uid: uuidV5(uid, String(index)),
      name:
        host === undefined || parseIp(host) !== undefined
          ? `r${index}.${name}.${namespace}.sallyport.internal`
          : host.toLowerCase().replace(/\.$/, ''),
      address,
      child: childOf(name, index),
    }
  })
}

const childOf = (relay: string, index: number) => `${relay}-${index}`

function addressOf({ relay, services, nodes }: RelayWorld, index: number): string | undefined {
  const { list, template, fromService } = relay.spec!.address
  if (list !== undefined) return list[index]
  if (template !== undefined) return template.replaceAll('{index}', String(index))
  if (fromService !== true) return undefined
  const service = services.find(({ metadata }) => metadata.name === childOf(relay.metadata.name, index))
  return service === undefined ? undefined : serviceAddress(service, nodes)
}

function serviceAddress(service: KubeObject, nodes: readonly KubeObject[]): string | undefined {
  // The API server has validated both.
  const { spec, status } = service as ServiceFields
  const [ingress] = status?.loadBalancer?.ingress ?? []
  const host = ingress?.hostname ?? ingress?.ip
  if (host !== undefined) return hostPort(host, RELAY_PORT)
  const nodePort = spec?.ports?.[0]?.nodePort
  if (nodePort === undefined) return undefined
  const addresses = [...nodes]
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    .flatMap(node => (node as NodeFields).status?.addresses ?? [])
  const chosen =
    addresses.find(({ type }) => type === 'ExternalIP') ?? addresses.find(({ type }) => type === 'InternalIP')
  return chosen === undefined ? undefined : hostPort(chosen.address, nodePort)
}
