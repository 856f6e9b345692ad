import { hostname } from 'node:os'
import {
  type ChannelEnd,
  type ChannelState,
  type Clock,
  ControlChannel,
  channelUrl,
  type Log,
  messageParser,
  type ProxySettings,
} from '@sallyport/runtime'
import { type FromConnector, ToConnector } from '@sallyport/schema'
import { createControllerAssertion } from '@sallyport/trust'
import type { ControllerTime } from './access/controller-time.ts'
import type { Identity } from './state/identity.ts'
import { VERSION } from './version.ts'

const MAX_HOST = 253
const toConnector = messageParser(ToConnector)

/** What a Connector says of itself. */
export type Heartbeat = Pick<Extract<FromConnector, { type: 'heartbeat' }>, 'ready' | 'relays'>

export type ControllerLinkOptions = {
  identity: Identity
  controllerUrl: () => string
  /** PEM of the CAs that may vouch for the Controller; the system's when it gives none. */
  ca: () => string | undefined
  time: ControllerTime
  clock: Clock
  log: Log
  proxy: ProxySettings
  /** Revision that is on disk. */
  revision: () => number
  heartbeat: () => Heartbeat
  /** Says what the Controller must hear first, after the greeting. */
  onOpen: () => void
  onMessage: (message: ToConnector) => void
  onUnknownType: (type: string) => void
  onDown: (end: ChannelEnd) => void
}

/** The control channel to the Controller. */
export class ControllerLink {
  readonly #options: ControllerLinkOptions
  readonly #channel: ControlChannel<ToConnector, FromConnector>
  #connected = false
  #told = ''

  constructor(options: ControllerLinkOptions) {
    this.#options = options
    const { identity, clock, proxy } = options
    this.#channel = new ControlChannel<ToConnector, FromConnector>({
      url: () => channelUrl(options.controllerUrl(), '/v1/connector'),
      ca: options.ca,
      headers: async () => ({
        authorization: `Bearer ${createControllerAssertion(identity.keys, options.time.now())}`,
      }),
      incoming: toConnector,
      heartbeat: () => this.#heartbeat(),
      onMessage: message => {
        options.time.measured(this.#channel.peerOffsetMs)
        options.onMessage(message)
      },
      onUnknown: options.onUnknownType,
      onState: state => this.#stateChanged(state),
      proxy,
      clock,
    })
  }

  get connected(): boolean {
    return this.#connected
  }

  send(message: FromConnector): boolean {
    return this.#channel.send(message)
  }

  /** Tells the Controller at once what the next heartbeat would. */
  beat(): void {
    if (this.#connected) this.#channel.send(this.#heartbeat())
  }

  /** Connects at once instead of waiting. */
  reconnect(): void {
    this.#channel.reconnect()
  }

  close(reason: string): Promise<void> {
    return this.#channel.close(reason)
  }

  #heartbeat(): FromConnector {
    return { type: 'heartbeat', nowMs: this.#options.clock.now(), ...this.#options.heartbeat() }
  }

  #stateChanged(state: ChannelState): void {
    const { log, clock, revision, onOpen, onDown } = this.#options
    this.#connected = state.kind === 'open'
    if (state.kind === 'open') {
      this.#told = ''
      log.info('connected to the Controller')
      this.#channel.send({
        type: 'hello',
        version: VERSION,
        host: hostname().slice(0, MAX_HOST),
        revision: revision(),
        nowMs: clock.now(),
      })
      onOpen()
      this.beat()
    }
    if (state.kind !== 'down') return
    const { end } = state
    if (end.message !== this.#told) log.warn({ code: end.error ?? end.code }, `no Controller: ${end.message}`)
    this.#told = end.message
    onDown(end)
  }
}
