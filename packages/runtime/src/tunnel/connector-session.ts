import type { Duplex } from 'node:stream'
import {
  type Budget,
  ConnectorEnd,
  type GoawayCode,
  type Hello,
  type OpenRequest,
  type ResetCode,
  type SessionStream,
} from '@sallyport/wire'
import type { Clock, Timer } from '../clock.ts'
import type { AcceptedTunnel } from './accept.ts'
import { Carrier } from './carrier.ts'
import { StreamResetError } from './error.ts'
import { TunnelStream } from './stream.ts'

/** What a session tells the Connector. */
export type ConnectorSessionEvents = {
  /** A whole Client ACL (compact JWS, UTF-8), the first or a renewal: answer with `acceptAcl` or `refuseAcl`. */
  acl(bytes: Uint8Array, hash: string): void
  /** A stream is asked for; answer with `accept` or `cut`. Never before the first `acceptAcl`. */
  open(stream: IncomingStream): void
  /** The last stream is over, and its bytes are on their way. */
  idle?(): void
  roundTrip?(ms: number): void
  /** The session is over, and with it every stream. */
  closed?(code: ResetCode): void
}

export type ConnectorSessionOptions = {
  id: string
  peer: AcceptedTunnel['peer']
  instance: string
  hashOf: (bytes: Uint8Array) => string
  clock: Clock
  creditBudget?: Budget
  keptBudget?: Budget
  detachedLifeMs: number
}

/** A stream that a Client asked for, from its OPEN to its end. */
export class IncomingStream {
  readonly #stream: SessionStream
  readonly #onOver: (stream: IncomingStream) => void
  #duplex: TunnelStream | undefined
  #over = false
  #cancelled: (() => void) | undefined

