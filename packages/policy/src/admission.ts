import type { AllowedNamespaces } from '@sallyport/schema'
import { type Address, coversPattern, matchesPattern, normaliseName, parseAddress } from './address.ts'
import { PolicyError } from './error.ts'
import { type Cidr, covers, widthOf } from './ip.ts'
import type { NormalRule } from './rule.ts'

/** Label of every namespace with its name, which needs no look at it. */
export const NAMESPACE_NAME_LABEL = 'kubernetes.io/metadata.name'

/** Who declares a Resource, and what its network admits. */
export type Declarer = {
  namespace: string
  /** Labels of the namespace; all of them only where `knowsLabels`. */
  namespaceLabels: Readonly<Record<string, string>>
  knowsLabels: boolean
  network: { namespace: string; allowedNamespaces: readonly AllowedNamespaces[] }
  /** Domain of the cluster's Services, such as `cluster.local`. */
  clusterDomain: string
  /** What a Service of the namespace stands for. */
  serviceTarget: (service: string) => ServiceTarget
}

/**
 * What stands behind the name of a Service: pods of its own namespace, or whatever someone has written, a name or addresses of anywhere. A
 * namespace that may expose its own Services must not have a name for those of others by that.
 */
export type ServiceTarget = 'pods' | 'externalName' | 'noSelector' | 'none'

/** `subject` is the address or alias at fault; absent when the namespace as a whole is not admitted. */
export type Admission =
  | { allow: true }
  | {
      allow: false
      reason: 'NamespaceNotAllowed' | 'NamespaceLabelsUnreadable' | 'AddressNotAllowed'
      subject?: string
      message: string
    }

/** Decides whether a namespace may declare a rule in a network: its own anything, others what an entry lists and Services of their own pods. */
export function admitRule(rule: NormalRule, declarer: Declarer): Admission {
  const { namespace, network } = declarer
  if (namespace === network.namespace) return { allow: true }
  const entries = network.allowedNamespaces.filter(entry => admits(entry, declarer) === true)
  if (entries.length === 0) {
    if (network.allowedNamespaces.some(entry => admits(entry, declarer) === undefined)) {
      const message = `allowedNamespaces asks for labels of namespace "${namespace}", which the operator cannot read: ask for ${NAMESPACE_NAME_LABEL}, or write from All`
      return { allow: false, reason: 'NamespaceLabelsUnreadable', message }
    }
    const message = `namespace "${namespace}" is not among the allowedNamespaces of the RemoteNetwork`
    return { allow: false, reason: 'NamespaceNotAllowed', message }
  }
  const addresses = entries.flatMap(entry => entry.addresses ?? [])
  const names = entries.flatMap(entry => entry.names ?? [])
  if (!isOwnPods(rule.address, declarer) && !addresses.some(allowed => within(rule.address, allowed))) {
    return refuse('address', rule.address, declarer)
  }
  const alias = rule.aliases.find(name => !isOwnPods(name, declarer) && !names.some(suffix => isUnder(name, suffix)))
  return alias === undefined ? { allow: true } : refuse('alias', alias, declarer)
}

/** Name of the Service of the namespace that `name` names, whether there is one or not; undefined when it names something else. */
export function ownServiceOf(
  name: string,
  { namespace, clusterDomain }: Pick<Declarer, 'namespace' | 'clusterDomain'>,
): string | undefined {
  const [service, owner, kind, ...domain] = name.split('.')
  if (service === undefined || !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(service)) return undefined
  if (owner !== namespace || kind !== 'svc') return undefined
  return domain.length === 0 || domain.join('.') === normaliseName(clusterDomain) ? service : undefined
}

function refuse(what: 'address' | 'alias', subject: string, declarer: Declarer): Admission {
  const { namespace, serviceTarget } = declarer
  const service = ownServiceOf(subject, declarer)
  const target = service === undefined ? 'pods' : serviceTarget(service)
  const why: Record<ServiceTarget, string> = {
    pods: '',
    none: `: there is no Service ${namespace}/${service}`,
    externalName: `: Service ${namespace}/${service} is an ExternalName, which can stand for anything`,
    noSelector: `: Service ${namespace}/${service} has no selector, so that its endpoints can be anything`,
  }
  const message = `${what} "${subject}" is outside what namespace "${namespace}" may name${why[target]}`
  return { allow: false, reason: 'AddressNotAllowed', subject, message }
}

/** Undefined: the labels that decide about it cannot be read. */
function admits(
  { from, selector }: AllowedNamespaces,
  { namespace, namespaceLabels, knowsLabels, network }: Declarer,
): boolean | undefined {
  switch (from) {
    case 'Same':
      return namespace === network.namespace
    case 'All':
      return true
    case 'Selector': {
      const wanted = Object.entries(selector?.matchLabels ?? {})
      // No label at all would be every namespace; that has to be said with All.
      if (wanted.length === 0) return false
      const wrong = wanted.filter(([name, value]) => namespaceLabels[name] !== value)
      if (wrong.length === 0) return true
      return knowsLabels || wrong.some(([name]) => namespaceLabels[name] !== undefined) ? false : undefined
    }
  }
}

function isOwnPods(name: string, declarer: Declarer): boolean {
  const service = ownServiceOf(name, declarer)
  return service !== undefined && declarer.serviceTarget(service) === 'pods'
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
