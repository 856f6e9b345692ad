import { AclReceiver } from './acl-transfer.ts'
import type { GoawayCode, ResetCode } from './code.ts'
import { WireError } from './error.ts'
import { FrameType } from './frame.ts'
import { type Hello, parseOpen } from './hello.ts'
import {
  ABANDONED_WINDOW_MS,
  MAX_ABANDONED_OPENS,
  MAX_STREAM_ID,
  MAX_STREAMS,
  PROTOCOL_VERSION,
  RESUME_INTERVAL_MS,
} from './limit.ts'
import { SessionEnd, type SessionOptions } from './session.ts'
import { SessionStream } from './stream.ts'

export type ConnectorEndOptions = SessionOptions & {
  /** Id of the session: random, base64url of 16 bytes or more. */
  session: string
}

/** The Connector's end of a session: it is asked for streams. */
export class ConnectorEnd extends SessionEnd {
  readonly session: string
  readonly #aclReceiver = new AclReceiver()
  #greeted = false
  #aclAccepted = false
  #resumedAtMs = Number.NEGATIVE_INFINITY
  #highestId = 0
  #held: SessionStream[] = []
  #draining = false
  #abandoned = 0
  #abandonedSinceMs = Number.NEGATIVE_INFINITY

  constructor(options: ConnectorEndOptions) {
    super(options)
    this.session = options.session
  }

  /**
   * Begins on a carrier whose first frame was `hello`, after `detach` from the last. A resume says READY at once and
   * asks for the ACL if it is `wanted`; a new session waits for `acceptAcl`. Throws WireError, on which the carrier
   * is refused and the session stays as it is.
   */
  attach(hello: Hello, acl: 'wanted' | 'known', nowMs: number): void {
    const resumes = hello.session !== undefined
    if (resumes !== this.#greeted || (resumes && hello.session !== this.session)) {
      throw new WireError('resume_mismatch', 'HELLO is not for this session')
    }
    if (!resumes) {
      if (hello.received !== 0) throw new WireError('ack_beyond_sent', 'HELLO of a new session with received frames')
      this.beginCarrier(nowMs)
      return
    }
    if (nowMs < this.#resumedAtMs + RESUME_INTERVAL_MS) {
      throw new WireError('resume_too_soon', 'a second resume within a second')
    }
    this.outbound.beginCarrier(hello.received)
    this.beginCarrier(nowMs)
    this.#resumedAtMs = nowMs
    if (acl === 'wanted') this.#aclAccepted = false
    this.#greet(acl)
  }

  /** Says that the ACL is valid: READY goes out on a new session, and OPENs that were held are handed on. */
  acceptAcl(): void {
    if (this.closed) return
    this.#aclAccepted = true
    if (!this.#greeted) {
      this.#greeted = true
      if (this.attached) this.#greet('known')
    }
    const held = this.#held
    this.#held = []
    for (const stream of held) {
      if (stream.state === 'opening') this.handler.open?.(stream)
    }
  }

  /** Refuses OPENs from here on and says so to the Client; open streams go on. */
  drain(): void {
    this.#draining = true
    this.goaway('draining')
  }

  protected override endCarrier(): void {
    this.#aclReceiver.reset()
  }

  protected override wasOpened(id: number): boolean {
    return id <= this.#highestId
  }

  protected override mustTellReset(): boolean {
    return true
  }

  protected override receiveReady(): void {
    throw new WireError('unexpected_frame', 'READY from a Client')
  }

  protected override receiveAcl(body: Uint8Array): void {
    const acl = this.#aclReceiver.receive(body)
    if (acl !== undefined) this.handler.acl?.(acl)
  }

  protected override receiveOpen(id: number, body: Uint8Array): void {
    if (id <= this.#highestId) throw new WireError('id_not_rising', `OPEN of stream ${id} after ${this.#highestId}`)
    if (id > MAX_STREAM_ID) throw new WireError('bad_number', `OPEN of stream ${id}`)
    if (this.outbound.waiting > 4 * MAX_STREAMS) throw new WireError('open_flood', 'answers to OPENs are not read')
    const request = parseOpen(body)
    this.#highestId = id
    const refusal = this.#refusal()
    if (refusal !== undefined) {
      this.outbound.reset(id, refusal)
      this.wake()
      return
    }
    const stream = new SessionStream(id, request, this.streamOwner)
    this.addStream(stream)
    if (this.#aclAccepted) this.handler.open?.(stream)
    else this.#held.push(stream)
  }

  protected override receiveOpened(): void {
    throw new WireError('unexpected_frame', 'OPENED from a Client')
  }

  protected override receiveGoaway(code: GoawayCode): void {
    this.handler.goaway?.(code)
  }

  protected override abandoned(): void {
    if (this.nowMs >= this.#abandonedSinceMs + ABANDONED_WINDOW_MS) {
      this.#abandonedSinceMs = this.nowMs
      this.#abandoned = 0
    }
    this.#abandoned++
    if (this.#held.length > MAX_STREAMS) this.#held = this.#held.filter(stream => stream.state === 'opening')
    if (this.#abandoned > MAX_ABANDONED_OPENS) throw new WireError('open_flood', `${this.#abandoned} OPENs abandoned`)
  }

  #refusal(): ResetCode | undefined {
    if (this.#draining) return 'draining'
    return this.streamCount >= MAX_STREAMS ? 'too_many_streams' : undefined
  }

  #greet(acl: 'wanted' | 'known'): void {
    const { received } = this.inbound.acknowledgement
    const ready = { version: PROTOCOL_VERSION, session: this.session, received, acl, limits: { streams: MAX_STREAMS } }
    this.inbound.acknowledgement.told()
    this.outbound.unsequenced.greet({ type: FrameType.Ready, ready })
    this.outbound.open = true
    this.wake()
  }
}
