import type { Socket } from 'node:net'
import type { Destination } from '@sallyport/policy'
import {
  type Clock,
  type ConnectorSession,
  type ConnectorSessionEvents,
  type IncomingStream,
  type Log,
  pump,
  type Timer,
} from '@sallyport/runtime'
import type { AccessLogRecord, LiveSession, ResourceId } from '@sallyport/schema'
import { randomId, TrustError } from '@sallyport/trust'
import type { ResetCode } from '@sallyport/wire'
import type { AccessState, ClientAcl } from '../access/access-state.ts'
import type { ControllerTime } from '../access/controller-time.ts'
import { type LiveStream, SessionAccess, type Verdict } from '../access/session-access.ts'
import type { ConnectorMetrics } from '../metrics.ts'
import type { Reach } from '../target/reach.ts'

/** How long an OPEN waits for an update that may allow it. */
export const HOLD_MS = 2_000
/** Time that a Client has to show its ACL. */
export const ACL_TIMEOUT_MS = 10_000
/** Streams of a session that may wait for an update at a time. */
export const MAX_HELD = 1_024

/** What all sessions of a Connector share. */
export type SessionDeps = {
  access: AccessState
  time: ControllerTime
  clock: Clock
  log: Log
  reach: Reach
  metrics: ConnectorMetrics
  record: (record: AccessLogRecord) => void
  /** Why nothing may be served at this moment; undefined when it may. */
  suspended: () => ResetCode | undefined
}

/** What a session tells those who keep count. */
export type SessionWatcher = { opened(): void; streamEnded(): void; closed(code: ResetCode): void }

/** A stream that was allowed, from there to its end. */
type Active = {
  stream: IncomingStream
  access: SessionAccess
  number: number
  live: LiveStream
  /** Why the Connector has cut it. */
  cutBy: ResetCode | undefined
}

type Allowed = Extract<Verdict, { kind: 'allow' }>['decision']
type Held = { stream: IncomingStream; timer: Timer }

/** One device's session at this Connector: its ACL, its streams and the decisions about them. */
export class DeviceSession {
  readonly #session: ConnectorSession
  readonly #deps: SessionDeps
  readonly #watcher: SessionWatcher
  readonly #path: string
  readonly #startedAtMs: number
  readonly #held = new Set<Held>()
  #access: SessionAccess | undefined
  #aclTimer: Timer | undefined
  #endTimer: Timer | undefined
  #endTimerAtMs: number | undefined
  #lastStream = 0

  constructor(session: ConnectorSession, path: string, deps: SessionDeps, watcher: SessionWatcher) {
    this.#session = session
    this.#path = path
    this.#deps = deps
    this.#watcher = watcher
    this.#startedAtMs = deps.time.now()
    this.#aclTimer = deps.clock.timer(ACL_TIMEOUT_MS, () => session.refuseAcl())
  }

  readonly events: ConnectorSessionEvents = {
    acl: bytes => this.#showAcl(Buffer.from(bytes).toString('latin1')),
    open: stream => this.#open(stream),
    closed: code => this.#closed(code),
  }

  get id(): string {
    return this.#session.id
  }

  get device(): string {
    return this.#session.peer.deviceId
  }

  /** Allowed streams, those that are being connected among them. */
  get streams(): number {
    return this.#access?.liveStreams ?? 0
  }

