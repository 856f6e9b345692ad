import type { Socket } from 'node:net'
import {
  type AcceptorTrust,
  type Clock,
  type ConnectorSession,
  type ConnectorSessionEvents,
  createTunnelAcceptor,
  type Log,
  SessionHost,
  type TunnelAcceptor,
} from '@sallyport/runtime'
import type { LiveSession } from '@sallyport/schema'
import { TrustError } from '@sallyport/trust'
import { Budget, MAX_HANDSHAKES, type ResetCode } from '@sallyport/wire'
import { DeviceSession, type SessionDeps } from './device-session.ts'
import { Settler } from './settler.ts'

const MIB = 1024 * 1024
/** Bytes granted to Clients and not yet taken by Resources, of all sessions. */
const CREDIT_BUDGET_BYTES = 256 * MIB
/** Bytes sent to Clients and not yet acknowledged, of all sessions. */
const KEPT_BUDGET_BYTES = 256 * MIB

export type RegistryOptions = SessionDeps & {
  tenant: string
  trust: AcceptorTrust
  onOpened: (session: LiveSession) => void
  onClosed: (session: string, reason: ResetCode) => void
}

/** All sessions of the Connector, and the one way in for tunnels. */
export class SessionRegistry {
  readonly #options: RegistryOptions
  readonly #clock: Clock
  readonly #log: Log
  readonly #sessions = new Map<string, DeviceSession>()
  /** One per Relay, so that a session knows the path that it came by. */
  readonly #acceptors = new Map<string, TunnelAcceptor>()
  readonly #paths = new WeakMap<ConnectorSession['peer'], string>()
  readonly #host: SessionHost
  readonly #settler: Settler
  /** Paths through Relays that shut down. */
  readonly #left = new Set<string>()
  #trust: AcceptorTrust
  #onIdle: (() => void) | undefined
  #draining = false

  constructor(options: RegistryOptions) {
    this.#options = options
    this.#clock = options.clock
    this.#log = options.log
    this.#trust = options.trust
    this.#settler = new Settler(options.clock, () => {
      for (const session of [...this.#sessions.values()]) session.settle()
    })
    this.#host = new SessionHost({
      clock: options.clock,
      creditBudget: new Budget(CREDIT_BUDGET_BYTES),
      keptBudget: new Budget(KEPT_BUDGET_BYTES),
      onSession: session => this.#begin(session),
    })
  }

  get size(): number {
    return this.#sessions.size
  }

  get streams(): number {
    return [...this.#sessions.values()].reduce((sum, { streams }) => sum + streams, 0)
  }

  get reports(): LiveSession[] {
    return [...this.#sessions.values()].map(({ report }) => report).filter(report => report !== undefined)
  }

  /** Takes a socket on which a Client's handshake has begun. */
  accept(socket: Socket, relay: string): void {
    const pending = [...this.#acceptors.values()].reduce((sum, acceptor) => sum + acceptor.pending, 0)
    if (this.#draining || this.#left.has(pathOf(relay)) || pending >= MAX_HANDSHAKES) {
      socket.on('error', () => undefined).destroy()
      return
    }
    this.#acceptorFor(relay).accept(socket)
  }

  /** Shows and trusts something else in handshakes that begin from here on. */
  setTrust(trust: AcceptorTrust): void {
    this.#trust = trust
    for (const acceptor of this.#acceptors.values()) acceptor.setTrust(trust)
  }

  /** Takes a pushed Client ACL to the sessions of its device. */
  pushAcl(device: string, jwt: string): void {
    for (const session of this.#sessions.values()) {
      if (session.device !== device) continue
      try {
        session.pushAcl(jwt)
      } catch (error) {
        if (!(error instanceof TrustError)) throw error
        this.#log.warn({ device, code: error.code }, 'pushed Client ACL refused')
      }
    }
  }

  /** Something has changed: everything is judged again when the rest of the change has come, soon in any case. */
  settleSoon(): void {
    this.#settler.soon()
  }

  /** Judges every session again. */
  settle(): void {
    this.#settler.now()
  }

  /** Ends one session for the Controller. */
  closeSession(id: string): void {
    this.#sessions.get(id)?.close('revoked', 'revoked')
  }

  /** Leaves a Relay that shuts down: who came through it takes another way for what is new, and what is open goes on until it ends. */
  leave(relay: string): void {
    const path = pathOf(relay)
    this.#left.add(path)
    this.#acceptors.get(relay)?.close()
    this.#acceptors.delete(relay)
    for (const session of [...this.#sessions.values()]) if (session.path === path) session.leave()
  }

  /** Takes what comes through a Relay, which may have been left before. */
  join(relay: string): void {
    this.#left.delete(pathOf(relay))
  }

  /** Cuts all sessions. */
  closeAll(code: ResetCode, goaway: 'revoked' | 'expired' | 'draining' | 'closed'): void {
    for (const session of [...this.#sessions.values()]) session.close(code, goaway)
  }

  /** No new sessions and streams; resolves when the last stream has ended or `graceMs` have passed, after which all sessions are closed. */
  async drain(graceMs: number): Promise<void> {
    this.#draining = true
    for (const acceptor of this.#acceptors.values()) acceptor.close()
    this.#host.drain()
    if (!this.#isIdle && graceMs > 0) {
      await new Promise<void>(resolve => {
        const timer = this.#clock.timer(graceMs, resolve)
        this.#onIdle = () => {
          timer.cancel()
          resolve()
        }
      })
    }
    this.closeAll('draining', 'draining')
  }

  #begin(session: ConnectorSession): ConnectorSessionEvents {
    const { onOpened, onClosed } = this.#options
    const device = new DeviceSession(session, this.#paths.get(session.peer) ?? 'unknown', this.#options, {
      opened: () => {
        if (device.report !== undefined) onOpened(device.report)
      },
      idle: () => this.#tellIdle(),
      closed: code => onClosed(session.id, code),
    })
    const { events } = device
    this.#sessions.set(session.id, device)
    // Its handshake was over when the Relay said that it shuts down.
    if (this.#left.has(device.path)) queueMicrotask(() => device.leave())
    return {
      ...events,
      closed: code => {
        this.#sessions.delete(session.id)
        this.#tellIdle()
        events.closed?.(code)
      },
    }
  }

  #tellIdle(): void {
    if (this.#isIdle) this.#onIdle?.()
  }

  get #isIdle(): boolean {
    return [...this.#sessions.values()].every(({ isIdle }) => isIdle)
  }

  #acceptorFor(relay: string): TunnelAcceptor {
    const known = this.#acceptors.get(relay)
    if (known !== undefined) return known
    const { tenant, metrics } = this.#options
    const acceptor = createTunnelAcceptor({
      trust: this.#trust,
      tenant,
      onTunnel: tunnel => {
        this.#paths.set(tunnel.peer, pathOf(relay))
        this.#host.serve(tunnel)
      },
      onRefused: error => {
        metrics.tunnelsRefused.inc({ code: error.code })
        this.#log.debug({ code: error.code, relay }, 'tunnel not accepted')
      },
    })
    this.#acceptors.set(relay, acceptor)
    return acceptor
  }
}

const pathOf = (relay: string) => `relay:${relay}`
