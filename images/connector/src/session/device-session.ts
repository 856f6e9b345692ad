import type { Destination } from '@sallyport/policy'
import type { ConnectorSession, ConnectorSessionEvents, IncomingStream, Log, Timer } from '@sallyport/runtime'
import type { LiveSession, ResourceId } from '@sallyport/schema'
import { TrustError } from '@sallyport/trust'
import type { ResetCode } from '@sallyport/wire'
import type { ClientAcl } from '../access/access-state.ts'
import { SessionAccess } from '../access/session-access.ts'
import { Forwarding, type ForwardingDeps } from './forwarding.ts'

/** How long an OPEN waits for an update that may allow it. */
export const HOLD_MS = 2_000
/** Time that a Client has to show its ACL. */
export const ACL_TIMEOUT_MS = 10_000
/** Streams of a session that may wait for an update at a time. */
export const MAX_HELD = 1_024

/** What all sessions of a Connector share. */
export type SessionDeps = ForwardingDeps & {
  log: Log
  /** Why nothing may be served at this moment; undefined when it may. */
  suspended: () => ResetCode | undefined
}

/** What a session tells those who keep count. */
export type SessionWatcher = { opened(): void; idle(): void; closed(code: ResetCode): void }

type Held = { stream: IncomingStream; timer: Timer }

/** One device's session at this Connector: its ACL, its streams and the decisions about them. */
export class DeviceSession {
  readonly #session: ConnectorSession
  readonly #deps: SessionDeps
  readonly #watcher: SessionWatcher
  /** Way by which it came. */
  readonly path: string
  readonly #startedAtMs: number
  readonly #forwarding: Forwarding
  readonly #held = new Set<Held>()
  #access: SessionAccess | undefined
  #aclTimer: Timer | undefined
  #endTimer: Timer | undefined
  #endTimerAtMs: number | undefined
  #leaving = false

  constructor(session: ConnectorSession, path: string, deps: SessionDeps, watcher: SessionWatcher) {
    this.#session = session
    this.path = path
    this.#deps = deps
    this.#watcher = watcher
    this.#startedAtMs = deps.time.now()
    const label = { session: session.id, device: session.peer.deviceId, path }
    this.#forwarding = new Forwarding(deps, label, () => this.#tellIdle())
    this.#aclTimer = deps.clock.timer(ACL_TIMEOUT_MS, () => session.refuseAcl())
  }

  readonly events: ConnectorSessionEvents = {
    acl: bytes => this.#showAcl(Buffer.from(bytes).toString('latin1')),
    open: stream => this.#open(stream),
    idle: () => this.#tellIdle(),
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

  /** Whether nothing is under way, not even the last bytes of a stream that has ended. */
  get isIdle(): boolean {
    return this.streams === 0 && this.#session.streamCount === 0
  }

  /** What the Controller is told; undefined before the ACL was accepted. */
  get report(): LiveSession | undefined {
    if (this.#access === undefined) return undefined
    return {
      session: this.id,
      device: this.device,
      user: this.#access.acl.user,
      path: this.path,
      startedAtMs: this.#startedAtMs,
      streams: this.streams,
    }
  }

  /** Takes a Client ACL that the Controller has pushed for this device, and judges by it: what belongs to it has come before. Throws TrustError. */
  pushAcl(jwt: string): void {
    const { access, time } = this.#deps
    if (this.#access?.takeAcl(access.verifyClientAcl(jwt, this.#session.peer.jkt, time.now()))) this.settle()
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

  /** Takes no new streams, and ends with the last one. */
  leave(): void {
    this.#leaving = true
    this.#session.drain()
    this.#tellIdle()
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
    log.debug({ session: this.id, device: this.device, path: this.path }, 'session opened')
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
      this.#forwarding.deny(stream, this.#access, suspended)
      return
    }
    const destination = destinationOf(stream)
    const verdict = access.judge(destination, this.#deps.time.now())
    switch (verdict.kind) {
      case 'allow':
        this.#forwarding.connect(stream, access, destination, verdict.decision)
        this.#schedule()
        return
      case 'deny':
        this.#forwarding.deny(stream, this.#access, verdict.code)
        return
      case 'later':
        this.#hold(stream, verdict.code)
        return
    }
  }

  #hold(stream: IncomingStream, code: ResetCode): void {
    if (this.#held.size >= MAX_HELD) {
      this.#forwarding.deny(stream, this.#access, code)
      return
    }
    const held: Held = {
      stream,
      timer: this.#deps.clock.timer(HOLD_MS, () => {
        this.#retry(held)
        if (this.#held.delete(held)) this.#forwarding.deny(stream, this.#access, code)
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

  #tellIdle(): void {
    if (!this.isIdle) return
    this.#watcher.idle()
    if (this.#leaving) this.close('draining', 'draining')
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
