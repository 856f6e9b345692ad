import { lookup, Resolver } from 'node:dns/promises'
import type { ResetCode } from '@sallyport/wire'

/** Time for one question to one DNS server, and how often it is asked. */
const DNS_TIMEOUT_MS = 2_000
const DNS_TRIES = 2
/** Most addresses of a name that are looked at. */
export const MAX_ADDRESSES = 32

/** Addresses of a name, or why there are none. */
export type Resolution = { addresses: string[] } | { code: Extract<ResetCode, 'name_not_found' | 'timeout'> }
/** Resolves a name in the network of the Connector. */
export type Resolve = (name: string) => Promise<Resolution>

/** The resolver of the machine: hosts file, search domains and all. */
export const resolveBySystem: Resolve = async name => {
  try {
    const found = await lookup(name, { all: true, order: 'verbatim' })
    return resolution(found.map(({ address }) => address))
  } catch (error) {
    return { code: codeOf(error) === 'EAI_AGAIN' ? 'timeout' : 'name_not_found' }
  }
}

/** A resolver that asks these DNS servers, `address` or `address:port`. */
export function resolveBy(servers: readonly string[]): Resolve {
  const resolver = new Resolver({ timeout: DNS_TIMEOUT_MS, tries: DNS_TRIES })
  resolver.setServers([...servers])
  return async name => {
    const answers = await Promise.allSettled([resolver.resolve6(name), resolver.resolve4(name)])
    const addresses = answers.flatMap(answer => (answer.status === 'fulfilled' ? answer.value : []))
    if (addresses.length > 0) return resolution(addresses)
    const codes = answers.map(answer => (answer.status === 'rejected' ? codeOf(answer.reason) : 'ENODATA'))
    return { code: codes.every(code => SILENCE.has(code)) ? 'timeout' : 'name_not_found' }
  }
}

/** What c-ares says when no server has answered. */
const SILENCE = new Set(['ETIMEOUT', 'ECONNREFUSED', 'ESERVFAIL'])

function resolution(addresses: string[]): Resolution {
  return addresses.length === 0 ? { code: 'name_not_found' } : { addresses: addresses.slice(0, MAX_ADDRESSES) }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
