import type { Duplex } from 'node:stream'
import {
  type ChannelState,
  type Clock,
  ControlChannel,
  type ControllerClient,
  channelUrl,
  createControllerClient,
  type Log,
  messageParser,
  type ProxySettings,
} from '@sallyport/runtime'
import { type DeviceId, type FromClient, parser, ToClient, WhyAnswer } from '@sallyport/schema'
import { deviceIdOf, type KeyPair, randomId, thumbprintOf } from '@sallyport/trust'
import type { GrantedResource } from '../access/access-map.ts'
import { Knowledge, type NetworkView } from '../access/knowledge.ts'
import { ClientError } from '../error.ts'
import type { Profile, ProfileStore } from '../login/profile.ts'
import { type TokenAnswer, TokenKeeper } from '../login/token-keeper.ts'
import type { Dial } from '../session/live-session.ts'
import { SessionPool } from '../session/pool.ts'
import { VERSION } from '../version.ts'
import { Bell } from './bell.ts'
import { restFailure } from './rest-failure.ts'

/** Shortest time between two requests for fresh tokens. */
const REFRESH_EVERY_MS = 5_000

const incoming = messageParser(ToClient)
const whyAnswer = parser(WhyAnswer)

export type AccountOptions = {
  profile: Profile
  store: ProfileStore
  keys: KeyPair
  clock: Clock
  log: Log
  proxy: ProxySettings
  host: string
  platform: string
  idleMs: number
  /** Makes the dial of the sessions from what is known. */
  dialWith: (knowledge: Knowledge) => Dial
}

export type AccountState = { kind: 'connecting' | 'connected' | 'loginRequired'; detail?: string }

/** A destination that is a Resource of ours, and may be reached. */
export type Routed = { resource: GrantedResource; network: NetworkView }