  constructor(stream: SessionStream, onOver: (stream: IncomingStream) => void) {
    this.#stream = stream
    this.#onOver = onOver
    stream.handler = { data() {}, fin() {}, drained() {}, reset: () => this.#end() }
  }

  get request(): OpenRequest {
    return this.#stream.request
  }

  /** Refused, cut, abandoned by the Client, or closed. */
  get over(): boolean {
    return this.#over
  }

  /** Calls `run` if the stream ends before it is accepted: the Client gave up, or the session is over. */
  onCancel(run: () => void): void {
    if (this.#over) run()
    else this.#cancelled = run
  }

  /** Says OPENED. Undefined when the stream is over already. */
  accept(): TunnelStream | undefined {
    if (this.#over) return undefined
    this.#cancelled = undefined
    this.#stream.accept()
    this.#duplex = new TunnelStream(this.#stream)
    this.#duplex.once('close', () => this.#end())
    return this.#duplex
  }

  /** Refuses the stream, or cuts it when it was accepted. */
  cut(code: ResetCode): void {
    if (this.#over) return
    if (this.#duplex === undefined) {
      this.#stream.reset(code)
      this.#end()
    } else {
      this.#duplex.destroy(new StreamResetError(code))
    }
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    this.#cancelled?.()
    this.#cancelled = undefined
    this.#onOver(this)
  }
}

/** The Connector's side of a session over a tunnel. */
export class ConnectorSession {
  readonly id: string
  readonly peer: AcceptedTunnel['peer']
  /** Random id of the Client process. */
  readonly instance: string
  /** Streams that are asked for or open. */
  readonly streams: ReadonlySet<IncomingStream>
  readonly #streams = new Set<IncomingStream>()
  readonly #end: ConnectorEnd
  readonly #clock: Clock
  readonly #detachedLifeMs: number
  readonly #hashOf: (bytes: Uint8Array) => string
  #events: ConnectorSessionEvents = { acl() {}, open: stream => stream.cut('internal') }
  #carrier: Carrier | undefined
  #timer: Timer | undefined
  #shownHash: string | undefined
  #acceptedHash: string | undefined

  constructor(options: ConnectorSessionOptions) {
    this.id = options.id
    this.peer = options.peer
    this.instance = options.instance
    this.streams = this.#streams
    this.#clock = options.clock
    this.#detachedLifeMs = options.detachedLifeMs
    this.#hashOf = options.hashOf
    this.#end = new ConnectorEnd({
      session: options.id,
      handler: {
        wake: () => this.#carrier?.wake(),
        acl: bytes => this.#receiveAcl(bytes),
        open: stream => this.#open(stream),
        goaway: code => this.#goaway(code),
        // The session may be ended by whoever hears it, and is in the middle of something.
        idle: () => queueMicrotask(() => this.#events.idle?.()),
        roundTrip: ms => this.#events.roundTrip?.(ms),
        carrierDead: () => this.#carrier?.destroy(new Error('no answer to a PING')),
        closed: code => {
          this.#timer?.cancel()
          this.#events.closed?.(code)
        },
      },
      detachedLifeMs: options.detachedLifeMs,
      ...(options.creditBudget && { creditBudget: options.creditBudget }),
      ...(options.keptBudget && { keptBudget: options.keptBudget }),
    })
  }

  get closed(): boolean {
    return this.#end.closed
  }

  /** Streams of which not all has been sent, received and dealt with. */
  get streamCount(): number {
    return this.#end.streamCount
  }

  get attached(): boolean {
    return this.#end.attached
  }

  /** Shortest round trip on this carrier in ms. */
  get roundTripMs(): number | undefined {
    return this.#end.roundTripMs
  }

  /** Says who listens; before anything can arrive. */
  listen(events: ConnectorSessionEvents): void {
    this.#events = events
  }

  /** Begins on `socket`, whose HELLO has been read. The carrier before is detached first. Throws WireError. */
  attach(socket: Duplex, hello: Hello, rest: Uint8Array): void {
    this.#carrier?.release()
    this.#timer?.cancel()
    const known = this.#acceptedHash !== undefined && hello.aclHash === this.#acceptedHash
    try {
      this.#end.attach(hello, known ? 'known' : 'wanted', this.#clock.monotonic())
    } catch (error) {
      this.#lost()
      throw error
    }
    this.#carrier = new Carrier(this.#end, socket, this.#clock, () => this.#lost())
    this.#carrier.wake()
    this.#carrier.receive(rest)
  }

  /** Says that the ACL shown last is valid: the session is ready, and OPENs are handed on. */
  acceptAcl(): void {
    this.#acceptedHash = this.#shownHash
    this.#end.acceptAcl()
  }

  /** Ends the session because its ACL is not valid; `expired` and `revoked` say so more exactly. */
  refuseAcl(code: 'acl_refused' | 'expired' | 'revoked' = 'acl_refused'): void {
    this.#end.close(code === 'acl_refused' ? 'denied' : code, code)
  }

  /** Refuses new streams and says so; open ones go on. */
  drain(): void {
    this.#end.drain()
  }

  /** Ends the session: every stream is destroyed with `code`, the Client hears `goaway`. */
  close(code: ResetCode, goaway: GoawayCode): void {
    this.#end.close(code, goaway)
  }

  #receiveAcl(bytes: Uint8Array): void {
    this.#shownHash = this.#hashOf(bytes)
    this.#events.acl(bytes, this.#shownHash)
  }

  #open(stream: SessionStream): void {
    const incoming = new IncomingStream(stream, over => this.#streams.delete(over))
    this.#streams.add(incoming)
    this.#events.open(incoming)
  }

  #goaway(code: GoawayCode): void {
    if (code !== 'draining' && code !== 'ids_exhausted') this.#end.close('closed', undefined)
  }

  #lost(): void {
    this.#carrier = undefined
    this.#timer?.cancel()
    if (this.#end.closed) return
    if (this.#detachedLifeMs === 0) this.#end.close('connector_lost', undefined)
    else this.#timer = this.#clock.timer(this.#detachedLifeMs, () => this.#end.tick(this.#clock.monotonic()))
  }
}
