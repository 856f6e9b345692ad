import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { type Clock, connectTcp, type HostPort, type ProxySettings, type Timer } from '@sallyport/runtime'
import { encodeClientHello, IDLE_SOCKET_KEEP_ALIVE_MS, IDLE_SOCKET_LIFE_MS, slotServerName } from '@sallyport/wire'
import { missingSockets } from './pool-plan.ts'

/** How long slot keys that were asked for are waited for. */
const SLOTS_TIMEOUT_MS = 5_000
/** Wait after a socket could not be connected, or was closed as soon as it was. */
const RETRY_MS = 500
/** Time for a data socket to connect; slot keys live 30 s. */
const DIAL_TIMEOUT_MS = 5_000

export type SocketPoolOptions = {
  relayName: string
  address: () => HostPort
  proxy: ProxySettings
  clock: Clock
  /** Asks the Relay for `count` slot keys. */
  needSlots: (count: number) => void
  /** A Client's first bytes have arrived on `socket`; nothing of them has been read. */
  onClient: (socket: Socket) => void
  onDialFailure: (error: unknown) => void
}

/** Idle data sockets at one Relay: kept at the number wanted, kept alive, replaced before load balancers forget them. */
export class SocketPool {
  readonly #options: SocketPoolOptions
  readonly #idle = new Map<Socket, Timer>()
  #registered = false
  #want = 0
  #dialling = 0
  #asked = 0
  #askTimer: Timer | undefined
  #retry: Timer | undefined
  #abort = new AbortController()

  constructor(options: SocketPoolOptions) {
    this.#options = options
  }

  get idle(): number {
    return this.#idle.size
  }

  /** The Relay has taken the registration: sockets may be offered. */
  start(): void {
    this.#registered = true
    this.#fill()
  }

  /** The registration has ended. Sockets that wait are closed: the Relay has forgotten them. */
  stop(): void {
    this.#registered = false
    this.#asked = 0
    this.#want = 0
    this.#askTimer?.cancel()
    this.#retry?.cancel()
    this.#retry = undefined
    this.#abort.abort()
    this.#abort = new AbortController()
    for (const socket of [...this.#idle.keys()]) this.#drop(socket)
  }

  want(count: number): void {
    this.#want = count
    this.#fill()
  }

  /** Slot keys have come: each is for one socket, at once. */
  slots(keys: readonly string[]): void {
    this.#asked = Math.max(0, this.#asked - keys.length)
    if (this.#asked === 0) this.#askTimer?.cancel()
    if (!this.#registered) return
    for (const key of keys) this.#dial(key)
  }

  #fill(): void {
    if (this.#retry !== undefined) return
    const missing = missingSockets({
      registered: this.#registered,
      want: this.#want,
      idle: this.#idle.size,
      dialling: this.#dialling,
      asked: this.#asked,
    })
    if (missing === 0) return
    this.#asked += missing
    this.#askTimer?.cancel()
    this.#askTimer = this.#options.clock.timer(SLOTS_TIMEOUT_MS, () => {
      this.#asked = 0
      this.#fill()
    })
    this.#options.needSlots(missing)
  }

  #fillLater(): void {
    this.#retry ??= this.#options.clock.timer(RETRY_MS, () => {
      this.#retry = undefined
      this.#fill()
    })
  }

  #dial(key: string): void {
    const { address, proxy, clock, relayName } = this.#options
    const { host, port } = address()
    const { signal } = this.#abort
    this.#dialling++
    connectTcp(host, port, { proxy, clock, signal, timeoutMs: DIAL_TIMEOUT_MS }).then(
      socket => {
        this.#dialling--
        if (signal.aborted) return void socket.destroy()
        socket.setKeepAlive(true, IDLE_SOCKET_KEEP_ALIVE_MS)
        socket.write(encodeClientHello(slotServerName(key, relayName), randomBytes(32)))
        this.#wait(socket)
      },
      error => {
        this.#dialling--
        if (signal.aborted) return
        this.#options.onDialFailure(error)
        this.#fillLater()
      },
    )
  }

  #wait(socket: Socket): void {
    const onReadable = () => {
      // End of stream makes a socket readable too.
      if (socket.readableLength === 0) return
      release()
      this.#options.onClient(socket)
      this.#fill()
    }
    const onGone = () => {
      release()
      socket.destroy()
      this.#fillLater()
    }
    const release = () => {
      this.#idle.get(socket)?.cancel()
      this.#idle.delete(socket)
      socket.off('readable', onReadable).off('end', onGone).off('error', onGone).off('close', onGone)
    }
    socket.on('readable', onReadable).on('end', onGone).on('error', onGone).on('close', onGone)
    const age = this.#options.clock.timer(IDLE_SOCKET_LIFE_MS, () => this.#replace(socket))
    this.#idle.set(socket, age)
  }

  /** Asks for a successor first, so that there is no moment without a socket. */
  #replace(socket: Socket): void {
    this.#idle.delete(socket)
    this.#fill()
    this.#idle.set(
      socket,
      this.#options.clock.timer(SLOTS_TIMEOUT_MS, () => this.#drop(socket)),
    )
  }

  #drop(socket: Socket): void {
    this.#idle.get(socket)?.cancel()
    this.#idle.delete(socket)
    socket.removeAllListeners()
    socket.on('error', () => undefined)
    socket.destroy()
  }
}
