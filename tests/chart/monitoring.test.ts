/** Alerts and dashboard speak of metrics that the processes have. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { CHART, describeChart, ofKind, pick, render } from './helm.ts'
import { MATRIX } from './matrix.ts'

const root = join(import.meta.dirname, '../..')
const SOURCES: Record<string, string> = {
  controller: 'images/controller/src',
  relay: 'images/relay/src',
  connector: 'images/connector/src',
  operator: 'operator/src',
}
/** Metrics of a histogram. */
const SUFFIX = /_(bucket|sum|count)$/

const file = (name: string) => readFileSync(join(CHART, 'files', name), 'utf8')
const rules = (...names: string[]) => parse(names.map(file).join('').replaceAll('NAMESPACE', 'sallyport'))
const everywhere = rules('alerts.yaml', 'alerts-release.yaml')
const alerts = rules('alerts.yaml', 'alerts-release.yaml', 'alerts-controller.yaml')
const dashboard = JSON.parse(readFileSync(join(CHART, 'files/dashboard.json'), 'utf8'))
const expressions: string[] = [
  ...alerts.groups.flatMap(({ rules }: { rules: { expr: string }[] }) => rules.map(({ expr }) => expr)),
  ...dashboard.panels.flatMap(({ targets }: { targets: { expr: string }[] }) => targets.map(({ expr }) => expr)),
]
const metrics = [...new Set(expressions.flatMap(text => text.match(/sallyport_[a-z_]+/g) ?? []))]

describeChart('what is watched', () => {
  it.each(metrics)('%s is a metric of its process', metric => {
    const [, process, name] = /^sallyport_([a-z]+)_(.*)$/.exec(metric) ?? []
    const folder = SOURCES[process!]!
    const text = globSync('**/*.ts', { cwd: join(root, folder) }).map(file =>
      readFileSync(join(root, folder, file), 'utf8'),
    )
    const names = [name!, name!.replace(SUFFIX, '')].map(candidate => `'${candidate}'`)
    expect(names.some(candidate => text.some(source => source.includes(candidate)))).toBe(true)
  })

  it('is scraped at Services of their own, apart from those that people use', async () => {
    const all = await render(MATRIX['watched and fenced'])
    const monitor = pick(all, 'ServiceMonitor', 'sallyport').spec
    const found = ofKind(all, 'Service').filter(({ metadata }) =>
      Object.entries(monitor.selector.matchLabels).every(([name, value]) => metadata.labels?.[name] === value),
    )
    expect(found.map(({ metadata }) => metadata.name).sort()).toEqual([
      'sallyport-controller-metrics',
      'sallyport-operator-metrics',
    ])
    for (const { spec } of found) {
      expect(spec.ports).toEqual([{ name: 'metrics', port: 9090, targetPort: 'metrics' }])
      const pods = ofKind(all, 'Deployment').map(({ spec }) => spec.template.metadata.labels)
      const selected = pods.filter(labels =>
        Object.entries(spec.selector).every(([key, value]) => labels[key] === value),
      )
      expect(selected).toHaveLength(1)
    }
    expect(pick(all, 'Service', 'sallyport-controller').spec.ports).toHaveLength(1)
  })

  it('stands in the cluster as it stands in the files', async () => {
    const all = await render(MATRIX['watched and fenced'])
    expect(pick(all, 'PrometheusRule', 'sallyport').spec).toEqual(alerts)
    const monitoring = { prometheusRule: { enabled: true } }
    const without = await render({ ...MATRIX['an operator without a Controller of its own'], monitoring })
    expect(pick(without, 'PrometheusRule', 'sallyport').spec).toEqual(everywhere)
    expect(JSON.parse(pick(all, 'ConfigMap', 'sallyport-dashboard').data['sallyport.json'])).toEqual(dashboard)
  })
})
