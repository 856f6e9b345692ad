/** Runs all that CI runs, or the test files that the arguments name, and ends in one line: the sum of every runner. */
import { clusterSuite } from './cluster-suite.ts'
import { ask, type Count, close, run, step, vitest } from './suite.ts'

/** What is shown on the cluster that others have, too. */
const ON_KIND = ['tests/cluster/image.test.ts', 'tests/cluster/chart.test.ts']

const named = process.argv.slice(2)
const onCluster = named.filter(name => name.startsWith('tests/cluster'))
const elsewhere = named.filter(name => !name.startsWith('tests/cluster'))
const counts: Count[] = [
  step('lint and format', 'biome', ['check', '--error-on-warnings', '.']),
  step('types', 'tsc', []),
]

if (named.length === 0 || elsewhere.length > 0) {
  prepareKube()
  counts.push(vitest(elsewhere))
}
if (named.length === 0 || onCluster.length > 0) counts.push(clusterSuite('kube', onCluster))
if (named.length === 0) counts.push(clusterSuite('kind', ON_KIND))
close(counts)

/** Compiles the control plane where Go is, telling of its progress; the tests skip aloud, or fail in CI, where it is not. */
function prepareKube() {
  if (!ask('go', ['version']).ok) return
  console.log('Kubernetes control plane for the tests (compiled once: about 7 minutes on 2 cores)')
  run('hack/kube/build-tools', ['--control-plane-only'])
}
