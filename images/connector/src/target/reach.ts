import { networkInterfaces } from 'node:os'
import { type Cidr, type CompiledRule, formatHost, type Host, type Ip, parseIp } from '@sallyport/policy'
import type { Clock } from '@sallyport/runtime'
import { allowedAddresses } from './choose.ts'
import { type Dialled, dialAddresses } from './dial.ts'
import type { Resolve } from './resolve.ts'

/** How long the list of the Connector's own addresses is believed. */
const OWN_ADDRESSES_LIFE_MS = 2_000

/** A destination that was allowed, ready to be resolved. */
export type Target = { host: Host; port: number; rule: CompiledRule; exceptions: readonly Cidr[] }
/** Resolves, guards and dials. Never rejects. */
export type Reach = (target: Target, signal: AbortSignal) => Promise<Dialled>

/** Makes the way to Resources: the Connector's resolver, the destination guard on each address, and the dial of what was checked. */
export function createReach({
  resolve,
  clock,
  timeoutMs,
}: {
  resolve: Resolve
  clock: Clock
  timeoutMs: number
}): Reach {
  const ownAddresses = ownAddressesOf(clock)
  return async ({ host, port, rule, exceptions }, signal) => {
    const found = host.kind === 'ip' ? { addresses: [formatHost(host)] } : await resolve(host.name)
    if ('code' in found) return found
    if (signal.aborted) return { code: 'cancelled' }
    const allowed = allowedAddresses(found.addresses, { exceptions, ownAddresses: ownAddresses(), rule })
    if (allowed.length === 0) return { code: 'guarded_address' }
    return dialAddresses(allowed, port, { clock, timeoutMs, signal })
  }
}

function ownAddressesOf(clock: Clock): () => Ip[] {
  let known: Ip[] = []
  let readAtMs = Number.NEGATIVE_INFINITY
  return () => {
    if (clock.monotonic() - readAtMs >= OWN_ADDRESSES_LIFE_MS) {
      readAtMs = clock.monotonic()
      known = Object.values(networkInterfaces())
        .flatMap(addresses => addresses ?? [])
        .map(({ address }) => parseIp(address))
        .filter(ip => ip !== undefined)
    }
    return known
  }
}
