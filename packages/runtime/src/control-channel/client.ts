import { connect as connectTls, type TLSSocket } from 'node:tls'
import { MAX_CONTROL_MESSAGE_BYTES } from '@sallyport/schema'
import { WebSocket } from 'ws'
import { Backoff } from '../backoff.ts'
import { type Clock, systemClock, type Timer } from '../clock.ts'
import { connectTcp } from '../dial.ts'
import { connectionError } from '../error.ts'
import type { HostPort } from '../host-port.ts'
import { NO_PROXY, type ProxySettings } from '../proxy.ts'
import { Link } from './link.ts'
import type { MessageParser } from './message.ts'
import { type ChannelEnd, readRefusal } from './refusal.ts'

/** Time for TCP, TLS and the WebSocket handshake, each. */
export const CHANNEL_TIMEOUT_MS = 10_000
/** Life of a connection after which the next attempts begin with short waits again. */
export const STABLE_AFTER_MS = 10_000

/** What a control channel is doing. `down` states the wait before the next attempt. */
export type ChannelState =
  | { kind: 'connecting' }
  | { kind: 'open' }
  | { kind: 'down'; end: ChannelEnd; retryInMs: number }
  | { kind: 'closed' }

export type ControlChannelOptions<I, O> = {
  /** `wss:` URL; asked for at each attempt. */
  url: () => string
  /** Where to connect instead of the URL's host and port. */
  dial?: () => HostPort
  /** PEM of the CAs that may vouch for the other side, asked for at each attempt; the system's when it gives none. */
  ca?: () => string | undefined
  /** Name that the certificate must carry; that of the URL when absent. */
  serverName?: string
  /** Headers of each attempt, for instance a fresh assertion. */
  headers?: () => Promise<Record<string, string>>
  incoming: MessageParser<I>
  heartbeat: () => O
  onMessage: (message: I) => void
  onUnknown?: (type: string) => void
  onState?: (state: ChannelState) => void
  proxy?: ProxySettings
  clock?: Clock
  /** Ceiling of the longest wait before another attempt; 30 s when absent. */
  maxRetryMs?: number
  /** Randomness of the waits: from 0 up to, not including, 1. */
  random?: () => number
}

type Attempt = { abort: AbortController; socket?: TLSSocket }

/** Client side of a control channel: one WebSocket over TLS, made again whenever it ends, until it is closed. */
export class ControlChannel<I extends { type: string }, O extends { type: string }> {
  readonly #options: ControlChannelOptions<I, O>
  readonly #clock: Clock
  readonly #backoff: Backoff
  #state: ChannelState = { kind: 'connecting' }
  #attempt: Attempt | undefined
  #link: Link<I, O> | undefined
  #openedAtMs = 0
  #retry: Timer | undefined
  #offsetMs: number | undefined
  #onClosed: (() => void) | undefined

  /** Begins to connect at once; calls no handler before the caller's turn has ended. */
  constructor(options: ControlChannelOptions<I, O>) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#backoff = new Backoff(options.random ?? Math.random, options.maxRetryMs)
    queueMicrotask(() => this.#connect())
  }

  get state(): ChannelState {
    return this.#state
  }

  /** Milliseconds by which the other side's clock is ahead, kept while there is no connection; undefined before the first. */
  get peerOffsetMs(): number | undefined {
    return this.#link?.peerOffsetMs ?? this.#offsetMs
  }

  /** Smallest round trip of the present connection. */
  get roundTripMs(): number | undefined {
    return this.#link?.roundTripMs
  }

  /** Sends `message`; false when there is no connection. */
  send(message: O): boolean {
    return this.#link?.send(message) ?? false
  }

  /** Keying material of the present connection (RFC 8446, section 7.5); undefined when there is none. */
  exporter(label: string, length: number): Uint8Array | undefined {
    return this.#link === undefined
      ? undefined
      : this.#attempt?.socket?.exportKeyingMaterial(length, label, Buffer.alloc(0))
  }

