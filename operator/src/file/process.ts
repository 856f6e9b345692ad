import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Backoff, type Clock, type Log, type Timer } from '@sallyport/runtime'

/** A process that has lived this long starts again at once when it ends. */
const STABLE_MS = 10_000
const MAX_WAIT_MS = 5_000
const ADOPTED_POLL_MS = 200

/** What is to run. `digest` changes when it has to be started anew. */
export type ProcessSpec = {
  name: string
  command: string[]
  environment: Record<string, string>
  graceSeconds: number
  digest: string
}

type ProcessNote = { pid: number; startTime: string; digest: string }
type State = 'running' | 'waiting' | 'stopped'

/** One process that is kept running, also across restarts of the operator. */
export class KeptProcess {
  readonly #directory: string
  readonly #clock: Clock
  readonly #log: Log
  readonly #backoff = new Backoff(Math.random, MAX_WAIT_MS)
  readonly spec: ProcessSpec
  #pid: number | undefined
  #ended: (() => void)[] = []
  #state: State = 'stopped'
  #timer: Timer | undefined
  #startedMs = 0

  /** `directory` is where its log and a note of its id go. */
  constructor(spec: ProcessSpec, directory: string, clock: Clock, log: Log) {
    this.spec = spec
    this.#directory = directory
    this.#clock = clock
    this.#log = log
  }

  get pid(): number | undefined {
    return this.#pid
  }

  /** Starts it, or takes up the one that an operator before this one has started so. */
  async start(): Promise<void> {
    const former = this.#former()
    if (former !== undefined && former.digest === this.spec.digest) return this.#adopt(former.pid)
    if (former !== undefined) await this.#end(former.pid)
    this.#spawn()
  }

  /** SIGTERM, and SIGKILL when its time is over. */
  async stop(): Promise<void> {
    this.#state = 'stopped'
    this.#timer?.cancel()
    // One that an operator before this one has started, and nobody has taken up, goes as well.
    const pid = this.#pid ?? this.#former()?.pid
    if (pid !== undefined) await this.#end(pid)
    rmSync(this.#noteFile, { force: true })
  }

  #spawn(): void {
    const { name, command, environment } = this.spec
    const path = join(this.#directory, 'log', `${name}.log`)
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    const output = openSync(path, 'a', 0o600)
    const [program = '', ...args] = command
    const child = spawn(program, args, { env: environment, stdio: ['ignore', output, output], detached: true })
    closeSync(output)
    this.#startedMs = this.#clock.monotonic()
    this.#state = 'running'
    if (child.pid !== undefined) this.#note(child)
    child.on('error', error => this.#log.error({ err: error, process: name }, 'a process cannot be started'))
    child.on('close', (code, signal) => this.#gone(code === null ? String(signal) : `code ${code}`))
  }

  #note(child: ChildProcess): void {
    const pid = child.pid!
    this.#pid = pid
    const note: ProcessNote = { pid, startTime: startTimeOf(pid) ?? '', digest: this.spec.digest }
    mkdirSync(dirname(this.#noteFile), { recursive: true, mode: 0o700 })
    writeFileSync(this.#noteFile, JSON.stringify(note), { mode: 0o600 })
    this.#log.info({ process: this.spec.name, pid }, 'started')
  }

  #adopt(pid: number): void {
    this.#pid = pid
    this.#state = 'running'
    this.#startedMs = this.#clock.monotonic()
    this.#log.info({ process: this.spec.name, pid }, 'taken up again')
    const startTime = startTimeOf(pid)
    const look = () => {
      if (this.#pid !== pid) return
      if (startTimeOf(pid) === startTime) this.#timer = this.#clock.timer(ADOPTED_POLL_MS, look)
      else this.#gone('unknown')
    }
    look()
  }

  #gone(how: string): void {
    this.#pid = undefined
    for (const resolve of this.#ended.splice(0)) resolve()
    if (this.#state === 'stopped') return
    if (this.#clock.monotonic() - this.#startedMs >= STABLE_MS) this.#backoff.reset()
    const waitMs = this.#backoff.next()
    this.#state = 'waiting'
    this.#log.warn({ process: this.spec.name, how, waitMs: Math.round(waitMs) }, 'a process ended; it is started again')
    this.#timer = this.#clock.timer(waitMs, () => this.#spawn())
  }

  async #end(pid: number): Promise<void> {
    const startTime = startTimeOf(pid)
    send(pid, 'SIGTERM')
    const deadline = this.#clock.monotonic() + this.spec.graceSeconds * 1000
    while (isAlive(pid, startTime)) {
      if (this.#clock.monotonic() > deadline) send(pid, 'SIGKILL')
      await new Promise<void>(resolve => {
        const timer = this.#clock.timer(20, resolve)
        this.#ended.push(() => {
          timer.cancel()
          resolve()
        })
      })
    }
  }

  get #noteFile(): string {
    return join(this.#directory, 'process', `${this.spec.name}.json`)
  }

  /** The process of an operator before this one, if it is still that. */
  #former(): ProcessNote | undefined {
    if (!existsSync(this.#noteFile)) return undefined
    try {
      const note: ProcessNote = JSON.parse(readFileSync(this.#noteFile, 'utf8'))
      return note.startTime !== '' && startTimeOf(note.pid) === note.startTime ? note : undefined
    } catch {
      // A note that was being written when the machine stopped: nothing of then runs.
      return undefined
    }
  }
}

/** When a process started, so that a reused id is never taken for ours; undefined where it has ended or that cannot be told. */
function startTimeOf(pid: number): string | undefined {
  try {
    const [state, ...fields] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    return state === 'Z' ? undefined : fields[18]
  } catch {
    // No such process, or no /proc.
    return undefined
  }
}

function isAlive(pid: number, startTime: string | undefined): boolean {
  if (startTime !== undefined) return startTimeOf(pid) === startTime
  try {
    process.kill(pid, 0)
    return !existsSync('/proc/self/stat')
  } catch {
    return false
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended by itself.
  }
}
