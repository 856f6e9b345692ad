/** Runs all that CI runs, or the test files that the arguments name, and ends in one line: the sum of every runner. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { clusterSuite } from './cluster-suite.ts'
import { ask, close, type Result, run, step, vitest } from './suite.ts'

/** What is shown on the cluster that others have, too. */
const ON_KIND = ['tests/cluster/image.test.ts', 'tests/cluster/chart.test.ts']
/** What of tests/cluster runs on a node at the same time as what needs no cluster; the rest comes after that, on another node. */
const BESIDE = ['plain', 'removal', 'rotation', 'uninstall', 'upgrade'].map(name => `tests/cluster/${name}.test.ts`)

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
  results.push(...(await everything()))
}
close(results)

/** Runs all tests in two rows at a time, since much of both is waiting. What the second row says comes when both have ended. */
async function everything(): Promise<Result[]> {
  const work = mkdtempSync(join(tmpdir(), 'sallyport-output-'))
  const log = join(work, 'log')
  const output = openSync(log, 'w')
  console.log(`tests/cluster on kind, and half of it on a node, run beside what follows; they write to ${log}`)
  const others = BESIDE.flatMap(name => ['--exclude', name])
  const inFront = async () => [await vitest([]), await clusterSuite('kube', others)]
  const beside = async () => [await clusterSuite('kind', ON_KIND, output), await clusterSuite('kube', BESIDE, output)]
  try {
    return (await Promise.all([inFront(), beside()])).flat()
  } finally {
    closeSync(output)
    console.log(`On kind, and on the node beside:\n${readFileSync(log, 'utf8')}`)
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