  /** Connects at once instead of waiting, or drops the present connection for a new one. */
  reconnect() {
    if (this.#state.kind === 'closed' || this.#state.kind === 'connecting') return
    this.#backoff.reset()
    if (this.#link !== undefined) return this.#link.terminate('reconnecting')
    this.#retry?.cancel()
    this.#connect()
  }

  /** Attempts at once where it waits for the next attempt; the waits grow on as if it had waited. */
  hurry(): void {
    if (this.#state.kind !== 'down') return
    this.#retry?.cancel()
    this.#connect()
  }

  /** Ends the channel for good, in order; what was sent before still arrives. */
  close(reason = ''): Promise<void> {
    if (this.#state.kind === 'closed') return Promise.resolve()
    this.#retry?.cancel()
    this.#change({ kind: 'closed' })
    const link = this.#link
    if (link === undefined) {
      this.#attempt?.abort.abort()
      return Promise.resolve()
    }
    return new Promise(resolve => {
      this.#onClosed = resolve
      link.close(reason)
    })
  }

  #change(state: ChannelState): void {
    this.#state = state
    this.#options.onState?.(state)
  }

  #connect(): void {
    if (this.#state.kind === 'closed') return
    const attempt: Attempt = { abort: new AbortController() }
    this.#attempt = attempt
    this.#change({ kind: 'connecting' })
    this.#open(attempt).catch(error => {
      if (this.#attempt !== attempt || this.#state.kind === 'closed') return
      const { message } = connectionError('control channel', error)
      this.#down({ code: 'unreachable', message })
    })
  }

  async #open(attempt: Attempt): Promise<void> {
    const url = new URL(this.#options.url())
    const target = this.#options.dial?.() ?? { host: hostOf(url), port: url.port === '' ? 443 : Number(url.port) }
    const headers = (await this.#options.headers?.()) ?? {}
    const { signal } = attempt.abort
    signal.throwIfAborted()
    const tcp = await connectTcp(target.host, target.port, {
      proxy: this.#options.proxy ?? NO_PROXY,
      clock: this.#clock,
      signal,
      timeoutMs: CHANNEL_TIMEOUT_MS,
    })
    const name = this.#options.serverName ?? hostOf(url)
    const ca = this.#options.ca?.()
    const socket = connectTls({
      socket: tcp,
      host: name,
      // RFC 6066, section 3: an address is no server name; `host` is what the certificate is held against.
      ...(isAddress(name) ? {} : { servername: name }),
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['http/1.1'],
      ...(ca === undefined ? {} : { ca }),
    })
    attempt.socket = socket
    const ws = new WebSocket(url, {
      createConnection: () => socket,
      headers,
      perMessageDeflate: false,
      followRedirects: false,
      handshakeTimeout: CHANNEL_TIMEOUT_MS,
      maxPayload: MAX_CONTROL_MESSAGE_BYTES,
    })
    this.#settle(attempt, ws, socket)
  }

  #settle(attempt: Attempt, ws: WebSocket, socket: TLSSocket): void {
    const { signal } = attempt.abort
    const onAbort = () => {
      ws.terminate()
      socket.destroy()
    }
    const onError = (error: Error) => {
      signal.removeEventListener('abort', onAbort)
      if (this.#state.kind === 'closed') return
      this.#down({ code: 'unreachable', message: connectionError('control channel', error).message })
    }
    signal.addEventListener('abort', onAbort, { once: true })
    ws.once('error', onError)
    ws.on('unexpected-response', (_request, response) => {
      ws.off('error', onError)
      ws.on('error', () => undefined)
      readRefusal(response, this.#clock, CHANNEL_TIMEOUT_MS).then(end => {
        signal.removeEventListener('abort', onAbort)
        ws.terminate()
        if (this.#state.kind !== 'closed') this.#down(end)
      }, onError)
    })
    ws.once('open', () => {
      ws.off('error', onError)
      signal.removeEventListener('abort', onAbort)
      this.#opened(ws, socket)
    })
  }

  #opened(ws: WebSocket, socket: TLSSocket): void {
    this.#openedAtMs = this.#clock.monotonic()
    const { incoming, heartbeat, onMessage, onUnknown } = this.#options
    this.#link = new Link<I, O>(ws, socket, {
      clock: this.#clock,
      incoming,
      heartbeat,
      onMessage,
      ...(onUnknown === undefined ? {} : { onUnknown }),
      onEnd: end => this.#ended(end),
    })
    this.#change({ kind: 'open' })
  }

  #ended(end: ChannelEnd) {
    this.#offsetMs = this.#link?.peerOffsetMs ?? this.#offsetMs
    this.#link = undefined
    if (this.#clock.monotonic() - this.#openedAtMs >= STABLE_AFTER_MS) this.#backoff.reset()
    if (this.#state.kind === 'closed') return this.#onClosed?.()
    this.#down(end)
  }

  #down(end: ChannelEnd): void {
    const retryInMs = Math.round(this.#backoff.next())
    this.#retry = this.#clock.timer(retryInMs, () => this.#connect())
    this.#change({ kind: 'down', end, retryInMs })
  }
}

/** The `wss:` URL of `path` at the Controller (or Relay) whose `https:` URL is `base`. */
export function channelUrl(base: string, path: string): string {
  const url = new URL(base)
  url.protocol = 'wss:'
  url.pathname = url.pathname.replace(/\/$/, '') + path
  return url.href
}

const hostOf = (url: URL) => url.hostname.replace(/^\[(.*)\]$/, '$1')
const isAddress = (name: string) => /^[0-9.]+$/.test(name) || name.includes(':')
