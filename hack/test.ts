/** Runs all that CI runs and ends in one line: the sum of every runner. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

type Count = { passed: number; failed: number; skipped: number }
const root = join(import.meta.dirname, '..')
const work = mkdtempSync(join(tmpdir(), 'sallyport-test-'))

prepareKube()
const counts = [
  step('lint and format', 'biome', ['check', '--error-on-warnings', '.']),
  step('types', 'tsc', []),
  vitest(process.argv.slice(2)),
]
rmSync(work, { recursive: true, force: true })
const sum = counts.reduce((a, b) => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
}))
console.log(`${sum.passed} passed, ${sum.failed} failed${sum.skipped > 0 ? `, ${sum.skipped} skipped` : ''}`)
process.exitCode = sum.failed === 0 ? 0 : 1

function step(title: string, command: string, args: string[]): Count {
  const started = performance.now()
  const ok = run(command, args)
  console.log(`${ok ? 'ok' : 'FAILED'}: ${title} (${((performance.now() - started) / 1000).toFixed(1)} s)`)
  return { passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0 }
}

/** Compiles the control plane where Go is, telling of its progress; the tests skip aloud, or fail in CI, where it is not. */
function prepareKube() {
  if (spawnSync('go', ['version'], { stdio: 'ignore' }).status !== 0) return
  console.log('Kubernetes control plane for the tests (compiled once: about 7 minutes on 2 cores)')
  run('hack/kube/build-tools', ['--control-plane-only'])
}

function vitest(args: string[]): Count {
  const report = join(work, 'vitest.json')
  const ok = run('vitest', ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...args])
  try {
    const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, 'utf8'))
    // A file that does not load has no tests to count, and still fails the run.
    const failed = Math.max(numFailedTests, ok ? 0 : 1)
    return { passed: numPassedTests, failed, skipped: numPendingTests }
  } catch (cause) {
    console.error('vitest left no report', cause)
    return { passed: 0, failed: 1, skipped: 0 }
  }
}

function run(command: string, args: string[]): boolean {
  return spawnSync(command, args, { cwd: root, stdio: 'inherit' }).status === 0
}
