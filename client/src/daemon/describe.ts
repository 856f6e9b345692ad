import type { CaptureStatus, ClientStatus, LocalResource, Protocols } from '@sallyport/schema'
import { droppedText } from '../access/access-map.ts'
import { VERSION } from '../version.ts'
import type { Account } from './account.ts'

/** What `sallyport status` shows. */
export function describeStatus(account: Account | undefined, captures: CaptureStatus[]): ClientStatus {
  if (account === undefined) {
    return { state: 'loggedOut', version: VERSION, warnings: [], networks: [], sessions: [], captures }
  }
  const { knowledge, keeper, state, clockOffsetMs, device } = account
  const { welcome } = knowledge
  return {
    state: state.kind,
    ...(state.detail === undefined ? {} : { detail: state.detail.slice(0, 1000) }),
    version: VERSION,
    controller: keeper.profile.url,
    device,
    ...(welcome === undefined
      ? {}
      : {
          tenant: welcome.tenant,
          user: welcome.user.email === '' ? welcome.user.id : welcome.user.email,
          admin: welcome.user.admin,
          loginEndsAtMs: welcome.loginEndsAtMs,
        }),
    ...(clockOffsetMs === undefined ? {} : { clockOffsetMs }),
    revision: knowledge.revision,
    warnings: warningsOf(account),
    networks: [...knowledge.networks.values()].map(({ uid, name, acl, connection, problem }) => ({
      uid,
      name,
      resources: acl?.res.length ?? 0,
      connectors: connection?.connectors.length ?? 0,
      ...(acl === undefined ? {} : { aclEndsAtMs: acl.exp * 1000 }),
      ...(problem === undefined ? {} : { problem }),
    })),
    sessions: account.pool.status(),
    captures,
  }
}

/** Skew from which on a person is told. */
const CLOCK_SKEW_MS = 30_000

/** What a person should know: the Controller's warnings, Resources that are not believed, a clock that is wrong. */
export function warningsOf({ knowledge, clockOffsetMs }: Account): string[] {
  const { dropped } = knowledge.access
  const skew = clockOffsetMs ?? 0
  return [
    ...(knowledge.welcome?.warnings ?? []),
    ...dropped
      .slice(0, 20)
      .map(({ resource, reason }) => `Resource "${resource.name}" is not used: ${droppedText[reason]}`),
    ...(dropped.length > 20 ? [`${dropped.length - 20} more Resources are not used`] : []),
    ...(Math.abs(skew) > CLOCK_SKEW_MS
      ? [`ClockSkew: this device's clock is ${Math.round(Math.abs(skew) / 1000)} s ${skew > 0 ? 'behind' : 'ahead'}`]
      : []),
  ]
}

/** What `sallyport resources` shows. */
export function describeResources({ knowledge }: Account): LocalResource[] {
  const { granted, dropped } = knowledge.access
  const all = [
    ...granted.map(resource => ({ resource, usable: true })),
    ...dropped.map(({ resource }) => ({ resource, usable: false })),
  ]
  return all
    .map(({ resource: { name, network, rule, endMs, openURL }, usable }) => ({
      name,
      network: knowledge.networks.get(network)?.name ?? network,
      address: rule.address,
      aliases: rule.aliases,
      ports: describePorts(rule.protocols),
      usable,
      ...(endMs === undefined ? {} : { endMs }),
      ...(openURL === undefined ? {} : { openURL }),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
}

/** TCP ports of a rule: `all`, `none` or ranges. */
export function describePorts({ tcp }: Protocols): string {
  if (tcp === undefined || tcp.policy === 'AllowAll') return 'all'
  const ports = tcp.policy === 'DenyAll' ? [] : (tcp.ports ?? [])
  if (ports.length === 0) return 'none'
  return ports.map(({ start, end }) => (start === end ? `${start}` : `${start}-${end}`)).join(', ')
}
