import type { Duplex } from 'node:stream'
import {
  type Acl,
  type Budget,
  ClientEnd,
  type GoawayCode,
  type OpenRequest,
  type ResetCode,
  type SessionHandler,
} from '@sallyport/wire'
import { type Clock, systemClock, type Timer } from '../clock.ts'
import { Carrier } from './carrier.ts'
import { StreamResetError } from './error.ts'
import { TunnelStream } from './stream.ts'

/** Time that a Connector has for READY. */
export const READY_TIMEOUT_MS = 10_000

/** What a session tells the Client. */
export type ClientSessionEvents = {
  /** The Connector has accepted the ACL (or, on a resume, the carrier). */
  ready?(session: string): void
  /** No new streams here; open ones go on if it is `draining`, and end if it is anything else. */
  goaway?(code: GoawayCode): void
  roundTrip?(ms: number): void
  /** The carrier is lost and the session waits for another. */
  detached?(error: Error | undefined): void
  /** The session is over, and with it every stream. */
  closed?(end: SessionClose): void
}

/** Why a session ended: what its streams heard, what the Connector said, what the carrier died of. */
export type SessionClose = { code: ResetCode; goaway?: GoawayCode; error?: Error }

export type ClientSessionOptions = {
  /** Random id of the process, base64url. */
  instance: string
  acl: Acl
  events?: ClientSessionEvents
  clock?: Clock
  creditBudget?: Budget
  keptBudget?: Budget
  /** How long the session outlives its carrier; 0 (default) ends it with the carrier. */
  detachedLifeMs?: number
  readyTimeoutMs?: number
}

/** What the streams of a session hear when the Connector ends it. */
const CLOSE_CODES: Record<Exclude<GoawayCode, 'draining'>, ResetCode> = {
  revoked: 'revoked',
  expired: 'expired',
  acl_refused: 'denied',
  session_unknown: 'connector_lost',
  too_many_sessions: 'connector_lost',
  protocol_error: 'protocol_error',
  ids_exhausted: 'connector_lost',
  unsupported_version: 'protocol_error',
  replaced: 'connector_lost',
  closed: 'connector_lost',
}

/** The Client's side of a session over a tunnel. */
export class ClientSession {
  readonly #end: ClientEnd
  readonly #clock: Clock
  readonly #events: ClientSessionEvents
  readonly #detachedLifeMs: number
  readonly #readyTimeoutMs: number
  #carrier: Carrier | undefined
  #timer: Timer | undefined
  #close: Omit<SessionClose, 'code'> = {}

  constructor(options: ClientSessionOptions) {
    this.#clock = options.clock ?? systemClock
    this.#events = options.events ?? {}
    this.#detachedLifeMs = options.detachedLifeMs ?? 0
    this.#readyTimeoutMs = options.readyTimeoutMs ?? READY_TIMEOUT_MS
    this.#end = new ClientEnd({
      handler: this.#handler(),
      instance: options.instance,
      acl: options.acl,
      detachedLifeMs: this.#detachedLifeMs,
      ...(options.creditBudget && { creditBudget: options.creditBudget }),
      ...(options.keptBudget && { keptBudget: options.keptBudget }),
    })
  }

  /** Id that the Connector has given; undefined before READY. */
  get id(): string | undefined {
    return this.#end.session
  }

  get closed(): boolean {
    return this.#end.closed
  }

  get attached(): boolean {
    return this.#end.attached
  }

  get streamCount(): number {
    return this.#end.streamCount
  }

  /** Shortest round trip on this carrier in ms. */
  get roundTripMs(): number | undefined {
    return this.#end.roundTripMs
  }

  /** Takes a tunnel as carrier, in place of the one before if there is one. */
  attach(socket: Duplex): void {
    this.#carrier?.release()
    this.#timer?.cancel()
    this.#carrier = new Carrier(this.#end, socket, this.#clock, error => this.#lost(error))
    this.#end.attach(this.#clock.monotonic())
    this.#timer = this.#clock.timer(this.#readyTimeoutMs, () => {
      this.#carrier?.destroy(new Error(`no READY within ${this.#readyTimeoutMs} ms`))
    })
  }

  /**
   * Opens a stream; resolves when the Connector has connected. Rejects with StreamResetError: the Connector's code, or
   * `cancelled` when `signal` aborts.
   */
  open(request: OpenRequest, signal?: AbortSignal): Promise<TunnelStream> {
    return new Promise((resolve, reject) => {
      const result = signal?.aborted ? ({ refused: 'cancelled' } as const) : this.#end.open(request)
      if ('refused' in result) {
        reject(new StreamResetError(result.refused))
        return
      }
      const { stream } = result
      const cancel = () => {
        stream.reset('cancelled')
        reject(new StreamResetError('cancelled'))
      }
      signal?.addEventListener('abort', cancel, { once: true })
      stream.handler = {
        opened() {
          signal?.removeEventListener('abort', cancel)
          resolve(new TunnelStream(stream))
        },
        reset(code) {
          signal?.removeEventListener('abort', cancel)
          reject(new StreamResetError(code))
        },
        data() {},
        fin() {},
        drained() {},
      }
    })
  }

  /** Shows the Connector a newer ACL, now and on later carriers. */
  renewAcl(acl: Acl): void {
    this.#end.renewAcl(acl)
  }

  /** Ends the session: every stream is destroyed with `code`. */
  close(code: ResetCode = 'closed'): void {
    this.#end.close(code, 'closed')
  }

  #handler(): SessionHandler {
    return {
      wake: () => this.#carrier?.wake(),
      ready: ready => {
        this.#timer?.cancel()
        this.#events.ready?.(ready.session)
      },
      goaway: code => {
        this.#events.goaway?.(code)
        if (code === 'draining') return
        this.#close.goaway = code
        this.#end.close(CLOSE_CODES[code], undefined)
      },
      roundTrip: ms => this.#events.roundTrip?.(ms),
      carrierDead: () => this.#carrier?.destroy(new Error('no answer to a PING')),
      closed: code => {
        this.#timer?.cancel()
        this.#events.closed?.({ code, ...this.#close })
      },
    }
  }

  #lost(error: Error | undefined): void {
    this.#carrier = undefined
    this.#timer?.cancel()
    if (this.#end.closed) return
    if (error !== undefined) this.#close.error = error
    if (this.#detachedLifeMs === 0) {
      this.#end.close('connector_lost', undefined)
      return
    }
    this.#timer = this.#clock.timer(this.#detachedLifeMs, () => this.#end.tick(this.#clock.monotonic()))
    this.#events.detached?.(error)
  }
}
