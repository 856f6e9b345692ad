import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

export type { Counter, Gauge, Histogram }

/** Resolution of the event loop's delay histogram; coarse, since each tick of it wakes an idle process. */
const EVENT_LOOP_PRECISION_MS = 200

/** Metrics of one process, all under `sallyport_<process>_`. */
export type Metrics = {
  registry: Registry
  counter<const L extends string = never>(name: string, help: string, labels?: readonly L[]): Counter<L>
  /** With `read`, the value is read at each scrape. */
  gauge<const L extends string = never>(
    name: string,
    help: string,
    labels?: readonly L[],
    read?: () => number,
  ): Gauge<L>
  /** `buckets` in seconds unless the name says otherwise. */
  histogram<const L extends string = never>(
    name: string,
    help: string,
    buckets: number[],
    labels?: readonly L[],
  ): Histogram<L>
}

/** Makes the metrics of a process, apart from those of any other in the same Node. `defaults` adds Node's own (memory, event loop). */
export function createMetrics(process: string, { defaults = true }: { defaults?: boolean } = {}): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const full = (name: string) => `sallyport_${process}_${name}`
  if (defaults) collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_PRECISION_MS })
  return {
    registry,
    counter: (name, help, labels = []) => new Counter({ name: full(name), help, labelNames: [...labels], registers }),
    gauge: (name, help, labels = [], read) =>
      new Gauge({
        name: full(name),
        help,
        labelNames: [...labels],
        registers,
        ...(read === undefined
          ? {}
          : {
              collect() {
                this.set(read())
              },
            }),
      }),
    histogram: (name, help, buckets, labels = []) =>
      new Histogram({ name: full(name), help, buckets, labelNames: [...labels], registers }),
  }
}
