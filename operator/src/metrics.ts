import type { Metrics } from '@sallyport/runtime'

/** What the operator shows of itself at each scrape. */
export type OperatorGauges = {
  leading: () => boolean
  queueLength: () => number
  removalHeld: () => boolean
  /** When all kinds were listed last, in milliseconds since the epoch; undefined before that. */
  relistedAtMs: () => number | undefined
}

export type OperatorMetrics = ReturnType<typeof operatorMetrics>

/** Makes the metrics of an operator. */
export function operatorMetrics(metrics: Metrics, gauges: OperatorGauges) {
  metrics.gauge('leading', '1 while this replica acts.', [], () => Number(gauges.leading()))
  metrics.gauge('queue_length', 'Keys that wait or are worked on.', [], gauges.queueLength)
  metrics.gauge('removal_held', '1 while a removal of many rows waits for confirmation.', [], () =>
    Number(gauges.removalHeld()),
  )
  metrics.gauge(
    'last_relist_timestamp_seconds',
    'When every kind was listed last without a failure; 0 before that, and on a replica that does not lead.',
    [],
    () => (gauges.relistedAtMs() ?? 0) / 1000,
  )
  return {
    reconciles: metrics.counter(
      'reconciles_total',
      'Work on a key that was done or failed: on an object by its kind, else authority, names, all, resync, removal, sought, gone.',
      ['kind'],
    ),
    failures: metrics.counter('failures_total', 'Work on a key that failed and is tried again.', ['kind']),
    resyncs: metrics.counter('resyncs_total', 'Times that everything was listed and compared again.'),
    writes: metrics.counter('writes_total', 'Writes to the API server and to the Controller.', ['verb', 'kind']),
    watchFailures: metrics.counter('watch_failures_total', 'Watches that failed and began again with a list.', [
      'source',
    ]),
  }
}
