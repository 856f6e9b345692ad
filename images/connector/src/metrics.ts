import type { Counter, Gauge, Histogram, Metrics } from '@sallyport/runtime'

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
