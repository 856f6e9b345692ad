/** Runs all that CI runs, or the test files that the arguments name, and ends in one line: the sum of every runner. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { clusterSuite } from './cluster-suite.ts'
import { ask, close, type Output, type Result, run, step, vitest } from './suite.ts'

/** What is shown on the cluster that others have, too. */
const ON_KIND = ['tests/cluster/image.test.ts', 'tests/cluster/chart.test.ts']
/** About half of tests/cluster by time. */
const ON_SECOND_NODE = ['plain', 'removal', 'uninstall'].map(name => `tests/cluster/${name}.test.ts`)

const named = process.argv.slice(2)
const onCluster = named.filter(name => name.startsWith('tests/cluster'))
const elsewhere = named.filter(name => !name.startsWith('tests/cluster'))
const results: Result[] = [
  await step('lint and format', 'biome', ['check', '--error-on-warnings', '.']),
  await step('types', 'tsc', []),
]

if (named.length > 0) {
  if (elsewhere.length > 0) {
    await compileKubernetes()
    results.push(await vitest(elsewhere))
  }
  if (onCluster.length > 0) results.push(await clusterSuite('kube', onCluster))
} else {
  await compileKubernetes()
  // Much of it is waiting: two suites at a time take little longer than the longer of them.
  results.push(...(await both(vitest([]), 'On kind', output => clusterSuite('kind', ON_KIND, output))))
  const others = ON_SECOND_NODE.flatMap(name => ['--exclude', name])
  const onSecondNode = (output: Output) => clusterSuite('kube', ON_SECOND_NODE, output)
  results.push(...(await both(clusterSuite('kube', others), 'On the second node', onSecondNode)))
}
close(results)

/** Waits for a suite and for another that runs beside it; what the other says comes after the first has ended. */
async function both(
  first: Promise<Result>,
  title: string,
  second: (output: Output) => Promise<Result>,
): Promise<Result[]> {
  const work = mkdtempSync(join(tmpdir(), 'sallyport-output-'))
  const log = join(work, 'log')
  const output = openSync(log, 'w')
  try {
    return await Promise.all([first, second(output)])
  } finally {
    closeSync(output)
    console.log(`${title}:\n${readFileSync(log, 'utf8')}`)
    rmSync(work, { recursive: true })
  }
}

/** Compiles Kubernetes where Go is, telling of its progress; the tests skip aloud, or fail in CI, where it is not. */
async function compileKubernetes(): Promise<void> {
  if (!ask('go', ['version']).ok) return
  console.log(
    'Kubernetes for the tests (compiled once: ten minutes on 2 cores for the API server, and seven for nodes)',
  )
  const nodes = named.length === 0 && ask('hack/kube/possible', []).ok
  await run('hack/kube/build-tools', nodes ? [] : ['--control-plane-only'])
}
