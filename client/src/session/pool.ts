import type { Duplex } from 'node:stream'
import type { Clock, Timer } from '@sallyport/runtime'
import type { ClientSessionStatus } from '@sallyport/schema'
import { type OpenRequest, type ResetCode, resetCodes } from '@sallyport/wire'
import type { NetworkView } from '../access/knowledge.ts'
import { ClientError, type ClientErrorCode } from '../error.ts'
import { type Candidate, orderCandidates } from './candidate.ts'
import { AllFailed, hedge } from './hedge.ts'
import { type Dial, DialFailed, type LiveSession, OpenRefused } from './live-session.ts'

/** Connectors that are asked for one stream. */
const MAX_TRIES = 4
/** How long a Connector or Relay that was found dead is tried last. */
const SPOILED_MS = 30_000

/** The next Connector may say otherwise. */
const ELSEWHERE: ReadonlySet<ResetCode> = new Set([
  'acl_mismatch',
  'draining',
  'connector_lost',
  'too_many_streams',
  'controller_lost',
])
/** The same Connector may be reached again: the session was lost, or its way is being given up. */
const AGAIN: ReadonlySet<ResetCode> = new Set(['connector_lost', 'draining'])

type Entry = {
  network: string
  name: string
  session: LiveSession
  streams: number
  startedAtMs: number
  /** It takes no new streams, and is there for its open ones. */
  left: boolean
  idle?: Timer
}

export type PoolOptions = {
  dial: Dial
  clock: Clock
  /** Random id of this process: what it spreads by. */
  instance: string
  idleMs: number
  /** Asks for fresh capabilities. */
  onStale: () => void
}

/** The sessions of this Client: one per network and Connector, dialled when needed and kept for a while. */
export class SessionPool {
  readonly #options: PoolOptions
  readonly #entries = new Set<Entry>()
  readonly #dialling = new Map<string, Promise<Entry>>()
  readonly #spoiled = new Map<string, number>()
  readonly #used = new Map<string, { list: readonly string[]; next: number }>()
  #closed = false

  constructor(options: PoolOptions) {
    this.#options = options
  }

