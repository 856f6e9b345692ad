import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import type { FromDaemon, ToDaemon } from '@sallyport/schema'
import { CLI_PATH } from '../cli-path.ts'
import { ClientError, clientErrorCode } from '../error.ts'
import { VERSION } from '../version.ts'
import { checkHome, prepareHome, socketPath } from './home.ts'
import { JsonLines } from './line.ts'

/** Has to be that of the schema, which is not loaded here: it takes longer than a whole verb may. */
const LOCAL_PROTOCOL = 1
/** How long a daemon may take to start or to end. */
const DAEMON_TIMEOUT_MS = 10_000
const POLL_MS = 15

type Reply<T extends FromDaemon['type']> = Extract<FromDaemon, { type: T }>

/** A verb's connection to the daemon. */
export class DaemonConnection {
  readonly pid: number
  readonly #lines: JsonLines
  readonly #inbox: FromDaemon[] = []
  #wake: (() => void) | undefined
  #ended = false

  constructor(socket: Socket, pid: number) {
    this.pid = pid
    this.#lines = new JsonLines(
      socket,
      value => {
        this.#inbox.push(value as FromDaemon) // The daemon is our own, of our own version: the greeting has told.
        this.#wake?.()
      },
      () => {
        this.#ended = true
        this.#wake?.()
      },
    )
  }

  send(message: ToDaemon): void {
    this.#lines.send(message)
  }

  /** The next answer, of one of `types`. Throws the daemon's refusal as ClientError. */
  async next<T extends FromDaemon['type']>(...types: T[]): Promise<Reply<T>> {
    while (this.#inbox.length === 0) {
      if (this.#ended) throw new ClientError('connection_lost', 'the daemon has ended')
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
    const message = this.#inbox.shift()!
    if (message.type === 'error') {
      const { code, message: text, hint } = message
      throw new ClientError(clientErrorCode(code), text, hint === undefined ? {} : { hint })
    }
    if (!(types as string[]).includes(message.type)) {
      throw new ClientError('daemon_failed', `the daemon answered "${message.type}"`)
    }
    return message as Reply<T>
  }

  /** Resolves when the daemon has hung up. */
  async ended(): Promise<void> {
    while (!this.#ended) {
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
  }

  /** Hands over the connection behind the last answer, with what has come already. */
  release(): { socket: Socket; early: Buffer } {
    return { early: this.#lines.release(), socket: this.#lines.stream as Socket }
  }

  close(): void {
    this.#lines.stream.destroy()
  }
}

/** Connects to the daemon of `home`; starts one where there is none, or an older or newer one. Throws ClientError. */
export async function connectDaemon(
  home: string,
  { start = true }: { start?: boolean } = {},
): Promise<DaemonConnection> {
  prepareHome(home)
  const path = socketPath(home)
  const running = await attempt(path)
  if (running !== undefined && isOurs(running.hello)) return running.connection
  if (running !== undefined) await stop(running.connection, path)
  if (!start) throw new ClientError('daemon_failed', 'no daemon is running')
  return spawnDaemon(home, path)
}

/** Connects to the daemon of `home` where one runs, of whatever version. */
export async function findDaemon(home: string): Promise<DaemonConnection | undefined> {
  prepareHome(home)
  return (await attempt(socketPath(home)))?.connection
}

/** Ends a daemon. */
export async function stopDaemon(home: string, connection: DaemonConnection): Promise<void> {
  await stop(connection, socketPath(home))
}

type Hello = Reply<'hello'>
const isOurs = ({ protocol, version }: Hello) => protocol === LOCAL_PROTOCOL && version === VERSION

async function attempt(path: string): Promise<{ connection: DaemonConnection; hello: Hello } | undefined> {
  const socket = await open(path)
  if (socket === undefined) return undefined
  const connection = new DaemonConnection(socket, 0)
  connection.send({ type: 'hello', protocol: LOCAL_PROTOCOL, version: VERSION })
  const hello = await connection.next('hello').catch(error => {
    if (error instanceof ClientError && error.code === 'connection_lost') return undefined
    throw error
  })
  return hello === undefined ? undefined : { connection, hello }
}

function open(path: string): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen: true })
    socket.once('connect', () => {
      socket.off('error', failed)
      resolve(socket)
    })
    const failed = (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') return resolve(undefined)
      reject(new ClientError('daemon_failed', `the daemon cannot be reached: ${error.message}`, { cause: error }))
    }
    socket.once('error', failed)
  })
}

async function stop(connection: DaemonConnection, path: string): Promise<void> {
  connection.send({ type: 'stop' })
  await connection.ended()
  const end = performance.now() + DAEMON_TIMEOUT_MS
  for (let socket = await open(path); socket !== undefined; socket = await open(path)) {
    socket.destroy()
    if (performance.now() > end) throw new ClientError('daemon_failed', 'the old daemon does not end')
    await pause()
  }
}

async function spawnDaemon(home: string, path: string): Promise<DaemonConnection> {
  checkHome(home)
  const child = launch(home)
  let exited: number | string | undefined
  child.on('exit', (code, signal) => {
    exited = code ?? signal ?? 'unknown'
  })
  child.on('error', error => {
    exited = error.message
  })
  const end = performance.now() + DAEMON_TIMEOUT_MS
  for (;;) {
    const running = await attempt(path)
    if (running !== undefined) return running.connection
    // Another verb may have been first: then ours ends, and there is one all the same.
    if (exited !== undefined && performance.now() > end - DAEMON_TIMEOUT_MS + 2_000) {
      throw new ClientError('daemon_failed', `the daemon ended at its start (${exited})`, {
        hint: `See ${join(home, 'daemon.log')}.`,
      })
    }
    if (performance.now() > end) {
      throw new ClientError('daemon_failed', `the daemon does not answer`, { hint: `See ${join(home, 'daemon.log')}.` })
    }
    await pause()
  }
}

function launch(home: string): ChildProcess {
  const log = openSync(join(home, 'daemon.log'), 'a', 0o600)
  try {
    const child = spawn(process.execPath, [...process.execArgv, CLI_PATH, 'daemon', '--home', home], {
      detached: true,
      stdio: ['ignore', log, log],
      cwd: '/',
    })
    child.unref()
    return child
  } finally {
    closeSync(log)
  }
}

const pause = () => new Promise(resolve => setTimeout(resolve, POLL_MS))
