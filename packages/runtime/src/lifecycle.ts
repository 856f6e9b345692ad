import { ConfigError } from './config.ts'
import { createLog, type Log, type LogLevel } from './log.ts'

/** A part of a process that runs until it is closed. */
export type Service = { close(): Promise<void> }

/** Knows every background promise by name; none is left without an owner. */
export class Supervisor {
  readonly #running = new Map<Promise<void>, string>()
  readonly #onFailure: (name: string, error: unknown) => void

  constructor(onFailure: (name: string, error: unknown) => void) {
    this.#onFailure = onFailure
  }

  /** Takes over `work`; a rejection is reported under `name`. */
  run(name: string, work: Promise<unknown> | (() => Promise<unknown>)): void {
    const promise: Promise<void> = (typeof work === 'function' ? work() : work).then(
      () => void this.#running.delete(promise),
      error => {
        this.#running.delete(promise)
        this.#onFailure(name, error)
      },
    )
    this.#running.set(promise, name)
  }

  /** Names of what still runs. */
  get names(): string[] {
    return [...this.#running.values()]
  }

  /** Resolves when nothing runs any more. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.keys())
  }
}

/** A supervisor that logs each failure once. */
export function logSupervisor(log: Log): Supervisor {
  return new Supervisor((name, error) => log.error({ err: error, task: name }, 'background task failed'))
}

/** The whole of a `main.ts`: configuration, start, and an orderly end. */
export type Main<C> = {
  name: string
  readConfig: () => C
  logLevel: (config: C) => LogLevel
  /** `signal` is aborted when the process is told to end: what is waited for then need not come. */
  start: (config: C, deps: { log: Log; signal: AbortSignal }) => Promise<Service>
}

/**
 * Runs a process: problems of the configuration go to stderr, exit 1; SIGTERM and SIGINT close it in order, a second one ends it at once; an
 * unhandled failure is logged, exit 1.
 */
export async function runMain<C>({ name, readConfig, logLevel, start }: Main<C>): Promise<void> {
  const config = configOrExit(name, readConfig)
  const log = createLog(name, logLevel(config))
  const fail = (message: string) => (error: unknown) => {
    log.fatal({ err: error }, message)
    process.exit(1)
  }
  process.on('unhandledRejection', fail('unhandled rejection'))
  process.on('uncaughtException', fail('uncaught exception'))

  const stopping = new AbortController()
  const signalled = new Promise<NodeJS.Signals>(resolve => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (stopping.signal.aborted) process.exit(1)
        stopping.abort()
        resolve(signal)
      })
    }
  })
  const starting = start(config, { log, signal: stopping.signal }).catch((error: unknown) => {
    if (!stopping.signal.aborted) fail('start failed')(error)
  })
  const signal = await signalled
  log.info({ signal }, 'stopping')
  const service = await starting
  await service?.close()
  log.info('stopped')
  process.exit(0)
}

function configOrExit<C>(name: string, readConfig: () => C): C {
  try {
    return readConfig()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`${name}: ${error.message}\n`)
    process.exit(1)
  }
}