  /** Opens a stream: over a session that is there, else over a new one; another Connector is asked where one cannot. Throws ClientError. */
  async open(network: NetworkView, request: OpenRequest, signal: AbortSignal): Promise<Duplex> {
    const avoided = new Set<string>()
    let refusal: OpenRefused | undefined
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const entry = await this.#entryFor(network, avoided, signal).catch(error => {
        if (refusal !== undefined && !signal.aborted) throw failureOf(refusal)
        throw error
      })
      try {
        return await this.#openIn(entry, request, signal)
      } catch (error) {
        if (!(error instanceof OpenRefused)) throw error
        if (!ELSEWHERE.has(error.code) || signal.aborted) throw failureOf(error)
        refusal = error
        if (!AGAIN.has(error.code)) avoided.add(entry.session.connector)
        else this.#leave(entry, error.code)
      }
    }
    throw failureOf(refusal ?? new OpenRefused('connector_lost', 'no Connector took the stream'))
  }

  /** Hands a newer Client ACL to the sessions of its network. */
  renewAcl({ uid, aclJwt }: NetworkView): void {
    for (const { network, session } of this.#entries) if (network === uid) session.renewAcl(aclJwt)
  }

  /** Ends the sessions of a network that this device may not reach any more. */
  drop(network: string): void {
    for (const entry of this.#entries) if (entry.network === network) entry.session.close()
  }

  /** Ends every session. */
  endAll(): void {
    for (const entry of this.#entries) entry.session.close()
  }

  status(): ClientSessionStatus[] {
    return [...this.#entries].map(({ name, session, streams, startedAtMs }) => ({
      network: name,
      connector: session.connector,
      path: `relay:${session.relay}`,
      streams,
      startedAtMs,
    }))
  }

  close(): void {
    this.#closed = true
    for (const entry of this.#entries) entry.idle?.cancel()
    this.endAll()
  }

  async #entryFor(network: NetworkView, avoided: ReadonlySet<string>, signal: AbortSignal): Promise<Entry> {
    // One that is named no more drains, or must not be trusted any longer: what it has goes on, nothing new goes there.
    const named = new Set(network.connection?.connectors.map(({ id }) => id))
    for (const entry of this.#entries) {
      const { accepting, connector } = entry.session
      if (entry.network === network.uid && accepting && !entry.left && named.has(connector) && !avoided.has(connector))
        return entry
    }
    if (avoided.size > 0) return this.#dial(network, avoided, signal)
    // Streams that begin at once share one dial; the one who gives up must not take it from the others. Each way has a time-out of its own.
    const known = this.#dialling.get(network.uid)
    const dialling = known ?? this.#dial(network, avoided, new AbortController().signal)
    if (known === undefined) {
      this.#dialling.set(network.uid, dialling)
      dialling.catch(() => undefined).finally(() => this.#dialling.delete(network.uid))
    }
    return abortable(dialling, signal)
  }

  async #dial(network: NetworkView, avoided: ReadonlySet<string>, signal: AbortSignal): Promise<Entry> {
    const { dial, clock, instance } = this.#options
    const connectors = (network.connection?.connectors ?? []).filter(({ id }) => !avoided.has(id))
    const ways = orderCandidates(connectors, instance, this.#spoiledNow())
    if (ways.length === 0)
      throw new ClientError('connector_down', `network "${network.name}" has no other Connector just now`)
    try {
      const session = await hedge(ways, (way, stop) => dial(network, way, this.#capability(network, way), stop), {
        clock,
        signal,
        discard: late => late.close(),
      })
      return this.#keep(network, session)
    } catch (error) {
      if (!(error instanceof AllFailed)) throw error
      throw this.#judge(network, error as AllFailed<Candidate>)
    }
  }

  #keep(network: NetworkView, session: LiveSession): Entry {
    const entry: Entry = {
      network: network.uid,
      name: network.name,
      session,
      streams: 0,
      startedAtMs: this.#options.clock.now(),
      left: false,
    }
    this.#entries.add(entry)
    this.#spoiled.delete(session.connector)
    this.#spoiled.delete(session.relay)
    session.ended.then(() => this.#forget(entry))
    if (this.#closed) session.close()
    this.#rest(entry)
    return entry
  }

  #judge({ name }: NetworkView, { failures }: AllFailed<Candidate>): ClientError {
    const faults = new Set<string>()
    const until = this.#options.clock.monotonic() + SPOILED_MS
    for (const { way, error } of failures) {
      const fault = error instanceof DialFailed ? error.fault : 'self'
      faults.add(fault)
      if (fault === 'relay') this.#spoiled.set(way.relay, until)
      if (fault === 'connector') this.#spoiled.set(way.connector, until)
    }
    if (faults.has('capability')) this.#options.onStale()
    const code: ClientErrorCode = faults.size === 1 && faults.has('relay') ? 'relay_down' : 'connector_down'
    const told = failures.map(
      ({ way, error }) => `${way.relay}: ${error instanceof Error ? error.message : String(error)}`,
    )
    return new ClientError(code, `no way into network "${name}": ${told.slice(0, 4).join('; ')}`)
  }

  #spoiledNow(): { connectors: Set<string>; relays: Set<string> } {
    const now = this.#options.clock.monotonic()
    for (const [id, until] of this.#spoiled) if (now >= until) this.#spoiled.delete(id)
    const ids = new Set(this.#spoiled.keys())
    return { connectors: ids, relays: ids }
  }

  /** Each capability is used once while there are unused ones: two uses of one can be told to be the same Client. */
  #capability(network: NetworkView, { connector, relay, capabilities }: Candidate): string {
    const key = `${network.uid}/${connector}/${relay}`
    const known = this.#used.get(key)
    const used = known?.list === capabilities ? known : { list: capabilities, next: 0 }
    const capability = capabilities[used.next % Math.max(1, capabilities.length)]
    this.#used.set(key, { list: capabilities, next: used.next + 1 })
    if (capability === undefined) throw new DialFailed('capability', 'there is no capability for this Relay')
    return capability
  }

  /** A session is in use from the moment on at which a stream is asked for: however long the answer takes, it is not idle. */
  async #openIn(entry: Entry, request: OpenRequest, signal: AbortSignal): Promise<Duplex> {
    const release = () => {
      entry.streams--
      this.#rest(entry)
    }
    entry.streams++
    entry.idle?.cancel()
    try {
      return (await entry.session.open(request, signal)).once('close', release)
    } catch (error) {
      release()
      throw error
    }
  }

  #rest(entry: Entry): void {
    entry.idle?.cancel()
    if (entry.streams > 0 || !this.#entries.has(entry)) return
    entry.idle = this.#options.clock.timer(this.#options.idleMs, () => entry.session.close())
  }

  /** Whoever drains is tried last for a while, by whatever way. */
  #leave(entry: Entry, code: ResetCode): void {
    if (code === 'draining') {
      entry.left = true
      this.#spoiled.set(entry.session.connector, this.#options.clock.monotonic() + SPOILED_MS)
    } else this.#forget(entry)
  }

  #forget(entry: Entry): void {
    entry.idle?.cancel()
    this.#entries.delete(entry)
  }
}

const CODES: Partial<Record<ResetCode, ClientErrorCode>> = {
  denied: 'denied',
  acl_mismatch: 'denied',
  revoked: 'not_granted',
  expired: 'expired',
  name_not_found: 'name_not_found',
  refused: 'refused',
  timeout: 'timeout',
  guarded_address: 'guarded_address',
  draining: 'connector_down',
  connector_lost: 'connector_down',
  not_granted: 'not_granted',
  port_not_granted: 'port_not_granted',
  unreachable: 'unreachable',
  login_required: 'login_required',
  controller_lost: 'connector_down',
}

function failureOf({ code, message }: OpenRefused): ClientError {
  const known = CODES[code]
  const said = message === '' || message === code ? resetCodes[code].meaning : message
  return new ClientError(known ?? 'failed', said)
}

function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
