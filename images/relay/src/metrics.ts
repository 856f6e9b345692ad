import { createMetrics, type Metrics } from '@sallyport/runtime'

/** What a Relay counts by itself; gauges are read at each scrape. */
export type RelayGauges = {
  connectors: () => number
  idleSockets: () => number
  waitingClients: () => number
  tunnels: () => number
  strangers: () => number
}

export type RelayMetrics = ReturnType<typeof relayMetrics>

/** Makes the metrics of a Relay. */
export function relayMetrics(gauges: RelayGauges, metrics: Metrics = createMetrics('relay')) {
  metrics.gauge('connectors', 'Connectors that are registered.', [], gauges.connectors)
  metrics.gauge('idle_sockets', 'Data sockets of Connectors that wait for a Client.', [], gauges.idleSockets)
  metrics.gauge('waiting_clients', 'Clients that wait for a data socket.', [], gauges.waitingClients)
  metrics.gauge('tunnels', 'Tunnels that are open.', [], gauges.tunnels)
  metrics.gauge('strangers', 'Connections that have proved nothing yet.', [], gauges.strangers)
  return {
    metrics,
    connections: metrics.counter('connections_total', 'Connections by what they asked for.', ['kind']),
    tunnels: metrics.counter('tunnels_total', 'Tunnels that came about.'),
    refusals: metrics.counter('refusals_total', 'Clients that were refused, by reason.', ['reason']),
    registrations: metrics.counter('registrations_total', 'Registrations of Connectors, by outcome.', ['outcome']),
    replays: metrics.counter('replays_total', 'ClientHellos that were given to a further data socket.'),
    bytes: metrics.counter('bytes_total', 'Bytes of tunnels, by direction.', ['direction']),
  }
}
