import type { Duplex } from 'node:stream'
import { randomId, sha256, toBase64Url } from '@sallyport/trust'
import {
  type Budget,
  encodeFrame,
  FrameType,
  type GoawayCode,
  goawayCodes,
  type Hello,
  HelloReader,
  MAX_SESSIONS_PER_DEVICE,
  WireError,
} from '@sallyport/wire'
import { type Clock, systemClock } from '../clock.ts'
import type { AcceptedTunnel } from './accept.ts'
import { LINGER_MS } from './carrier.ts'
import { ConnectorSession, type ConnectorSessionEvents } from './connector-session.ts'

/** Time that a Client has for HELLO. */
export const HELLO_TIMEOUT_MS = 5_000

export type SessionHostOptions = {
  /** A new session has begun; returns who listens to it. */
  onSession(session: ConnectorSession): ConnectorSessionEvents
  clock?: Clock
  /** Names a session: 16 random bytes or more, base64url. */
  nextId?: () => string
  creditBudget?: Budget
  keptBudget?: Budget
  /** How long a session outlives its carrier; 0 (default) ends it with the carrier. */
  detachedLifeMs?: number
  maxSessionsPerDevice?: number
  helloTimeoutMs?: number
}

/** The sessions of a Connector: reads the HELLO of each tunnel and begins or resumes the session that it is for. */
export class SessionHost {
  readonly #options: SessionHostOptions
  readonly #clock: Clock
  readonly #sessions = new Map<string, ConnectorSession>()

  constructor(options: SessionHostOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  get sessions(): IterableIterator<ConnectorSession> {
    return this.#sessions.values()
  }

  get size(): number {
    return this.#sessions.size
  }

  /** Takes an accepted tunnel. */
  serve({ socket, peer }: AcceptedTunnel): void {
    const reader = new HelloReader()
    const timer = this.#clock.timer(this.#options.helloTimeoutMs ?? HELLO_TIMEOUT_MS, () => socket.destroy())
    const onClose = () => timer.cancel()
    const onError = () => socket.destroy()
    const onData = (chunk: Uint8Array) => {
      try {
        const greeted = reader.push(chunk)
        if (greeted === undefined) return
        timer.cancel()
        socket.removeListener('data', onData).removeListener('close', onClose)
        this.#begin(socket, peer, greeted.hello, greeted.rest)
        socket.removeListener('error', onError)
      } catch (error) {
        if (!(error instanceof WireError)) throw error
        socket.removeListener('data', onData)
        // The Client may try again a second later.
        if (error.code === 'resume_too_soon') socket.destroy()
        else this.#refuse(socket, 'protocol_error')
      }
    }
    socket.on('data', onData).once('close', onClose).on('error', onError)
  }

  /** Says to every session that no new streams are taken. */
  drain(): void {
    for (const session of this.#sessions.values()) session.drain()
  }

  #begin(socket: Duplex, peer: AcceptedTunnel['peer'], hello: Hello, rest: Uint8Array): void {
    if (hello.session !== undefined) {
      const session = this.#sessions.get(hello.session)
      if (session?.peer.jkt === peer.jkt && session.peer.deviceId === peer.deviceId) session.attach(socket, hello, rest)
      else this.#refuse(socket, 'session_unknown')
      return
    }
    const session = this.#create(peer, hello)
    if (session === undefined) this.#refuse(socket, 'too_many_sessions')
    else session.attach(socket, hello, rest)
  }

  #create(peer: AcceptedTunnel['peer'], hello: Hello): ConnectorSession | undefined {
    const ofDevice = [...this.#sessions.values()].filter(({ peer: { jkt } }) => jkt === peer.jkt)
    const former = ofDevice.find(({ instance }) => instance === hello.instance)
    former?.close('connector_lost', 'replaced')
    const count = ofDevice.length - (former === undefined ? 0 : 1)
    if (count >= (this.#options.maxSessionsPerDevice ?? MAX_SESSIONS_PER_DEVICE)) return undefined
    const { nextId = randomId, creditBudget, keptBudget, detachedLifeMs = 0 } = this.#options
    const session = new ConnectorSession({
      id: nextId(),
      peer,
      instance: hello.instance,
      hashOf: bytes => toBase64Url(sha256(bytes)),
      clock: this.#clock,
      detachedLifeMs,
      ...(creditBudget && { creditBudget }),
      ...(keptBudget && { keptBudget }),
    })
    this.#sessions.set(session.id, session)
    const events = this.#options.onSession(session)
    session.listen({
      ...events,
      closed: code => {
        this.#sessions.delete(session.id)
        events.closed?.(code)
      },
    })
    return session
  }

  /** Says why and waits a little for the peer to close: a carrier that is closed with bytes unread may lose the reason. */
  #refuse(socket: Duplex, code: GoawayCode): void {
    const { number } = goawayCodes[code]
    const body = Uint8Array.of(number >>> 8, number & 255)
    const timer = this.#clock.timer(LINGER_MS, () => socket.destroy())
    socket.once('close', () => timer.cancel()).on('error', () => socket.destroy())
    socket.once('end', () => socket.destroy()).resume()
    socket.end(encodeFrame({ stream: 0, type: FrameType.Goaway, body }))
  }
}
