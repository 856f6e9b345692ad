import type { Metrics } from '@sallyport/runtime'
import type { Hub } from './feed/hub.ts'
import type { Tenants } from './tenant.ts'

/** Adds the Controller's gauges, read at each scrape. */
export function addMetrics(metrics: Metrics, tenants: Tenants): void {
  const sum = (count: (hub: Hub) => number) => () => {
    let total = 0
    for (const { hub } of tenants.values()) total += count(hub)
    return total
  }
  metrics.gauge(
    'connectors',
    'Connectors with a control channel.',
    [],
    sum(({ connectors }) => connectors.size),
  )
  metrics.gauge(
    'clients',
    'Devices with a control channel.',
    [],
    sum(({ clients }) => clients.size),
  )
  metrics.gauge(
    'operators',
    'Operators with a control channel.',
    [],
    sum(({ operators }) => operators.size),
  )
  metrics.gauge('sessions', 'Sessions that connected Connectors have reported.', [], sum(sessionsOf))
  metrics.gauge(
    'resources',
    'Declared Resources.',
    [],
    sum(({ state }) => [...state.all('resource')].length),
  )
  metrics.gauge(
    'unacknowledged_connectors',
    'Connected Connectors that have not acknowledged what was pushed to them last.',
    [],
    sum(unacknowledged),
  )
}

function sessionsOf({ presence }: Hub): number {
  let total = 0
  for (const { connected, sessions } of presence.connectors.values()) if (connected) total += sessions.size
  return total
}

function unacknowledged({ connectors, presence }: Hub): number {
  let total = 0
  for (const [id, { sentRevision }] of connectors)
    if ((presence.of(id)?.appliedRevision ?? 0) < sentRevision) total += 1
  return total
}
