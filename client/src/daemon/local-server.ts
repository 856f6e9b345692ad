import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { type Log, pump } from '@sallyport/runtime'
import { type FromDaemon, LOCAL_PROTOCOL, parser, ToDaemon } from '@sallyport/schema'
import { ClientError } from '../error.ts'
import { JsonLines } from '../local/line.ts'
import { VERSION } from '../version.ts'
import type { Daemon } from './daemon.ts'

const toDaemon = parser(ToDaemon)

export type LocalServer = { close(): Promise<void> }

/** Serves verbs on the local socket, which only its owner may open. */
export async function serveLocal(path: string, daemon: Daemon, log: Log): Promise<LocalServer> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    new Visit(socket, daemon, log)
  })
  // The lock is held, so whoever made this socket is gone.
  if (process.platform !== 'win32') rmSync(path, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    // In the closed directory nobody else can reach it in the moment before its own mode is set.
    server.listen(path, resolve)
  })
  if (process.platform !== 'win32') chmodSync(path, 0o600)
  return {
    close: async () => {
      const closed = new Promise<void>(resolve => server.close(() => resolve()))
      for (const socket of sockets) socket.destroySoon()
      await closed
    },
  }
}

/** One verb: its greeting, one request, the answer; gone means given up. */
class Visit {
  readonly #daemon: Daemon
  readonly #log: Log
  readonly #lines: JsonLines
  readonly #gone = new AbortController()
  #greeted = false

  constructor(socket: Socket, daemon: Daemon, log: Log) {
    this.#daemon = daemon
    this.#log = log
    this.#lines = new JsonLines(
      socket,
      value => this.#receive(value),
      () => this.#gone.abort(new ClientError('failed', 'the verb has gone')),
    )
  }

  #send(message: FromDaemon): void {
    this.#lines.send(message)
  }

  #receive(value: unknown) {
    if (!toDaemon.check(value)) {
      const [problem] = toDaemon.problems(value)
      return this.#fail(new ClientError('usage', `not understood: ${problem?.field ?? ''} ${problem?.message ?? ''}`))
    }
    if (value.type === 'hello') {
      this.#greeted = true
      return this.#send({ type: 'hello', protocol: LOCAL_PROTOCOL, version: VERSION, pid: process.pid })
    }
    if (!this.#greeted) return this.#fail(new ClientError('usage', 'want hello first'))
    this.#answer(value).catch(error => this.#fail(error))
  }

  #fail(error: unknown): void {
    if (this.#gone.signal.aborted) return
    if (!(error instanceof ClientError)) this.#log.error({ err: error }, 'a verb failed')
    const failure = error instanceof ClientError ? error : new ClientError('failed', messageOf(error))
    const { code, message, hint } = failure
    this.#lines.end({ type: 'error', code, message: message.slice(0, 2000), hint } satisfies FromDaemon)
  }

  async #answer(request: Exclude<ToDaemon, { type: 'hello' }>): Promise<void> {
    const daemon = this.#daemon
    const { signal } = this.#gone
    switch (request.type) {
      case 'login': {
        const browse = (url: string) => this.#send({ type: 'browse', url })
        return this.#send({ type: 'loggedIn', status: await daemon.logIn(request.url, browse, signal) })
      }
      case 'logout':
        await daemon.logOut()
        return this.#send({ type: 'loggedOut' })
      case 'status':
        return this.#send({ type: 'status', status: await daemon.status(signal) })
      case 'resources':
        return this.#send({ type: 'resources', ...(await daemon.resources(signal)) })
      case 'why':
        return this.#send({ type: 'why', report: await daemon.why(request.host, request.port, signal) })
      case 'capture': {
        const capture = await daemon.capture(request.capture)
        signal.addEventListener('abort', () => void capture.close(), { once: true })
        if (signal.aborted) return capture.close()
        return this.#send({ type: 'capturing', capture: capture.status() })
      }
      case 'connect':
        return this.#connect(request.host, request.port)
      case 'admin': {
        const body = await daemon.admin(request.method, request.path, signal)
        return this.#send({ type: 'admin', status: 200, body })
      }
      case 'stop':
        this.#send({ type: 'stopping' })
        return daemon.close()
    }
  }

  async #connect(host: string, port: number): Promise<void> {
    const stream = await this.#daemon.open(host, port, this.#gone.signal)
    this.#send({ type: 'connected' })
    const early = this.#lines.release()
    if (early.length > 0) stream.write(early)
    const { stream: verb } = this.#lines
    const { done } = pump(verb, stream)
    verb.resume()
    await done
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
