/** What the commands that run tests share: steps, counts, and one closing line with their sum. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type Count = { passed: number; failed: number; skipped: number }

const root = join(import.meta.dirname, '..')

/** Where output goes: a file that is open, or the terminal. */
export type Output = number | 'inherit'

/** Runs a command that passes or fails as a whole. */
export async function step(title: string, command: string, args: string[]): Promise<Count> {
  const started = performance.now()
  const ok = await run(command, args)
  console.log(`${ok ? 'ok' : 'FAILED'}: ${title} (${((performance.now() - started) / 1000).toFixed(1)} s)`)
  return { passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0 }
}

/** Runs tests by vitest; `within` is a command that runs the one it is given. */
export async function vitest(
  args: string[],
  { within = [], env = {}, output = 'inherit' }: { within?: string[]; env?: NodeJS.ProcessEnv; output?: Output } = {},
): Promise<Count> {
  const work = mkdtempSync(join(tmpdir(), 'sallyport-test-'))
  const report = join(work, 'vitest.json')
  const command = ['vitest', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...args]
  const [program, ...rest] = [...within, ...command]
  const ok = await run(program!, rest, { env, output })
  try {
    const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, 'utf8'))
    // A file that does not load has no tests to count, and still fails the run.
    return { passed: numPassedTests, failed: Math.max(numFailedTests, ok ? 0 : 1), skipped: numPendingTests }
  } catch (cause) {
    console.error('vitest left no report', cause)
    return { passed: 0, failed: 1, skipped: 0 }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** Prints the sum and sets the exit code. */
export function close(counts: Count[]): void {
  const sum = counts.reduce((a, b) => ({
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
  }))
  console.log(`${sum.passed} passed, ${sum.failed} failed${sum.skipped > 0 ? `, ${sum.skipped} skipped` : ''}`)
  process.exitCode = sum.failed === 0 ? 0 : 1
}

/** Runs a command from the root of the project, its output shown; tells whether it succeeded. */
export function run(
  command: string,
  args: string[],
  { env = {}, output = 'inherit' }: { env?: NodeJS.ProcessEnv; output?: Output } = {},
): Promise<boolean> {
  const child = spawn(command, args, { cwd: root, stdio: ['inherit', output, output], env: { ...process.env, ...env } })
  return new Promise(resolve => {
    child.once('error', () => resolve(false))
    child.once('exit', code => resolve(code === 0))
  })
}

/** What a command prints, and whether it succeeded. */
export function ask(command: string, args: string[]): { ok: boolean; text: string } {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: 'utf8' })
  return { ok: status === 0, text: `${stdout ?? ''}${stderr ?? ''}`.trim() }
}