/** One login: its tokens, its control channel, what the Controller has said, and the sessions that came of it. */
export class Account {
  readonly knowledge: Knowledge
  readonly keeper: TokenKeeper
  readonly pool: SessionPool
  readonly #options: AccountOptions
  readonly #rest: ControllerClient
  readonly #loginRest: ControllerClient
  readonly #device: DeviceId
  readonly #bell = new Bell()
  #channel: ControlChannel<ToClient, FromClient> | undefined
  #state: AccountState = { kind: 'connecting' }
  #synced = false
  #offsetMs: number | undefined
  #refreshedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: AccountOptions) {
    const { profile, store, keys, clock } = options
    this.#options = options
    this.#device = deviceIdOf(keys.publicKey)
    this.knowledge = new Knowledge({ device: this.#device, jkt: thumbprintOf(keys.publicKey) })
    this.#loginRest = restOf(options, new URL(profile.url).origin)
    this.keeper = new TokenKeeper({ profile, store, keys, rest: this.#loginRest, clock, now: this.now })
    this.#rest = restOf(options, profile.controllerUrl, (method, url) => this.keeper.headers(method, url))
    this.pool = new SessionPool({
      dial: options.dialWith(this.knowledge),
      clock,
      instance: randomId(),
      idleMs: options.idleMs,
      onStale: () => this.#refresh(),
    })
  }

  get device(): DeviceId {
    return this.#device
  }

  get state(): AccountState {
    return this.#state
  }

  get clockOffsetMs(): number | undefined {
    return this.#channel?.peerOffsetMs ?? this.#offsetMs
  }

  /** Controller's time, as far as it is known. */
  now = (): number => this.#options.clock.now() + (this.clockOffsetMs ?? 0)

  /** Opens the control channel and keeps it open. */
  start(): void {
    const { clock, proxy, profile } = this.#options
    const url = () => channelUrl(this.keeper.profile.controllerUrl, '/v1/client')
    this.#channel = new ControlChannel<ToClient, FromClient>({
      url,
      ...(profile.ca === undefined ? {} : { ca: () => profile.ca ?? '' }),
      headers: () => this.#headers(url().replace(/^wss/, 'https')),
      incoming,
      heartbeat: () => ({ type: 'heartbeat', nowMs: clock.now() }),
      onMessage: message => this.#receive(message),
      onState: state => this.#changed(state),
      proxy,
      clock,
    })
  }

  /** Whether a login with `profile` is this one made anew. */
  isRenewedBy({ url, ca }: Profile): boolean {
    const { profile } = this.keeper
    return profile.url === url && profile.ca === ca
  }

  /** Closes the control channel while the person logs in anew, so that the end of the old login is not taken for the end of access. */
  async pause(): Promise<void> {
    const channel = this.#channel
    this.#offsetMs = channel?.peerOffsetMs ?? this.#offsetMs
    this.#channel = undefined
    this.#synced = false
    await channel?.close('logging in anew')
  }

  /** Goes on, with the tokens of the new login where there is one; sessions and streams stay. */
  async resume(answer?: TokenAnswer): Promise<void> {
    if (answer !== undefined) await this.keeper.accept(answer)
    this.#state = { kind: 'connecting' }
    this.start()
  }

  /** Waits until all that the Controller has to say is known, or it is plain that nothing comes. */
  async ready(signal: AbortSignal): Promise<void> {
    while (!this.#synced && this.#state.kind === 'connecting' && this.#state.detail === undefined) {
      await this.#bell.next(signal)
    }
    while (!this.#synced && this.#state.kind === 'connected') await this.#bell.next(signal)
  }

  /** Where a destination goes. Throws ClientError with the first check that refuses. */
  route(host: string, port: number): Routed | undefined {
    const now = this.now()
    const route = this.knowledge.access.routes.route(host, port, 'tcp', now)
    if (route.kind === 'notOurs') {
      const ended = this.knowledge.endedResource(host)
      if (ended === undefined) return undefined
      throw new ClientError('expired', `access to "${ended.name}" has ended`)
    }
    const { resource } = route
    if (route.kind === 'denied' && route.reason === 'port_not_granted') {
      throw new ClientError('port_not_granted', `"${resource.name}" is granted, but not TCP port ${port} of it`)
    }
    if (route.kind === 'denied') throw new ClientError('expired', `access to "${resource.name}" has ended`)
    if (now >= resource.aclEndMs) {
      const why = this.#state.kind === 'connected' ? '' : `: ${this.#state.detail ?? 'the Controller is not reached'}`
      throw new ClientError(
        'expired',
        `the access list that grants "${resource.name}" has ended and was not renewed${why}`,
        {
          hint: 'It is renewed as soon as the Controller is reached again.',
        },
      )
    }
    const network = this.knowledge.networks.get(resource.network)
    if (network === undefined) throw new ClientError('not_granted', `the network of "${resource.name}" is gone`)
    return { resource, network }
  }

  /** Opens a stream to a destination that was routed. Throws ClientError. */
  open({ resource, network }: Routed, host: string, port: number, signal: AbortSignal): Promise<Duplex> {
    return this.pool.open(network, { resource: resource.uid, host, port, protocol: 'tcp' }, signal)
  }

  /** Asks the Controller about a destination outside of the map. Throws ClientError when it does not answer. */
  async ask(host: string, port: number): Promise<WhyAnswer> {
    const query = new URLSearchParams({ host, port: String(port), protocol: 'tcp' })
    return this.request('GET', `/v1/why?${query}`, whyAnswer)
  }

  /** A request to the Controller's REST API. Throws ClientError. */
  async request<T>(
    method: 'GET' | 'POST',
    path: string,
    answer: { check(value: unknown): value is T; problems(value: unknown): { field: string; message: string }[] },
  ): Promise<T> {
    try {
      return await this.#rest.request({ method, path, answer })
    } catch (error) {
      throw restFailure(error)
    }
  }

  /** Ends the login at the Controller, and all that came of it here. */
  async logOut(): Promise<void> {
    await this.keeper
      .revoke()
      .catch(error => this.#options.log.warn({ err: error }, 'the Controller was not told of the logout'))
    await this.close()
  }

  async close(): Promise<void> {
    this.pool.close()
    await this.#channel?.close('bye')
    this.#rest.close()
    this.#loginRest.close()
  }

  #receive(message: ToClient) {
    const user = this.knowledge.welcome?.user.id
    const { renewed, gone } = this.knowledge.apply(message, this.now())
    for (const view of renewed) this.pool.renewAcl(view)
    for (const network of gone) this.pool.drop(network)
    switch (message.type) {
      case 'welcome': {
        if (user !== undefined && user !== message.user.id) this.pool.endAll()
        const { host, platform, clock } = this.#options
        this.#channel?.send({ type: 'hello', version: VERSION, platform, host, revision: 0, nowMs: clock.now() })
        return
      }
      case 'synced':
        this.#synced = true
        this.#channel?.send({ type: 'applied', revision: message.revision })
        for (const { name, problem } of this.knowledge.networks.values()) {
          if (problem !== undefined)
            this.#options.log.warn({ network: name, problem }, 'tokens of a network are not believed')
        }
        return this.#bell.ring()
      case 'loginRequired':
        return this.#set({ kind: 'loginRequired', detail: message.reason })
      case 'goodbye':
        this.#options.log.info({ code: message.code }, message.message)
        if (!message.retry) this.#set({ kind: 'loginRequired', detail: message.message })
        return
      case 'network':
      case 'networkGone':
      case 'trust':
      case 'certificate':
      case 'resources':
      case 'heartbeat':
        return
    }
  }

  #changed(state: ChannelState) {
    switch (state.kind) {
      case 'open':
        return this.#set({ kind: 'connected' })
      case 'down': {
        this.#synced = false
        if (state.end.status === 401) this.keeper.discard()
        if (this.#state.kind === 'loginRequired') return
        const over = state.end.error === 'login_ended'
        return this.#set({ kind: over ? 'loginRequired' : 'connecting', detail: state.end.message })
      }
      case 'connecting':
      case 'closed':
        return
    }
  }

  async #headers(url: string): Promise<Record<string, string>> {
    try {
      return await this.keeper.headers('GET', url)
    } catch (error) {
      if (error instanceof ClientError && error.code === 'login_required') {
        this.#set({ kind: 'loginRequired', detail: error.message })
      }
      throw error
    }
  }

  #set(state: AccountState): void {
    this.#state = state
    if (state.kind === 'loginRequired') void this.#channel?.close('login required')
    this.#bell.ring()
  }

  /** A Relay did not accept a capability: the Controller sends everything anew on a new connection. */
  #refresh(): void {
    const now = this.#options.clock.monotonic()
    if (now - this.#refreshedAtMs < REFRESH_EVERY_MS) return
    this.#refreshedAtMs = now
    this.#channel?.reconnect()
  }
}

function restOf(
  { profile, proxy, clock }: AccountOptions,
  url: string,
  headers?: (method: string, url: string) => Promise<Record<string, string>>,
): ControllerClient {
  return createControllerClient({
    url,
    proxy,
    clock,
    ...(profile.ca === undefined ? {} : { ca: () => profile.ca ?? '' }),
    ...(headers === undefined ? {} : { headers }),
  })
}