  /** What the Controller is told; undefined before the ACL was accepted. */
  get report(): LiveSession | undefined {
    if (this.#access === undefined) return undefined
    return {
      session: this.id,
      device: this.device,
      user: this.#access.acl.user,
      path: this.#path,
      startedAtMs: this.#startedAtMs,
      streams: this.streams,
    }
  }

  /** Takes a Client ACL that the Controller has pushed for this device. Throws TrustError. */
  pushAcl(jwt: string): void {
    const { access, time } = this.#deps
    this.#access?.takeAcl(access.verifyClientAcl(jwt, this.#session.peer.jkt, time.now()))
  }

  /** Judges everything again: after a change of either list, and at the first end. */
  settle(): void {
    const access = this.#access
    if (access === undefined) return
    const suspended = this.#deps.suspended()
    if (suspended === undefined) access.rejudge(this.#deps.time.now())
    else access.cutAll(suspended)
    for (const held of [...this.#held]) this.#retry(held)
    this.#schedule()
  }

  /** Cuts all streams and ends the session. */
  close(code: ResetCode, goaway: 'revoked' | 'expired' | 'draining' | 'closed'): void {
    this.#access?.cutAll(code)
    this.#session.close(code, goaway)
  }

  #showAcl(jwt: string): void {
    const { access, time, log } = this.#deps
    let acl: ClientAcl
    try {
      acl = access.verifyClientAcl(jwt, this.#session.peer.jkt, time.now())
    } catch (error) {
      if (!(error instanceof TrustError)) throw error
      log.info({ session: this.id, device: this.device, code: error.code }, 'Client ACL refused')
      // A renewal that is not valid changes nothing: what was accepted before lasts until its own end.
      if (this.#access === undefined) this.#session.refuseAcl(error.code === 'expired' ? 'expired' : 'acl_refused')
      return
    }
    if (this.#access === undefined) this.#admit(acl)
    else if (this.#access.takeAcl(acl)) this.settle()
  }

  #admit(acl: ClientAcl): void {
    const { access, time, log } = this.#deps
    if (acl.device !== this.device || access.isRevoked(acl) || time.now() >= acl.endMs) {
      const code = acl.device !== this.device ? 'acl_refused' : access.isRevoked(acl) ? 'revoked' : 'expired'
      log.info({ session: this.id, device: this.device, code }, 'Client ACL refused')
      this.#session.refuseAcl(code)
      return
    }
    this.#aclTimer?.cancel()
    this.#access = new SessionAccess(access, acl)
    log.debug({ session: this.id, device: this.device, path: this.#path }, 'session opened')
    this.#watcher.opened()
    this.#session.acceptAcl()
  }

  #open(stream: IncomingStream): void {
    const access = this.#access
    if (access === undefined) {
      stream.cut('denied')
      return
    }
    const suspended = this.#deps.suspended()
    if (suspended !== undefined) {
      this.#deny(stream, suspended)
      return
    }
    const destination = destinationOf(stream)
    const verdict = access.judge(destination, this.#deps.time.now())
    switch (verdict.kind) {
      case 'allow':
        this.#connect(stream, access, destination, verdict.decision)
        return
      case 'deny':
        this.#deny(stream, verdict.code)
        return
      case 'later':
        this.#hold(stream, verdict.code)
        return
    }
  }

  #hold(stream: IncomingStream, code: ResetCode): void {
    if (this.#held.size >= MAX_HELD) {
      this.#deny(stream, code)
      return
    }
    const held: Held = {
      stream,
      timer: this.#deps.clock.timer(HOLD_MS, () => {
        this.#held.delete(held)
        this.#deny(stream, code)
      }),
    }
    this.#held.add(held)
  }

  /** Judges a held stream again; it stays held, with the time that it has left, while an update may still allow it. */
  #retry(held: Held): void {
    const { stream, timer } = held
    const verdict = this.#access?.judge(destinationOf(stream), this.#deps.time.now())
    if (verdict?.kind === 'later' && !stream.over) return
    this.#held.delete(held)
    timer.cancel()
    if (!stream.over) this.#open(stream)
  }

  #deny(stream: IncomingStream, reason: ResetCode): void {
    if (stream.over) return
    stream.cut(reason)
    this.#deps.metrics.streamsDenied.inc({ reason })
    this.#record('denied', ++this.#lastStream, stream, { reason })
  }

  #connect(stream: IncomingStream, access: SessionAccess, destination: Destination, decision: Allowed): void {
    if (destination.protocol !== 'tcp') {
      this.#deny(stream, 'unreachable')
      return
    }
    const abort = new AbortController()
    const active: Active = {
      stream,
      access,
      number: ++this.#lastStream,
      cutBy: undefined,
      live: {
        destination,
        endMs: decision.endMs,
        cut: code => {
          active.cutBy = code
          this.#deps.metrics.streamsCut.inc({ reason: code })
          stream.cut(code)
          abort.abort()
        },
      },
    }
    access.add(active.live)
    stream.onCancel(() => abort.abort())
    this.#schedule()
    const { clock, metrics, reach } = this.#deps
    const startMs = clock.monotonic()
    const { target: host, rule } = decision
    const wanted = { host, port: destination.port, rule, exceptions: this.#deps.access.exceptions }
    void reach(wanted, abort.signal).then(dialled => {
      metrics.dialSeconds.observe((clock.monotonic() - startMs) / 1000)
      if ('socket' in dialled) this.#forward(active, dialled.socket)
      else this.#fail(active, dialled.code)
    })
  }

  #forward(active: Active, socket: Socket): void {
    const duplex = active.stream.accept()
    if (duplex === undefined) {
      socket.resetAndDestroy()
      this.#fail(active, 'cancelled')
      return
    }
    const { metrics } = this.#deps
    metrics.streamsOpened.inc()
    this.#record('opened', active.number, active.stream, {})
    void pump(duplex, socket).done.then(({ aToB: bytesUp, bToA: bytesDown, a, b }) => {
      metrics.bytes.inc({ direction: 'up' }, bytesUp)
      metrics.bytes.inc({ direction: 'down' }, bytesDown)
      const reason = active.cutBy ?? (a.kind === 'reset' ? a.code : b.kind === 'reset' ? b.code : undefined)
      const counts = { bytesUp, bytesDown }
      this.#record('closed', active.number, active.stream, reason === undefined ? counts : { ...counts, reason })
      this.#ended(active)
    })
  }

  #fail(active: Active, code: ResetCode): void {
    const reason = active.cutBy ?? code
    active.stream.cut(reason)
    this.#deps.metrics.streamsDenied.inc({ reason })
    this.#record('denied', active.number, active.stream, { reason })
    this.#ended(active)
  }

  #ended({ access, live }: Active): void {
    access.remove(live)
    this.#watcher.streamEnded()
  }

