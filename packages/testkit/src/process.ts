import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** Compiled modules are kept there, so that a process starts in half of the time. */
const COMPILE_CACHE = join(import.meta.dirname, '../../../node_modules/.cache/compile')

/** Longest time that an ended process may take to close its pipes. */
const STOP_TIMEOUT_MS = 10_000

export type Run = {
  name: string
  pid: number
  /** Lines of stdout and stderr so far. */
  lines: string[]
  /** Resolves with the first line, past or coming, that matches; rejects when the process ends or `timeoutMs` have passed. */
  line(pattern: RegExp, timeoutMs?: number): Promise<string>
  /** Resolves with the exit code, or the name of the signal that ended it. */
  ended: Promise<number | string>
  /** Sends `signal` and waits until the process has ended. */
  stop(signal?: NodeJS.Signals): Promise<number | string>
  child: ChildProcess
}

export type RunOptions = {
  name: string
  args: string[]
  env?: NodeJS.ProcessEnv
  command?: string
  logFile?: string
  cwd?: string
  input?: boolean
}

/** Starts a process (Node on a TypeScript file unless `command` says otherwise) and collects what it prints, line by line. */
export function run({
  name,
  args,
  env = {},
  command = process.execPath,
  logFile,
  cwd,
  input = false,
}: RunOptions): Run {
  const child = spawn(command, args, {
    stdio: [input ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    cwd,
    env: { NODE_COMPILE_CACHE: COMPILE_CACHE, ...process.env, ...env },
  })
  const lines: string[] = []
  const waiting = new Set<(line: string | undefined) => void>()
  const log = logFile === undefined ? undefined : createWriteStream(logFile, { flags: 'a' })
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue
    createInterface({ input: stream }).on('line', line => {
      lines.push(line)
      log?.write(`${line}\n`)
      for (const wake of waiting) wake(line)
    })
  }
  const ended = new Promise<number | string>(resolve => {
    child.on('error', error => {
      lines.push(String(error))
      resolve('not started')
    })
    child.on('close', (code, signal) => resolve(code ?? signal ?? 'unknown'))
  })
  void ended.then(() => {
    log?.end()
    for (const wake of waiting) wake(undefined)
  })
  const self: Run = {
    name,
    pid: child.pid ?? 0,
    lines,
    ended,
    child,
    line: (pattern, timeoutMs = 60_000) =>
      new Promise((resolve, reject) => {
        const past = lines.find(line => pattern.test(line))
        if (past !== undefined) return resolve(past)
        const fail = (why: string) => {
          done()
          reject(
            new Error(
              `${name}: ${why} before a line that matches ${pattern}; last lines:\n${lines.slice(-15).join('\n')}`,
            ),
          )
        }
        const timer = setTimeout(() => fail(`${timeoutMs} ms passed`), timeoutMs)
        const wake = (line: string | undefined) => {
          if (line === undefined) return fail('it ended')
          if (!pattern.test(line)) return
          done()
          resolve(line)
        }
        const done = () => {
          clearTimeout(timer)
          waiting.delete(wake)
        }
        waiting.add(wake)
        if (child.exitCode !== null) fail('it had ended')
      }),
    stop: async (signal = 'SIGTERM') => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
      const how = await ended
      clearTimeout(timer)
      return how
    },
  }
  return self
}
