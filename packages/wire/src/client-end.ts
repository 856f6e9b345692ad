import type { Acl } from './acl-transfer.ts'
import type { GoawayCode, ResetCode } from './code.ts'
import { WireError } from './error.ts'
import { FrameType } from './frame.ts'
import { isOpenRequest, type OpenRequest, parseReady } from './hello.ts'
import { MAX_ACL_BYTES, MAX_STREAM_ID, MAX_STREAMS, PROTOCOL_VERSION } from './limit.ts'
import { SessionEnd, type SessionOptions } from './session.ts'
import { SessionStream } from './stream.ts'

export type ClientEndOptions = SessionOptions & {
  /** Random id of the process, base64url of 12 to 48 bytes. */
  instance: string
  acl: Acl
}

/** A stream, or why there is none. */
export type OpenResult = { stream: SessionStream } | { refused: ResetCode }

/** The Client's end of a session: it opens streams. */
export class ClientEnd extends SessionEnd {
  readonly #instance: string
  #acl: Acl
  #session: string | undefined
  #awaitsReady = false
  #lastId = 0
  #maxStreams = MAX_STREAMS
  #refused: ResetCode | undefined

  constructor(options: ClientEndOptions) {
    super(options)
    this.#instance = options.instance
    this.#acl = checkAcl(options.acl)
  }

  /** Id of the session; undefined before the first READY. */
  get session(): string | undefined {
    return this.#session
  }

  /** Begins on a carrier: a new session, or the resume of the one that READY has named. */
  attach(nowMs: number): void {
    this.beginCarrier(nowMs)
    this.#awaitsReady = true
    const { received } = this.inbound.acknowledgement
    const hello = { version: PROTOCOL_VERSION, instance: this.#instance, received, aclHash: this.#acl.hash }
    if (this.#session !== undefined) {
      this.outbound.unsequenced.greet({ type: FrameType.Hello, hello: { ...hello, session: this.#session } })
      return
    }
    this.outbound.unsequenced.greet({ type: FrameType.Hello, hello })
    this.outbound.acl.start(this.#acl.bytes)
    this.outbound.beginCarrier(0)
    this.outbound.open = true
  }

  /** Opens a stream; its OPEN goes out as soon as there is a carrier. */
  open(request: OpenRequest): OpenResult {
    if (this.closed) return { refused: 'connector_lost' }
    if (this.#refused !== undefined) return { refused: this.#refused }
    if (this.streamCount >= this.#maxStreams) return { refused: 'too_many_streams' }
    if (!isOpenRequest(request)) return { refused: 'name_not_found' }
    const stream = new SessionStream(++this.#lastId, request, this.streamOwner)
    this.addStream(stream)
    this.outbound.announce(stream)
    this.wake()
    if (this.#lastId === MAX_STREAM_ID) {
      this.#refused = 'draining'
      this.goaway('ids_exhausted')
    }
    return { stream }
  }

  /** Replaces the ACL and sends it. */
  renewAcl(acl: Acl): void {
    this.#acl = checkAcl(acl)
    if (!this.outbound.open) return
    this.outbound.acl.start(acl.bytes)
    this.wake()
  }

  protected override endCarrier(): void {
    this.#awaitsReady = false
  }

  protected override wasOpened(id: number): boolean {
    return id <= this.#lastId
  }

  protected override mustTellReset(stream: SessionStream): boolean {
    return stream.announced
  }

  protected override receiveReady(body: Uint8Array): void {
    const ready = parseReady(body)
    if (!this.#awaitsReady) throw new WireError('unexpected_frame', 'READY twice')
    this.#awaitsReady = false
    this.#maxStreams = ready.limits.streams
    if (this.#session === undefined) {
      this.#session = ready.session
      this.outbound.acknowledged(ready.received)
      if (ready.acl === 'wanted') this.outbound.acl.start(this.#acl.bytes)
    } else {
      if (ready.session !== this.#session) throw new WireError('resume_mismatch', 'READY names another session')
      this.outbound.beginCarrier(ready.received)
      if (ready.acl === 'wanted') this.outbound.acl.start(this.#acl.bytes)
      this.outbound.open = true
    }
    this.handler.ready?.(ready)
    this.wake()
  }

  protected override receiveAcl(): void {
    throw new WireError('unexpected_frame', 'ACL from a Connector')
  }

  protected override receiveOpen(): void {
    throw new WireError('unexpected_frame', 'OPEN from a Connector')
  }

  protected override receiveOpened(stream: SessionStream): void {
    if (!stream.announced)
      throw new WireError('unknown_stream', `OPENED on stream ${stream.id}, which is not asked for`)
    stream.state = 'open'
    stream.handler.opened?.()
    if (stream.state === 'open') this.streamOwner.sendable(stream)
  }

  protected override receiveGoaway(code: GoawayCode): void {
    this.#refused = code === 'draining' ? 'draining' : 'connector_lost'
    this.handler.goaway?.(code)
  }

  protected override abandoned(): void {}
}

function checkAcl(acl: Acl): Acl {
  if (acl.bytes.length === 0 || acl.bytes.length > MAX_ACL_BYTES)
    throw new TypeError(`ACL of ${acl.bytes.length} bytes`)
  return acl
}
