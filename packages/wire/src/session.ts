// One end of a session: streams between a Client and a Connector over one carrier at a time. Pure: it is handed
// bytes, commands and the time, and is asked for output; it owns no socket, timer or random number.
//
// Life on a carrier: `attach`, then `receive`, `output` and `tick`, then `detach`. A Client says HELLO and, for a new
// session, sends its ACL and OPENs in the same flight; a Connector says READY when it has accepted the ACL. On a
// resume both state how many sequenced frames they have, and each sends again what the other lacks.

import { Budget } from './budget.ts'
import type { GoawayCode, ResetCode } from './code.ts'
import { SessionCredit } from './credit.ts'
import { WireError } from './error.ts'
import { FrameDecoder } from './frame.ts'
import type { SessionHandler } from './handler.ts'
import { Inbound, type InboundOwner } from './inbound.ts'
import { KeepAlive } from './keep-alive.ts'
import { DETACHED_LIFE_MS } from './limit.ts'
import { Outbound, type OutboundOwner } from './outbound.ts'
import type { SessionStream, StreamOwner } from './stream.ts'

export type SessionOptions = {
  handler: SessionHandler
  /** Outstanding credit of all sessions of the process; unlimited when absent. */
  creditBudget?: Budget
  /** Frames kept by all sessions of the process; unlimited when absent. */
  keptBudget?: Budget
  /** Life without a carrier. */
  detachedLifeMs?: number
}

/** What Client and Connector have in common. Times are milliseconds of one monotonic clock; fractions count. */
export abstract class SessionEnd {
  protected readonly handler: SessionHandler
  protected readonly streams = new Map<number, SessionStream>()
  protected readonly credit: SessionCredit
  protected readonly outbound: Outbound
  protected readonly inbound: Inbound
  protected nowMs = 0
  readonly #detachedLifeMs: number
  readonly #keepAlive = new KeepAlive()
  #decoder: FrameDecoder | undefined
  #detachedUntilMs = Number.POSITIVE_INFINITY
  #awake = false
  #closed = false
  #datagramsDropped = 0

