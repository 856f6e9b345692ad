/** What the commands that run tests share: steps, counts, and one closing line with their sum. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'

/** The result of one runner; `failed` says of each failure what and why, in a line or two. */
export type Result = { passed: number; failed: string[]; skipped: number }

const root = join(import.meta.dirname, '..')

/** Where output goes: a file that is open, or the terminal. */
export type Output = number | 'inherit'

/** Runs a command that passes or fails as a whole. */
export async function step(title: string, command: string, args: string[]): Promise<Result> {
  const started = performance.now()
  const ok = await run(command, args)
  console.log(`${ok ? 'ok' : 'FAILED'}: ${title} (${((performance.now() - started) / 1000).toFixed(1)} s)`)
  return { passed: ok ? 1 : 0, failed: ok ? [] : [title], skipped: 0 }
}

/** Runs tests by vitest; `within` is a command that runs the one it is given. */
export async function vitest(
  args: string[],
  { within = [], env = {}, output = 'inherit' }: { within?: string[]; env?: NodeJS.ProcessEnv; output?: Output } = {},
): Promise<Result> {
  const work = mkdtempSync(join(tmpdir(), 'sallyport-test-'))
  const report = join(work, 'vitest.json')
  const command = ['vitest', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...args]
  const [program, ...rest] = [...within, ...command]
  const ok = await run(program!, rest, { env, output })
  try {
    const { numPassedTests, numPendingTests, testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report
    const failed = testResults.flatMap(failuresOf)
    if (!ok && failed.length === 0) failed.push(`${command.join(' ')}: failed without a failed test`)
    return { passed: numPassedTests, failed, skipped: numPendingTests }
  } catch (cause) {
    return { passed: 0, failed: [`${command.join(' ')}: left no report: ${cause}`], skipped: 0 }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** What vitest's JSON reporter writes, as far as it is read here. */
interface Report {
  numPassedTests: number
  numPendingTests: number
  testResults: FileReport[]
}

interface FileReport {
  name: string
  /** `failed` also for a file that does not load or whose hooks fail; `message` says why. */
  status: string
  message: string
  assertionResults: { status: string; fullName: string; failureMessages: string[] }[]
}

function failuresOf({ name, status, message, assertionResults }: FileReport): string[] {
  const file = relative(root, name)
  const failed = assertionResults.filter(test => test.status === 'failed')
  if (status === 'failed' && failed.length === 0)
    return [`${file}: ${firstLine(message) || 'failed outside of its tests, as above'}`]
  return failed.map(test => `${file} > ${test.fullName}: ${firstLine(test.failureMessages[0] ?? '')}`)
}

const firstLine = (text: string) => text.split('\n', 1)[0]!

/** Prints each failure and, as the last line, the sum; sets the exit code. */
export function close(results: Result[]): void {
  const failed = results.flatMap(result => result.failed)
  const passed = results.reduce((sum, result) => sum + result.passed, 0)
  const skipped = results.reduce((sum, result) => sum + result.skipped, 0)
  for (const failure of failed) console.log(`FAILED: ${failure}`)
  console.log(`${passed} passed, ${failed.length} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  process.exitCode = failed.length === 0 ? 0 : 1
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
