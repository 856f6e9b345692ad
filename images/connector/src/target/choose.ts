import { type GuardContext, guardAddress } from '@sallyport/policy'
import type { ResetCode } from '@sallyport/wire'

/** Keeps the addresses that may be dialled, in the order in which they are tried: families in turn (RFC 8305, section 4). */
export function allowedAddresses(addresses: readonly string[], context: GuardContext): string[] {
  const allowed = [...new Set(addresses)].filter(address => guardAddress(address, context).allow)
  const [first, second] = [allowed.filter(isIpv6), allowed.filter(address => !isIpv6(address))]
  const ordered: string[] = []
  for (let i = 0; i < Math.max(first.length, second.length); i++) {
    for (const address of [first[i], second[i]]) if (address !== undefined) ordered.push(address)
  }
  return ordered
}

/** Reset code for the error code of a failed connection attempt. */
export function dialFailure(code: string | undefined): ResetCode {
  switch (code) {
    case 'ECONNREFUSED':
      return 'refused'
    case 'ETIMEDOUT':
      return 'timeout'
    default:
      return 'unreachable'
  }
}

/** What is told when every attempt has failed: that someone is there and refuses says most, then silence. */
export function worstFailure(codes: readonly ResetCode[]): ResetCode {
  if (codes.includes('refused')) return 'refused'
  return codes.includes('timeout') ? 'timeout' : 'unreachable'
}

const isIpv6 = (address: string) => address.includes(':')