  #record(
    event: AccessLogRecord['event'],
    number: number,
    { request }: IncomingStream,
    rest: Pick<AccessLogRecord, 'bytesUp' | 'bytesDown' | 'reason'>,
  ): void {
    const { time, record } = this.#deps
    record({
      id: randomId(),
      event,
      atMs: time.now(),
      session: this.id,
      stream: number,
      device: this.device,
      ...(this.#access === undefined ? {} : { user: this.#access.acl.user }),
      resource: request.resource,
      host: request.host,
      port: request.port,
      protocol: request.protocol,
      path: this.#path,
      ...rest,
    })
  }

  /** Sets the timer for the first end of a grant or an ACL. */
  #schedule(): void {
    const endMs = this.#access?.nextEndMs ?? Number.POSITIVE_INFINITY
    if (endMs === this.#endTimerAtMs) return
    this.#endTimer?.cancel()
    this.#endTimerAtMs = endMs
    if (!Number.isFinite(endMs)) return
    const { clock, time } = this.#deps
    this.#endTimer = clock.timer(Math.max(0, endMs - time.now()), () => {
      this.#endTimerAtMs = undefined
      this.settle()
    })
  }

  #closed(code: ResetCode): void {
    this.#aclTimer?.cancel()
    this.#endTimer?.cancel()
    for (const { timer } of this.#held) timer.cancel()
    this.#held.clear()
    this.#access?.cutAll(code)
    if (this.#access !== undefined) this.#watcher.closed(code)
  }
}

function destinationOf({ request }: IncomingStream): Destination {
  const { resource, host, port, protocol } = request
  return { resource: resource as ResourceId, host, port, protocol }
}
