import type { AllowedNamespaces } from '@sallyport/schema'
import { type Address, coversPattern, matchesPattern, normaliseName, parseAddress } from './address.ts'
import { PolicyError } from './error.ts'
import { type Cidr, covers, widthOf } from './ip.ts'
import type { NormalRule } from './rule.ts'

/** Who declares a Resource, and what its network admits. */
export type Declarer = {
  namespace: string
  namespaceLabels: Readonly<Record<string, string>>
  network: { namespace: string; allowedNamespaces: readonly AllowedNamespaces[] }
  /** Domain of the cluster's Services, such as `cluster.local`. */
  clusterDomain: string
}

/** `subject` is the address or alias at fault; absent when the namespace as a whole is not admitted. */
export type Admission =
  | { allow: true }
  | { allow: false; reason: 'NamespaceNotAllowed' | 'AddressNotAllowed'; subject?: string; message: string }

/** Decides whether a namespace may declare a rule in a network: its own anything, others what an entry lists and Services of their own. */
export function admitRule(rule: NormalRule, declarer: Declarer): Admission {
  const { namespace, network } = declarer
  if (namespace === network.namespace) return { allow: true }
  const entries = network.allowedNamespaces.filter(entry => admits(entry, declarer))
  if (entries.length === 0) {
    const message = `namespace "${namespace}" is not among the allowedNamespaces of the RemoteNetwork`
    return { allow: false, reason: 'NamespaceNotAllowed', message }
  }
  const addresses = entries.flatMap(entry => entry.addresses ?? [])
  const names = entries.flatMap(entry => entry.names ?? [])
  if (!isOwnService(rule.address, declarer) && !addresses.some(allowed => within(rule.address, allowed))) {
    return refuse(rule.address, `address "${rule.address}" is outside what namespace "${namespace}" may name`)
  }
  const alias = rule.aliases.find(name => !isOwnService(name, declarer) && !names.some(suffix => isUnder(name, suffix)))
  if (alias === undefined) return { allow: true }
  return refuse(alias, `alias "${alias}" is outside what namespace "${namespace}" may name`)
}

function refuse(subject: string, message: string): Admission {
  return { allow: false, reason: 'AddressNotAllowed', subject, message }
}

function admits({ from, selector }: AllowedNamespaces, { namespace, namespaceLabels, network }: Declarer): boolean {
  switch (from) {
    case 'Same':
      return namespace === network.namespace
    case 'All':
      return true
    case 'Selector': {
      const wanted = Object.entries(selector?.matchLabels ?? {})
      // No label at all would be every namespace; that has to be said with All.
      return wanted.length > 0 && wanted.every(([name, value]) => namespaceLabels[name] === value)
    }
  }
}

function isOwnService(name: string, { namespace, clusterDomain }: Declarer): boolean {
  const [service, owner, kind, ...domain] = name.split('.')
  if (service === undefined || !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(service)) return false
  if (owner !== namespace || kind !== 'svc') return false
  return domain.length === 0 || domain.join('.') === normaliseName(clusterDomain)
}

function within(text: string, allowed: string): boolean {
  const [inner, outer] = [addressOf(text), addressOf(allowed)]
  if (inner === undefined || outer === undefined) return false
  const [innerRange, outerRange] = [rangeOf(inner), rangeOf(outer)]
  if (innerRange !== undefined) return outerRange !== undefined && covers(outerRange, innerRange)
  if (outer.kind === 'name') return inner.kind === 'name' && inner.name === outer.name
  if (outer.kind !== 'wildcard') return false
  if (inner.kind === 'name') return matchesPattern(outer.pattern, inner.name)
  return inner.kind === 'wildcard' && coversPattern(outer.pattern, inner.pattern)
}

/** `db.team.internal` is under `team.internal`, which is under itself but not under `.team.internal`. */
function isUnder(name: string, suffix: string): boolean {
  const lower = suffix.toLowerCase().replace(/\.$/, '')
  if (lower.replace('.', '') === '') return false
  return lower.startsWith('.') ? name.endsWith(lower) : name === lower || name.endsWith(`.${lower}`)
}

function rangeOf(address: Address): Cidr | undefined {
  if (address.kind === 'ip') return { ...address.ip, prefix: widthOf(address.ip.family) }
  return address.kind === 'cidr' ? address.cidr : undefined
}

function addressOf(text: string): Address | undefined {
  try {
    return parseAddress(text)
  } catch (error) {
    if (error instanceof PolicyError) return undefined
    throw error
  }
}
