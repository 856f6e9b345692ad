import type { ResourceRule } from '@sallyport/schema'
import { type Host, matchesPattern, parseHost } from './address.ts'
import { PolicyError } from './error.ts'
import { type Cidr, networkOf, widthOf } from './ip.ts'
import { allowsPort, type CompiledRule, compileRule, type Protocol } from './rule.ts'
import { type Aged, compareAge, literalLength, sortByAge } from './specificity.ts'

/** A Resource that can be routed to; `endMs` is the end of the grant, exclusive. */
export type Routable = Aged & { rule: ResourceRule; endMs?: number }

/** What becomes of a destination: a Resource's, a Resource's but not allowed, or none of ours. */
export type Route<T> =
  | { kind: 'resource'; resource: T; host: Host; rule: CompiledRule }
  | { kind: 'denied'; resource: T; reason: 'port_not_granted' | 'expired' }
  | { kind: 'notOurs' }

type Entry<T> = { item: T; rule: CompiledRule }

/**
 * Finds the Resource of a destination: the most specific one that is about its host (R3). Ports are judged after that: where the most specific
 * Resource does not allow the port, a wider one does not either.
 */
export class RouteMap<T extends Routable> {
  readonly #exact = new Map<string, Entry<T>>()
  /** Per family and prefix length, longest first: entries by network. */
  readonly #ranges: Record<4 | 6, { prefix: number; entries: Map<bigint, Entry<T>> }[]> = { 4: [], 6: [] }
  /** Patterns by the whole labels that they end with; the most literal and oldest first. */
  readonly #wildcards = new Map<string, (Entry<T> & { pattern: string; literals: number })[]>()
  /** Resources whose rule cannot be read; they route nothing. */
  readonly unusable: T[] = []

  constructor(items: Iterable<T>) {
    // Oldest first: the first to take a key keeps it.
    for (const item of sortByAge(items)) this.#add(item)
    for (const family of [4, 6] as const) this.#ranges[family].sort((a, b) => b.prefix - a.prefix)
    for (const bucket of this.#wildcards.values()) bucket.sort((a, b) => b.literals - a.literals)
  }

  /** Where a destination goes. A host that is neither name nor address is not ours. */
  route(host: string, port: number, protocol: Protocol, nowMs: number): Route<T> {
    const parsed = parseHost(host)
    const entry = parsed === undefined ? undefined : this.#find(parsed)
    if (parsed === undefined || entry === undefined) return { kind: 'notOurs' }
    const { item, rule } = entry
    if (item.endMs !== undefined && nowMs >= item.endMs) return { kind: 'denied', resource: item, reason: 'expired' }
    if (!allowsPort(rule.protocols, port, protocol)) {
      return { kind: 'denied', resource: item, reason: 'port_not_granted' }
    }
    return { kind: 'resource', resource: item, host: parsed, rule }
  }

  /** The most specific Resource that is about `host`, whatever the port; undefined when none is. */
  resourceFor(host: string): T | undefined {
    const parsed = parseHost(host)
    return parsed === undefined ? undefined : this.#find(parsed)?.item
  }

  #add(item: T): void {
    const rule = compiledOrUndefined(item.rule)
    if (rule === undefined) {
      this.unusable.push(item)
      return
    }
    const entry = { item, rule }
    for (const name of rule.names) this.#take(name, entry)
    const { address } = rule
    if (address.kind === 'ip') this.#take(ipKey(address.ip), entry)
    if (address.kind === 'cidr') {
      const entries = this.#rangesOf(address.cidr)
      const network = networkOf(address.cidr)
      if (!entries.has(network)) entries.set(network, entry)
    }
    if (address.kind === 'wildcard') {
      const { pattern } = address
      const suffix = literalSuffix(pattern)
      const bucket = this.#wildcards.get(suffix) ?? []
      if (bucket.length === 0) this.#wildcards.set(suffix, bucket)
      bucket.push({ ...entry, pattern, literals: literalLength(pattern) })
    }
  }

  #rangesOf({ family, prefix }: Cidr): Map<bigint, Entry<T>> {
    const known = this.#ranges[family].find(range => range.prefix === prefix)
    if (known !== undefined) return known.entries
    const entries = new Map<bigint, Entry<T>>()
    this.#ranges[family].push({ prefix, entries })
    return entries
  }

  #take(key: string, entry: Entry<T>): void {
    if (!this.#exact.has(key)) this.#exact.set(key, entry)
  }

  #find(host: Host): Entry<T> | undefined {
    if (host.kind === 'name') return this.#exact.get(host.name) ?? this.#wildcardFor(host.name)
    const exact = this.#exact.get(ipKey(host.ip))
    if (exact !== undefined) return exact
    for (const { prefix, entries } of this.#ranges[host.ip.family]) {
      const entry = entries.get(networkOf({ ...host.ip, prefix }))
      if (entry !== undefined) return entry
    }
    return undefined
  }

  #wildcardFor(name: string): Entry<T> | undefined {
    let best: (Entry<T> & { literals: number }) | undefined
    for (const suffix of suffixesOf(name)) {
      for (const candidate of this.#wildcards.get(suffix) ?? []) {
        if (best !== undefined && candidate.literals < best.literals) break
        if (!matchesPattern(candidate.pattern, name)) continue
        const wins =
          best === undefined || candidate.literals > best.literals || compareAge(candidate.item, best.item) < 0
        if (wins) best = candidate
        break
      }
    }
    return best
  }
}

function compiledOrUndefined(rule: ResourceRule): CompiledRule | undefined {
  try {
    return compileRule(rule)
  } catch (error) {
    if (error instanceof PolicyError) return undefined
    throw error
  }
}

function ipKey({ family, value }: { family: 4 | 6; value: bigint }): string {
  // Neither is a name: names have letters or digits in front.
  return `/${widthOf(family)}/${value.toString(36)}`
}

/** Whole labels after the last wildcard of a pattern. */
function literalSuffix(pattern: string): string {
  const literal = /[^*?]*$/.exec(pattern)![0]
  const dot = literal.indexOf('.')
  return dot < 0 ? '' : literal.slice(dot + 1)
}

/** `a.b.c` gives `b.c`, `c` and the empty suffix. */
function* suffixesOf(name: string): Generator<string> {
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) yield name.slice(dot + 1)
  yield ''
}
