/** Runs all that CI runs, or the test files that the arguments name, and ends in one line: the sum of every runner. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { clusterSuite } from './cluster-suite.ts'
import { ask, type Count, close, run, step, vitest } from './suite.ts'

/** What is shown on the cluster that others have, too. */
const ON_KIND = ['tests/cluster/image.test.ts', 'tests/cluster/chart.test.ts']
/** About half of tests/cluster by time: most of it is waiting, so that two nodes take little longer than one. */
const ON_SECOND_NODE = ['plain', 'removal', 'uninstall'].map(name => `tests/cluster/${name}.test.ts`)

const named = process.argv.slice(2)
const onCluster = named.filter(name => name.startsWith('tests/cluster'))
const elsewhere = named.filter(name => !name.startsWith('tests/cluster'))
const counts: Count[] = [
  await step('lint and format', 'biome', ['check', '--error-on-warnings', '.']),
  await step('types', 'tsc', []),
]

if (named.length === 0 || elsewhere.length > 0) {
  await prepareKube()
  counts.push(await vitest(elsewhere))
}
if (onCluster.length > 0) counts.push(await clusterSuite('kube', onCluster))
if (named.length === 0) {
  counts.push(...(await onTwoNodes()))
  counts.push(await clusterSuite('kind', ON_KIND))
}
close(counts)

/** Runs all of tests/cluster on two nodes at a time; what the second has said comes after the first. */
async function onTwoNodes(): Promise<Count[]> {
  const work = mkdtempSync(join(tmpdir(), 'sallyport-second-'))
  const log = join(work, 'log')
  const output = openSync(log, 'w')
  try {
    const others = ON_SECOND_NODE.flatMap(name => ['--exclude', name])
    return await Promise.all([clusterSuite('kube', others), clusterSuite('kube', ON_SECOND_NODE, output)])
  } finally {
    closeSync(output)
    console.log(`On the second node:\n${readFileSync(log, 'utf8')}`)
    rmSync(work, { recursive: true })
  }
}

/** Compiles the control plane where Go is, telling of its progress; the tests skip aloud, or fail in CI, where it is not. */
async function prepareKube(): Promise<void> {
  if (!ask('go', ['version']).ok) return
  console.log('Kubernetes control plane for the tests (compiled once: about 7 minutes on 2 cores)')
  await run('hack/kube/build-tools', ['--control-plane-only'])
}
