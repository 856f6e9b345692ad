import type { Duplex } from 'node:stream'
import {
  type ChannelState,
  type Clock,
  ControlChannel,
  type ControllerClient,
  channelUrl,
  type Log,
  messageParser,
  type ProxySettings,
} from '@sallyport/runtime'
import { type DeviceId, type FromClient, ToClient } from '@sallyport/schema'
import { deviceIdOf, type KeyPair, randomId, thumbprintOf } from '@sallyport/trust'
import { Knowledge } from '../access/knowledge.ts'
import { type Routed, routeTo } from '../access/route.ts'
import { ClientError, type ClientErrorCode } from '../error.ts'
import { CaKeeper, isSameKey } from '../login/ca-keeper.ts'
import type { Profile, ProfileStore } from '../login/profile.ts'
import { type TokenAnswer, TokenKeeper } from '../login/token-keeper.ts'
import type { Dial } from '../session/live-session.ts'
import { SessionPool } from '../session/pool.ts'
import { VERSION } from '../version.ts'
import { AccountRest, restOf } from './account-rest.ts'
import { Bell } from './bell.ts'
import { limited } from './limited.ts'

/** Shortest time between two requests for fresh tokens. */
const REFRESH_EVERY_MS = 5_000
/** Shortest time between two attempts to reach the Controller that applications cause. */
const HURRY_EVERY_MS = 1_000
/** How long a stream that no known Connector takes waits for word of others from a Controller that is not reached just now. */
const NEWS_WAIT_MS = 8_000
/** How long such a stream is tried again while the Controller is reached: others may just be taking the place of all Connectors or Relays. */
const CHANGE_WAIT_MS = 3_000
/** Longest time between two tries; word of the Controller makes it shorter. */
const CHANGE_EVERY_MS = 500

/** What a stream fails with that no known way leads to. */
const NO_WAY: ReadonlySet<ClientErrorCode> = new Set(['connector_down', 'relay_down'])

const incoming = messageParser(ToClient)

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

