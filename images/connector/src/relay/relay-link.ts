import type { Socket } from 'node:net'
import {
  type ChannelState,
  type Clock,
  ControlChannel,
  type Log,
  messageParser,
  type ProxySettings,
  requireHostPort,
} from '@sallyport/runtime'
import { type ConnectorToRelay, RELAY_EXPORTER_LABEL, RelayToConnector } from '@sallyport/schema'
import { createRelayAssertion, type KeyPair, toBase64Url } from '@sallyport/trust'
import { SocketPool } from './socket-pool.ts'

/** One Relay that the Controller has named, with the pass for it. */
export type RelayEntry = { name: string; address: string; pass: string }

export type RelayLinkOptions = {
  keys: KeyPair
  /** PEM of the installation CA. */
  ca: () => string
  /** Time by which assertions are made: the Controller's. */
  nowMs: () => number
  proxy: ProxySettings
  clock: Clock
  log: Log
  /** A Client's first bytes have arrived on a socket that came through the Relay named `relay`. */
  onClient: (socket: Socket, relay: string) => void
  /** The Relay shuts down: what goes through it has the time to end that it gives. */
  onDraining: (relay: string) => void
  /** The Relay has taken the Connector in: what comes through it may stay. */
  onRegistered: (relay: string) => void
  /** The registration has come or gone. */
  onChange: () => void
}

const EXPORTER_BYTES = 32
/** Longest wait before the next attempt: a Relay that is replaced is back within seconds, and others end when it is. */
const MAX_RETRY_MS = 2_000
const fromRelay = messageParser(RelayToConnector)

/** Keeps the Connector registered at one Relay, and idle data sockets there. */
export class RelayLink {
  readonly #options: RelayLinkOptions
  readonly #channel: ControlChannel<RelayToConnector, ConnectorToRelay>
  readonly #pool: SocketPool
  #entry: RelayEntry
  #registered = false
  #error: string | undefined = 'not connected yet'

  constructor(entry: RelayEntry, options: RelayLinkOptions) {
    this.#entry = entry
    this.#options = options
    const { clock, proxy, log } = options
    const address = () => requireHostPort(this.#entry.address)
    this.#channel = new ControlChannel<RelayToConnector, ConnectorToRelay>({
      url: () => `wss://${this.#entry.name}/v1/connector`,
      dial: address,
      ca: options.ca,
      serverName: entry.name,
      incoming: fromRelay,
      maxRetryMs: MAX_RETRY_MS,
      heartbeat: () => ({ type: 'heartbeat', nowMs: clock.now() }),
      onMessage: message => this.#receive(message),
      onState: state => this.#stateChanged(state),
      proxy,
      clock,
    })
    this.#pool = new SocketPool({
      relayName: entry.name,
      address,
      proxy,
      clock,
      needSlots: count => void this.#channel.send({ type: 'needSlots', count }),
      onClient: socket => options.onClient(socket, entry.name),
      onDialFailure: error => log.debug({ err: error, relay: entry.name }, 'data socket not connected'),
    })
  }

  get name(): string {
    return this.#entry.name
  }

  get registered(): boolean {
    return this.#registered
  }

  /** Why it is not registered. */
  get error(): string | undefined {
    return this.#registered ? undefined : this.#error
  }

  get idleSockets(): number {
    return this.#pool.idle
  }

  /** Takes a renewed pass or another address; a new address makes a new connection. */
  update(entry: RelayEntry): void {
    const moved = entry.address !== this.#entry.address
    const helps = !this.#registered && entry.pass !== this.#entry.pass
    this.#entry = entry
    if (moved || helps) this.#channel.reconnect()
  }

  /** Takes the Connector away from the Relay; tunnels that go through it stay. */
  close(): Promise<void> {
    this.#lose('closed')
    return this.#channel.close('closed')
  }

  #receive(message: RelayToConnector): void {
    switch (message.type) {
      case 'challenge':
        this.#register(message.nonce)
        return
      case 'registered':
        this.#registered = true
        this.#options.log.info({ relay: this.name }, 'registered at the Relay')
        this.#options.onRegistered(this.name)
        this.#pool.start()
        this.#options.onChange()
        return
      case 'slots':
        this.#pool.slots(message.keys)
        return
      case 'want':
        this.#pool.want(message.idle)
        return
      case 'draining':
        this.#lose('the Relay is shutting down')
        this.#options.onDraining(this.name)
        return
      case 'refused':
        this.#options.log.warn({ relay: this.name, code: message.code }, `registration refused: ${message.message}`)
        this.#lose(`refused (${message.code}): ${message.message}`)
        return
      case 'heartbeat':
        return
    }
  }

  #register(nonce: string): void {
    const exporter = this.#channel.exporter(RELAY_EXPORTER_LABEL, EXPORTER_BYTES)
    if (exporter === undefined) return
    const binding = { relay: this.name, nonce, exporter: toBase64Url(exporter) }
    const assertion = createRelayAssertion(this.#options.keys, binding, this.#options.nowMs())
    this.#channel.send({ type: 'register', pass: this.#entry.pass, assertion })
  }

  #stateChanged(state: ChannelState): void {
    if (state.kind !== 'down') return
    // What the Relay has said before it closed tells more than that it did.
    const told = this.#error?.startsWith('refused') && state.end.code === 'peer_closed'
    this.#lose(told ? this.#error! : state.end.message)
  }

  #lose(error: string): void {
    const changed = this.#registered || this.#error !== error
    this.#registered = false
    this.#error = error
    this.#pool.stop()
    if (changed) this.#options.onChange()
  }
}
