import type { ResourceRule } from '@sallyport/schema'
import { type Address, parseAddress } from './address.ts'
import type { CompiledRule } from './rule.ts'

/** What decides between Resources that are about the same host. `createdAt` is RFC 3339. */
export type Aged = { uid: string; createdAt: string }

/** How narrow an address is (R3): an IP address, then smaller CIDRs; an exact name, then wildcards with more literal characters. */
export function specificityOf(address: Address): number {
  switch (address.kind) {
    case 'ip':
    case 'name':
      return 1_000
    case 'cidr':
      return address.cidr.prefix
    case 'wildcard':
      return literalLength(address.pattern)
  }
}

/** Specificity with which `rule` is about a name: an alias is an exact name. */
export function nameSpecificity(rule: CompiledRule, name: string): number {
  return rule.names.includes(name) ? 1_000 : specificityOf(rule.address)
}

/** Order of age: older first, then by UID. The same everywhere, so a tie ends alike at Client, Connector and operator. */
export function compareAge(a: Aged, b: Aged): number {
  return timeOf(a) - timeOf(b) || compareUid(a, b)
}

/** Order of precedence: narrower first, then by age. Whatever its first so many leave out decides about no host before them. Throws PolicyError. */
export function comparePrecedence(a: Aged & { rule: ResourceRule }, b: Aged & { rule: ResourceRule }): number {
  const specificity = ({ rule }: { rule: ResourceRule }) => specificityOf(parseAddress(rule.address))
  return specificity(b) - specificity(a) || compareAge(a, b)
}

/** Sorts by {@link compareAge}, reading each time once. */
export function sortByAge<T extends Aged>(items: Iterable<T>): T[] {
  return Array.from(items, item => ({ item, time: timeOf(item) }))
    .sort((a, b) => a.time - b.time || compareUid(a.item, b.item))
    .map(({ item }) => item)
}

export function literalLength(pattern: string): number {
  return pattern.replace(/[*?]/g, '').length
}

function compareUid(a: Aged, b: Aged): number {
  return a.uid < b.uid ? -1 : a.uid > b.uid ? 1 : 0
}

function timeOf({ createdAt }: Aged): number {
  const time = Date.parse(createdAt)
  return Number.isNaN(time) ? Number.MAX_SAFE_INTEGER : time
}