/** One login: its tokens, its control channel, what the Controller has said, and the sessions that came of it. */
export class Account {
  readonly knowledge: Knowledge
  readonly keeper: TokenKeeper
  readonly pool: SessionPool
  readonly rest: AccountRest
  readonly #options: AccountOptions
  readonly #loginRest: ControllerClient
  readonly #reach: ConstructorParameters<typeof AccountRest>[0]
  #caKeeper: CaKeeper | undefined
  readonly #device: DeviceId
  readonly #bell = new Bell()
  #channel: ControlChannel<ToClient, FromClient> | undefined
  #state: AccountState = { kind: 'connecting' }
  #synced = false
  #offsetMs: number | undefined
  #refreshedAtMs = Number.NEGATIVE_INFINITY
  #hurriedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: AccountOptions) {
    const { profile, store, keys, clock } = options
    this.#options = options
    this.#device = deviceIdOf(keys.publicKey)
    this.knowledge = new Knowledge({ device: this.#device, jkt: thumbprintOf(keys.publicKey) })
    // The certificate of the CA may be renewed meanwhile; that there is one stays.
    const ca = () => this.keeper.profile.ca ?? ''
    this.#reach = { ...(profile.ca === undefined ? {} : { ca }), proxy: options.proxy, clock }
    this.#loginRest = restOf(this.#reach, new URL(profile.url).origin)
    this.keeper = new TokenKeeper({ profile, store, keys, rest: this.#loginRest, clock, now: this.now })
    this.rest = new AccountRest(this.#reach, this.keeper)
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

  /** What the control channel is doing; undefined while there is none. */
  get channelState(): ChannelState['kind'] | undefined {
    return this.#channel?.state.kind
  }

  get clockOffsetMs(): number | undefined {
    return this.#channel?.peerOffsetMs ?? this.#offsetMs
  }

  /** Controller's time, as far as it is known. */
  now = (): number => this.#options.clock.now() + (this.clockOffsetMs ?? 0)

  /** Opens the control channel and keeps it open. */
  start(): void {
    const { clock, proxy, log } = this.#options
    const { ca } = this.#reach
    const url = () => channelUrl(this.keeper.profile.controllerUrl, '/v1/client')
    if (ca !== undefined) {
      const keep = (renewed: string) => this.keeper.keepCa(renewed)
      const controller = this.keeper.profile.url
      this.#caKeeper ??= new CaKeeper({ url: controller, ca, keep, clock, proxy, log, now: this.now })
    }
    this.#channel = new ControlChannel<ToClient, FromClient>({
      url,
      ...(ca === undefined ? {} : { ca }),
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
    const isSameCa = ca === undefined || profile.ca === undefined ? ca === profile.ca : isSameKey(ca, profile.ca)
    return profile.url === url && isSameCa
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

  /** Where a destination goes; undefined when it is no Resource. Throws ClientError with the first check that refuses. */
  route(host: string, port: number): Routed | undefined {
    const { kind, detail } = this.#state
    const whyNotRenewed = kind === 'connected' ? '' : `: ${detail ?? 'the Controller is not reached'}`
    try {
      return routeTo(this.knowledge, { host, port }, this.now(), whyNotRenewed)
    } catch (error) {
      // Somebody waits for what only the Controller can renew.
      if (error instanceof ClientError && error.code === 'expired') this.hurry()
      throw error
    }
  }

  /** Tries at once to reach a Controller that was not reached, if that was not done just now. */
  hurry(): void {
    const nowMs = this.#options.clock.monotonic()
    if (this.channelState !== 'down' || nowMs - this.#hurriedAtMs < HURRY_EVERY_MS) return
    this.#hurriedAtMs = nowMs
    this.#channel?.hurry()
  }

  /**
   * Opens a stream to a destination that was routed. Where no Connector that was known then takes it, or no Relay leads there, those count of which
   * the Controller tells next: all may just be being replaced. Throws ClientError.
   */
  async open(routed: Routed, host: string, port: number, signal: AbortSignal): Promise<Duplex> {
    const { clock } = this.#options
    let way = routed
    let untilMs: number | undefined
    for (;;) {
      try {
        return await this.#openTo(way, host, port, signal)
      } catch (error) {
        if (!(error instanceof ClientError) || !NO_WAY.has(error.code)) throw error
        await this.#news(signal)
        untilMs ??= clock.monotonic() + CHANGE_WAIT_MS
        if (!this.#synced || clock.monotonic() >= untilMs) throw error
        await this.#change(signal)
        const anew = this.route(host, port)
        if (anew === undefined) throw error
        way = anew
      }
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
    this.#caKeeper?.close()
    await this.#channel?.close('bye')
    this.rest.close()
    this.#loginRest.close()
  }

  #openTo({ resource, network }: Routed, host: string, port: number, signal: AbortSignal): Promise<Duplex> {
    return this.pool.open(network, { resource: resource.uid, host, port, protocol: 'tcp' }, signal)
  }

  /** Hurries, and waits until all that the Controller has to say is known, or {@link NEWS_WAIT_MS} have passed. */
  async #news(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    const limit = limited(clock, signal, NEWS_WAIT_MS)
    try {
      while (!this.#synced && this.#state.kind !== 'loginRequired') {
        this.hurry()
        const turn = limited(clock, limit.signal, HURRY_EVERY_MS)
        await this.#bell
          .next(turn.signal)
          .catch(error => {
            if (!turn.timedOut()) throw error
          })
          .finally(turn.done)
      }
    } catch (error) {
      if (!limit.timedOut()) throw error
    } finally {
      limit.done()
    }
  }

  /** Waits until the Controller tells something, or {@link CHANGE_EVERY_MS} have passed. */
  async #change(signal: AbortSignal): Promise<void> {
    const limit = limited(this.#options.clock, signal, CHANGE_EVERY_MS)
    await this.#bell
      .next(limit.signal)
      .catch(error => {
        if (!limit.timedOut()) throw error
      })
      .finally(limit.done)
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
