/** The page of metrics, read from the calls in the sources that make them. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { page, table } from './reference.ts'

const root = join(import.meta.dirname, '..')
const PROCESSES = {
  controller: ['Controller', 'images/controller/src'],
  operator: ['Operator', 'operator/src'],
  relay: ['Relay', 'images/relay/src'],
  connector: ['Connector', 'images/connector/src'],
} as const

/** A call that makes a metric, white space aside: its type, its name, its meaning, its labels. */
const CALL = /\b(counter|gauge|histogram)\( ?'([a-z_]+)', (['"])(.+?)\3(?:, \[ ?((?:'[a-z_]+',? ?)*)\])?/g

/** Every process's metrics: name, type, labels, meaning. */
export function metricPage(): string {
  const sections = Object.entries(PROCESSES).map(([process, [title, folder]]) => {
    const rows = metricsOf(join(root, folder)).map(({ name, type, labels, help }) => [
      `\`sallyport_${process}_${name}\``,
      type,
      labels.map(label => `\`${label}\``).join(', '),
      help,
    ])
    return `## ${title}\n\n${table(['metric', 'type', 'labels', 'meaning'], rows)}`
  })
  return page('Metrics', [
    'At `/metrics` of each process, beside those of Node itself (`process_*`, `nodejs_*`).',
    ...sections,
  ])
}

type Metric = { type: string; name: string; help: string; labels: string[] }

function metricsOf(folder: string): Metric[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const sources = files.filter(file => file.endsWith('.ts') && !file.endsWith('.test.ts')).sort()
  const calls = sources.flatMap(file => {
    const text = readFileSync(join(folder, file), 'utf8').replaceAll(/\s+/g, ' ')
    return [...text.matchAll(CALL)]
  })
  return calls
    .map(([, type = '', name = '', , help = '', labels = '']) => ({
      type,
      name,
      help,
      labels: labels.match(/[a-z_]+/g) ?? [],
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}
