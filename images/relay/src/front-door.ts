import { createServer, type Server, type Socket } from 'node:net'
import type { Clock, Log, Timer } from '@sallyport/runtime'
import { CLIENT_HELLO_TIMEOUT_MS, classifyServerName } from '@sallyport/wire'
import { type ControlEndpoint, connectionName } from './control.ts'
import { KEEP_ALIVE_MS, REGISTER_TIMEOUT_MS } from './limit.ts'
import type { RelayMetrics } from './metrics.ts'
import { type Peeked, peekClientHello } from './peek.ts'
import type { Registry } from './registry.ts'
import type { RelayIdentity } from './relay-secret.ts'
import { StrangerLimit } from './stranger-limit.ts'
import type { Tunnels } from './tunnels.ts'

export type FrontDoorOptions = {
  /** The Secret as it is now; nobody is served without. */
  serving: () => { identity: RelayIdentity; control: ControlEndpoint } | undefined
  registry: Registry
  tunnels: Tunnels
  metrics: RelayMetrics
  clock: Clock
  log: Log
  maxStrangers: number
  maxStrangersPerAddress: number
}

type Hello = Extract<Peeked, { kind: 'hello' }>

/** The one port: reads each ClientHello and sends the connection where its server name says. */
export class FrontDoor {
  readonly server: Server
  readonly #options: FrontDoorOptions
  readonly #strangers: StrangerLimit<Socket>
  readonly #deadlines = new WeakMap<Socket, Timer>()
  readonly #registering = new Map<string, Socket>()

  constructor(options: FrontDoorOptions) {
    this.#options = options
    this.#strangers = new StrangerLimit({ max: options.maxStrangers, maxPerAddress: options.maxStrangersPerAddress })
    const socketOptions = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }
    this.server = createServer(socketOptions, socket => this.#accept(socket))
  }

  /** Connections that have proved nothing yet. */
  get strangers(): number {
    return this.#strangers.size
  }

  /** The control connection named so is registered: it may stay. */
  registered(connection: string): void {
    const socket = this.#registering.get(connection)
    if (socket !== undefined) this.#settle(socket)
  }

  /** Accepts nobody more, and lets go who has proved nothing. */
  close(): void {
    this.server.close()
    for (const socket of this.#strangers) socket.destroy()
  }

  #accept(socket: Socket): void {
    const { log, metrics } = this.#options
    socket.on('error', error => log.debug({ err: error }, 'connection lost'))
    socket.once('close', () => this.#settle(socket))
    const evicted = this.#strangers.add(socket, socket.remoteAddress ?? '')
    if (evicted !== undefined) metrics.connections.inc({ kind: 'evicted' })
    evicted?.destroy()
    this.#expect(socket, CLIENT_HELLO_TIMEOUT_MS)
    peekClientHello(socket, peeked => this.#route(socket, peeked))
  }

  #route(socket: Socket, peeked: Peeked) {
    const { metrics, registry, tunnels, serving } = this.#options
    const served = serving()
    if (peeked.kind === 'malformed') return this.#close(socket, 'malformed')
    if (served === undefined) return this.#close(socket, 'not_ready')
    const { identity, control } = served
    const request = classifyServerName(peeked.serverName, identity.name)
    metrics.connections.inc({ kind: request.kind })
    switch (request.kind) {
      case 'capability':
        this.#settle(socket)
        return tunnels.admit(socket, peeked.bytes, request.bytes, identity)
      case 'slot':
        this.#settle(socket)
        if (peeked.bytes.length > peeked.length) return this.#close(socket, 'malformed')
        if (!registry.offer(request.key, socket)) this.#close(socket, 'slot_refused')
        return
      case 'control':
        return this.#toControl(socket, peeked, control)
      case 'unknown':
        return socket.destroy()
    }
  }

  /** Stays a stranger until it is registered. */
  #toControl(socket: Socket, { bytes }: Hello, control: ControlEndpoint): void {
    const name = connectionName(socket)
    this.#registering.set(name, socket)
    socket.once('close', () => this.#registering.delete(name))
    this.#expect(socket, REGISTER_TIMEOUT_MS)
    socket.unshift(bytes)
    control.accept(socket)
  }

  #close(socket: Socket, kind: string): void {
    this.#options.log.debug({ peer: socket.remoteAddress, kind }, 'connection closed')
    this.#options.metrics.connections.inc({ kind })
    socket.destroy()
  }

  #expect(stranger: Socket, timeoutMs: number): void {
    this.#deadlines.get(stranger)?.cancel()
    const deadline = this.#options.clock.timer(timeoutMs, () => this.#close(stranger, 'too_slow'))
    this.#deadlines.set(stranger, deadline)
  }

  /** It is gone, or no stranger any more. */
  #settle(socket: Socket): void {
    this.#deadlines.get(socket)?.cancel()
    this.#strangers.delete(socket)
  }
}
