import type { Counter, Gauge, Histogram, Metrics } from '@sallyport/runtime'
import type { Serving } from './serving.ts'

/** Seconds. */
const DIAL_BUCKETS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10]

/** What a Connector counts. Gauges that are read at each scrape are made where their values live. */
export type ConnectorMetrics = {
  streamsOpened: Counter
  streamsDenied: Counter<'reason'>
  streamsCut: Counter<'reason'>
  bytes: Counter<'direction'>
  dialSeconds: Histogram
  tunnelsRefused: Counter<'code'>
  accessLogDropped: Counter
  controllerConnected: Gauge
  unknownMessages: Counter
}

/** Makes the metrics of a Connector. */
export function connectorMetrics(metrics: Metrics): ConnectorMetrics {
  return {
    streamsOpened: metrics.counter('streams_opened_total', 'Streams that were connected to their Resource.'),
    streamsDenied: metrics.counter('streams_denied_total', 'Streams that were refused, by reset code.', ['reason']),
    streamsCut: metrics.counter('streams_cut_total', 'Live streams cut because access ended, by reset code.', [
      'reason',
    ]),
    bytes: metrics.counter(
      'bytes_total',
      'Payload forwarded: up to Resources, down to Clients; counted as streams end.',
      ['direction'],
    ),
    dialSeconds: metrics.histogram('dial_seconds', 'Time to resolve and connect to a Resource.', DIAL_BUCKETS),
    tunnelsRefused: metrics.counter('tunnels_refused_total', 'Tunnels that were not accepted, by error code.', [
      'code',
    ]),
    accessLogDropped: metrics.counter('access_log_dropped_total', 'Access-log records given up before delivery.'),
    controllerConnected: metrics.gauge('controller_connected', '1 while there is a control channel to the Controller.'),
    unknownMessages: metrics.counter('unknown_messages_total', 'Control messages of a type unknown to this version.'),
  }
}

/** Makes the gauges that are read at each scrape; 0 while nothing is served. */
export function servingGauges(
  metrics: Metrics,
  read: { serving: () => Serving | undefined; accessLogWaiting: () => number },
): void {
  const gauge = (name: string, help: string, value: (serving: Serving) => number) => {
    metrics.gauge(name, help, [], () => {
      const serving = read.serving()
      return serving === undefined ? 0 : value(serving)
    })
  }
  gauge('relays_registered', 'Relays at which the Connector is registered.', ({ relays }) => relays.registered)
  gauge('idle_sockets', 'Data sockets that wait at Relays.', ({ relays }) => relays.idleSockets)
  gauge('sessions', 'Sessions of devices.', ({ sessions }) => sessions.size)
  gauge('streams', 'Streams that are open or being connected.', ({ sessions }) => sessions.streams)
  gauge('acl_end_timestamp_seconds', 'End of the Connector ACL.', ({ access }) => (access.aclEndMs ?? 0) / 1000)
  gauge('acl_revision', 'Revision of the state in force.', ({ access }) => access.revision)
  gauge('resources', 'Resources in the Connector ACL.', ({ access }) => access.rules.size)
  gauge('clock_offset_seconds', 'How far the clock of the Controller is ahead.', ({ time }) => time.offsetMs / 1000)
  gauge('ready', '1 while the Connector is ready.', ({ ready }) => (ready ? 1 : 0))
  metrics.gauge(
    'access_log_waiting',
    'Access-log records that the Controller does not have.',
    [],
    read.accessLogWaiting,
  )
}
