import type { Address } from './address.ts'
import { formatAddress, parseAddress } from './address.ts'
import type { NormalRule } from './rule.ts'
import { type Aged, compareAge, literalLength, sortByAge } from './specificity.ts'

/** A Resource as declared, its rule normalised. */
export type Declared = Aged & { rule: NormalRule }

/** Another Resource that is exactly as specific about some host; the winner is routed to (R3). */
export type Tie = { uid: string; address: string; wins: boolean }

/** Most ties that are told of one Resource. */
const MAX_TIES = 8

/**
 * Finds, among the Resources of one network, those that name an exact name or alias which an older one has: {name, by} per UID. A Resource
 * that is refused so takes no names itself.
 */
export function takenNames(resources: Iterable<Declared>): Map<string, { name: string; by: string }> {
  const owners = new Map<string, string>()
  const taken = new Map<string, { name: string; by: string }>()
  for (const { uid, rule } of sortByAge(resources)) {
    const names = exactNamesOf(rule)
    const name = names.find(candidate => owners.has(candidate))
    if (name !== undefined) taken.set(uid, { name, by: owners.get(name)! })
    else for (const own of names) owners.set(own, uid)
  }
  return taken
}

/** The names that a rule has for itself in its network: its address where that is an exact name, and its aliases. */
export function exactNamesOf({ address, aliases }: NormalRule): string[] {
  const parsed = parseAddress(address)
  return parsed.kind === 'name' ? [parsed.name, ...aliases] : aliases
}

/** Other Resources of the network that are as specific as `one` about some host, ports aside; at most 8, oldest first. */
export function tiesOf(one: Declared, network: Iterable<Declared>): Tie[] {
  const address = parseAddress(one.rule.address)
  const ties: Declared[] = []
  for (const other of network) {
    if (other.uid !== one.uid && isTie(address, one.rule.address, other.rule.address)) ties.push(other)
  }
  return sortByAge(ties)
    .slice(0, MAX_TIES)
    .map(other => ({ uid: other.uid, address: other.rule.address, wins: compareAge(other, one) < 0 }))
}

/** Whether two patterns of `*` and `?` have a name in common. */
export function patternsMeet(a: string, b: string): boolean {
  // reachable[j]: the first i characters of a and j of b can spell the same text.
  let reachable = new Array<boolean>(b.length + 1).fill(false)
  reachable[0] = true
  spreadStars(reachable, b)
  for (const char of a) {
    const next = new Array<boolean>(b.length + 1).fill(false)
    for (let j = 0; j <= b.length; j++) {
      const other = b[j - 1]
      if (char === '*') next[j] = reachable[j]! || (j > 0 && next[j - 1]!)
      else if (other === '*') next[j] = next[j]! || reachable[j]!
      else if (other !== undefined && (char === '?' || other === '?' || char === other)) next[j] = reachable[j - 1]!
    }
    spreadStars(next, b)
    reachable = next
  }
  return reachable[b.length]!
}

function spreadStars(reachable: boolean[], b: string): void {
  for (let j = 1; j <= b.length; j++) if (b[j - 1] === '*' && reachable[j - 1]) reachable[j] = true
}

function isTie(address: Address, text: string, otherText: string): boolean {
  // Exact names cannot tie: the younger is refused with NameTaken. CIDRs of one size are the same or apart.
  if (address.kind !== 'wildcard') return address.kind !== 'name' && text === otherText
  if (!/[*?]/.test(otherText) || literalLength(otherText) !== literalLength(address.pattern)) return false
  return otherText === address.pattern || patternsMeet(formatAddress(address), otherText)
}