  protected constructor(options: SessionOptions) {
    this.handler = options.handler
    this.#detachedLifeMs = options.detachedLifeMs ?? DETACHED_LIFE_MS
    const unlimited = new Budget(Number.POSITIVE_INFINITY)
    this.credit = new SessionCredit(options.creditBudget ?? unlimited)
    this.outbound = new Outbound(this.#outboundOwner(), options.keptBudget ?? unlimited)
    this.inbound = new Inbound(this.#inboundOwner())
  }

  /** Whether the session has a carrier. */
  get attached(): boolean {
    return this.#decoder !== undefined
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Streams that are neither reset nor finished and consumed. */
  get liveStreams(): IterableIterator<SessionStream> {
    return this.streams.values()
  }

  get streamCount(): number {
    return this.streams.size
  }

  /** Sequenced frames received in the session. */
  get receivedFrames(): number {
    return this.inbound.acknowledgement.received
  }

  /** Shortest round trip on this carrier in ms; undefined before the first. */
  get roundTripMs(): number | undefined {
    return this.#keepAlive.roundTripMs
  }

  /** Bytes granted to the peer and not consumed here. */
  get outstandingCredit(): number {
    return this.credit.outstanding
  }

  /** Cost of frames kept until acknowledged. */
  get keptBytes(): number {
    return this.outbound.kept.cost
  }

  /** Datagrams that came for no stream, or did not fit into the queue. */
  get datagramsDropped(): number {
    return this.#datagramsDropped
  }

  /** When to call `tick` next; infinite when there is nothing to wait for. */
  get nextDeadlineMs(): number {
    const ackAtMs = this.outbound.open ? this.inbound.acknowledgement.dueAtMs : Number.POSITIVE_INFINITY
    return Math.min(this.#keepAlive.deadlineMs, ackAtMs, this.#detachedUntilMs)
  }

  /**
   * Takes bytes of the carrier, which belong to the session from here on. Throws WireError when the peer breaks the
   * protocol; the owner then closes the session.
   */
  receive(bytes: Uint8Array, nowMs: number): void {
    this.nowMs = nowMs
    if (this.#closed) return
    this.#keepAlive.heard(nowMs)
    this.#decoder?.push(bytes)
    if (this.inbound.acknowledgement.dueAtMs <= nowMs) this.wake()
  }

  /**
   * Gives about `maxBytes` of frames, ready to be written in this order; fewer when there is no more to send. Throws
   * WireError `ack_overdue` when the peer reads but acknowledges nothing.
   */
  output(maxBytes: number, nowMs: number): Uint8Array[] {
    this.nowMs = nowMs
    this.#awake = false
    if (!this.attached) return []
    const { acknowledgement } = this.inbound
    if (this.outbound.open && acknowledgement.dueAtMs <= nowMs) {
      this.outbound.unsequenced.acknowledge(acknowledgement.received)
      acknowledgement.told()
    }
    return this.outbound.output(maxBytes, nowMs)
  }

  /** Does what is due. */
  tick(nowMs: number): void {
    this.nowMs = nowMs
    if (nowMs >= this.#detachedUntilMs) {
      this.close('connector_lost', undefined)
      return
    }
    if (this.inbound.acknowledgement.dueAtMs <= nowMs) this.wake()
    const ping = this.#keepAlive.tick(nowMs)
    if (ping === undefined) return
    if (ping === 'dead') {
      this.handler.carrierDead?.()
    } else {
      this.outbound.unsequenced.ping(ping)
      this.wake()
    }
  }

  /** Parts from the carrier; the session waits for another. */
  detach(nowMs: number): void {
    this.nowMs = nowMs
    if (!this.attached) return
    this.#decoder?.stop()
    this.#decoder = undefined
    this.#keepAlive.stop()
    this.inbound.endCarrier()
    this.outbound.endCarrier()
    this.endCarrier()
    if (!this.#closed) this.#detachedUntilMs = nowMs + this.#detachedLifeMs
  }

  /** Announces that no new streams are taken (`draining`), while the open ones go on. */
  goaway(code: GoawayCode): void {
    this.outbound.unsequenced.goaway(code)
    this.wake()
  }

  /** Ends the session: every stream hears `code`, the peer hears `goaway` if there still is a carrier. */
  close(code: ResetCode, goaway: GoawayCode | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.#detachedUntilMs = Number.POSITIVE_INFINITY
    this.#keepAlive.stop()
    this.#decoder?.stop()
    const streams = [...this.streams.values()]
    for (const stream of streams) this.#forget(stream)
    this.outbound.end()
    for (const stream of streams) stream.handler.reset(code)
    if (goaway !== undefined) this.outbound.unsequenced.goaway(goaway)
    this.handler.closed?.(code)
    this.wake()
  }

  protected beginCarrier(nowMs: number): void {
    if (this.attached || this.#closed) throw new TypeError('session is attached or closed')
    this.nowMs = nowMs
    this.#decoder = new FrameDecoder(this.inbound)
    this.#detachedUntilMs = Number.POSITIVE_INFINITY
    this.#keepAlive.start(nowMs)
    this.inbound.acknowledgement.told()
    this.#awake = false
    this.wake()
  }

  protected wake(): void {
    if (this.#awake || !this.attached) return
    this.#awake = true
    this.handler.wake()
  }

  protected addStream(stream: SessionStream): void {
    this.streams.set(stream.id, stream)
    this.credit.begin(stream.credit)
  }

  protected abstract endCarrier(): void
  protected abstract wasOpened(id: number): boolean
  protected abstract receiveReady(body: Uint8Array): void
  protected abstract receiveAcl(body: Uint8Array): void
  protected abstract receiveOpen(id: number, body: Uint8Array): void
  protected abstract receiveOpened(stream: SessionStream): void
  protected abstract receiveGoaway(code: GoawayCode): void
  protected abstract abandoned(): void

  protected readonly streamOwner: StreamOwner = {
    accepted: stream => {
      this.outbound.accept(stream)
      this.wake()
    },
    sendable: stream => {
      this.outbound.schedule(stream)
      if (stream.scheduled) this.wake()
    },
    consumed: (stream, bytes) => {
      if (stream.state === 'closed') return
      if (bytes > stream.credit.unconsumed)
        throw new TypeError(`${bytes} bytes consumed of ${stream.credit.unconsumed}`)
      const due = this.credit.consume(stream.credit, bytes)
      if (stream.finReceived) {
        this.#finishIfDone(stream)
      } else if (due) {
        this.outbound.grant(stream)
        this.wake()
      }
    },
    resetLocally: (stream, code) => {
      const tell = this.mustTellReset(stream)
      this.#forget(stream)
      if (tell) this.outbound.reset(stream.id, code)
      this.wake()
    },
    sendDatagram: (stream, bytes) => {
      const queued = stream.announced && this.outbound.datagram(stream, bytes)
      if (queued) this.wake()
      else this.#datagramsDropped++
      return queued
    },
  }

  protected abstract mustTellReset(stream: SessionStream): boolean

  #finishIfDone(stream: SessionStream): void {
    if (stream.finSent && stream.finReceived && stream.credit.unconsumed === 0) this.#forget(stream)
  }

  #forget(stream: SessionStream): void {
    const finished = stream.finSent && stream.finReceived
    stream.state = 'closed'
    this.streams.delete(stream.id)
    stream.discard()
    this.credit.release(stream.credit)
    if (!finished) this.outbound.kept.dropBodies(stream)
    if (this.streams.size === 0 && !this.#closed) this.handler.idle?.()
  }

  #outboundOwner(): OutboundOwner {
    const end = this
    return {
      get credit() {
        return end.credit
      },
      get roundTripMs() {
        return end.roundTripMs
      },
      finSent: stream => this.#finishIfDone(stream),
    }
  }

  #inboundOwner(): InboundOwner {
    const end = this
    return {
      get nowMs() {
        return end.nowMs
      },
      streamOf: id => this.#streamOf(id),
      ready: body => this.receiveReady(body),
      acl: body => this.receiveAcl(body),
      open: (id, body) => this.receiveOpen(id, body),
      opened: stream => this.receiveOpened(stream),
      credited: stream => this.streamOwner.sendable(stream),
      finReceived: stream => {
        this.credit.releaseGranted(stream.credit)
        stream.handler.fin()
        if (stream.state !== 'closed') this.#finishIfDone(stream)
      },
      resetByPeer: (stream, code) => {
        const unanswered = stream.state === 'opening'
        this.#forget(stream)
        stream.handler.reset(code)
        if (unanswered) this.abandoned()
      },
      datagram: (id, bytes) => this.#datagram(id, bytes),
      acknowledged: received => {
        this.outbound.acknowledged(received)
        if (this.outbound.waitsForRoom) this.wake()
      },
      ping: body => {
        this.outbound.unsequenced.pong(body)
        this.wake()
      },
      pong: id => {
        const tripMs = this.#keepAlive.pong(id, this.nowMs)
        if (tripMs !== undefined) this.handler.roundTrip?.(tripMs)
      },
      goaway: code => this.receiveGoaway(code),
    }
  }

  #streamOf(id: number): SessionStream | undefined {
    const stream = this.streams.get(id)
    if (stream === undefined && !this.wasOpened(id)) {
      throw new WireError('unknown_stream', `stream ${id} was never opened`)
    }
    return stream
  }

  #datagram(id: number, bytes: Uint8Array): void {
    const stream = this.streams.get(id)
    if (stream?.state === 'open' && stream.handler.datagram !== undefined) stream.handler.datagram(bytes)
    else this.#datagramsDropped++
  }
}
