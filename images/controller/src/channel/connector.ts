import {
  acceptControlChannel,
  type Clock,
  type Log,
  messageParser,
  type ServerChannel,
  type Supervisor,
} from '@sallyport/runtime'
import { FromConnector, type LiveSession, type ToConnector } from '@sallyport/schema'
import { ReplayGuard, TrustError, verifyControllerAssertion } from '@sallyport/trust'
import { storeAccessLog } from '../access-log.ts'
import { ApiError } from '../error.ts'
import { ConnectorFeed } from '../feed/connector-feed.ts'
import type { Hub } from '../feed/hub.ts'
import { bearerToken } from '../operator-auth.ts'
import type { ConnectorPresence } from '../state/presence.ts'
import type { ConnectorKey } from '../state/row.ts'
import type { Store } from '../store/index.ts'
import type { Tenants } from '../tenant.ts'
import type { Upgrade } from './upgrade.ts'

/** Most assertions remembered at a time; a Connector makes one per connection. */
const MAX_ASSERTIONS = 100_000
/** Sessions of one Connector that are remembered: as many as it can report at once. */
const MAX_SESSIONS = 20_000

export type ChannelDeps = {
  store: Store
  tenants: Tenants
  clock: Clock
  log: Log
  supervisor: Supervisor
  clockLeewaySeconds: number
}

const incoming = messageParser(FromConnector)

/** Makes the handler of `wss /v1/connector`: verifies the assertion, finds the slot, keeps the Connector up to date. */
export function connectorChannels(deps: ChannelDeps): (upgrade: Upgrade) => Promise<void> {
  const assertions = new ReplayGuard(MAX_ASSERTIONS)
  return async ({ request, socket, head }) => {
    const { hub, key } = await authenticateConnector(deps, assertions, request.headers.authorization)
    const { clock } = deps
    const presence = hub.presence.seen(key.connectorId, clock.monotonic())
    let session: ConnectorChannel | undefined
    acceptControlChannel<FromConnector, ToConnector>(
      request,
      socket,
      head,
      {
        incoming,
        clock,
        heartbeat: () => ({ type: 'heartbeat', nowMs: clock.now() }),
        onMessage: message => session?.receive(message),
        onEnd: () => session?.end(),
      },
      channel => {
        session = new ConnectorChannel(deps, hub, key, presence, channel)
      },
    )
  }
}

async function authenticateConnector(
  { tenants, clock, clockLeewaySeconds }: ChannelDeps,
  assertions: ReplayGuard,
  authorization: string | undefined,
): Promise<{ hub: Hub; key: ConnectorKey }> {
  const nowMs = clock.now()
  const proved = judged(() =>
    verifyControllerAssertion(bearerToken(authorization), { nowMs, leewaySeconds: clockLeewaySeconds }),
  )
  for (const { hub } of tenants.values()) {
    await hub.caughtUp()
    const key = hub.state.connectorKeys.get(proved.connectorId)
    if (key === undefined) continue
    if (hub.state.slots.get(key.slot)?.row.blocked === 1) throw new ApiError('connector_blocked')
    // Remembered of known keys alone: strangers, who make keys as they like, take no room.
    const untilMs = proved.expiresAtMs + 2 * clockLeewaySeconds * 1000
    if (!assertions.first(`${proved.connectorId} ${proved.jti}`, untilMs, nowMs))
      throw new ApiError('unauthenticated', 'the assertion was used before')
    return { hub, key }
  }
  throw new ApiError('unknown_connector')
}

function judged<T>(verify: () => T): T {
  try {
    return verify()
  } catch (cause) {
    if (!(cause instanceof TrustError)) throw cause
    if (cause.code === 'expired') throw new ApiError('token_expired', undefined, { cause })
    throw new ApiError(cause.code === 'clock_skew' ? 'clock_skew' : 'unauthenticated', undefined, { cause })
  }
}

/** One Connector's control channel. */
class ConnectorChannel {
  readonly #deps: ChannelDeps
  readonly #hub: Hub
  readonly #connectorId: string
  readonly #slot: string
  readonly #presence: ConnectorPresence
  readonly #channel: ServerChannel<ToConnector>
  readonly #feed: ConnectorFeed
  #greeted = false
  #draining = false
  #reported = false

  constructor(
    deps: ChannelDeps,
    hub: Hub,
    key: ConnectorKey,
    presence: ConnectorPresence,
    channel: ServerChannel<ToConnector>,
  ) {
    this.#deps = deps
    this.#hub = hub
    this.#connectorId = key.connectorId
    this.#slot = key.slot
    this.#presence = presence
    this.#channel = channel
    const { state, issuer } = hub
    hub.connectors.get(key.connectorId)?.replaced()
    this.#feed = new ConnectorFeed(key, { state, issuer, clock: deps.clock, presence, sink: channel })
    hub.connectors.set(key.connectorId, this.#feed)
    presence.connected = true
    presence.appliedRevision = undefined
    hub.rowChanged(key.slot)
  }

  receive(message: FromConnector): void {
    const { clock, supervisor } = this.#deps
    this.#presence.seenAtMs = clock.monotonic()
    switch (message.type) {
      case 'hello':
        if (this.#greeted) return
        this.#greeted = true
        supervisor.run('connector hello', this.#hello(message.version, message.host))
        return
      case 'heartbeat':
        this.#heartbeat(message.ready, message.relays)
        return
      case 'applied':
        this.#presence.appliedRevision = message.revision
        this.#hub.acknowledged(this.#connectorId, message.revision)
        return
      case 'sessions':
        if (message.complete) this.#presence.sessions.clear()
        this.#noteSessions(message.sessions)
        this.#feed.sessionsOpened(message.sessions.map(({ device }) => device))
        if (message.complete) this.#feed.sessionsKnown()
        return
      case 'sessionClosed':
        this.#presence.sessions.delete(message.session)
        return
      case 'accessLog':
        supervisor.run('access log', this.#accessLog(message.records))
        return
      case 'draining':
        if (this.#draining) return
        this.#draining = true
        supervisor.run('connector draining', this.#updateKey({ drainingAtMs: clock.now() }))
        return
    }
  }

  end(): void {
    this.#feed.stop()
    if (this.#hub.connectors.get(this.#connectorId) !== this.#feed) return
    this.#hub.connectors.delete(this.#connectorId)
    this.#presence.connected = false
    this.#presence.ready = false
    this.#presence.seenAtMs = this.#deps.clock.monotonic()
    this.#hub.connectorGone(this.#connectorId)
    this.#hub.rowChanged(this.#slot)
    this.#hub.relayRowsChanged()
    this.#hub.topologyChanged(this.#feed.key.network)
  }

  #noteSessions(opened: readonly LiveSession[]): void {
    const { sessions } = this.#presence
    for (const session of opened)
      if (sessions.size < MAX_SESSIONS || sessions.has(session.session)) sessions.set(session.session, session)
  }

  /** A Connector that comes back with its key is not draining any more, unless another one has taken the slot. */
  async #hello(version: string, host: string): Promise<void> {
    const { state } = this.#hub
    const key = state.connectorKeys.get(this.#connectorId)
    if (key === undefined) return
    const alone = state.keysOf(key.slot).length === 1
    const undrain = key.drainingAtMs !== undefined && alone
    if (key.version === version && key.host === host && key.occupied && !undrain) return
    await this.#updateKey({ version, host, occupied: 1, ...(undrain && { drainingAtMs: null }) })
  }

  #heartbeat(ready: boolean, relays: ConnectorPresence['relays']): void {
    const presence = this.#presence
    const registered = (list: ConnectorPresence['relays']) =>
      list
        .filter(relay => relay.registered)
        .map(({ name }) => name)
        .sort()
        .join()
    const isNews = !this.#reported || presence.ready !== ready || registered(presence.relays) !== registered(relays)
    this.#reported = true
    presence.ready = ready
    presence.relays = relays
    presence.clockOffsetMs = this.#channel.peerOffsetMs
    if (!isNews) return
    // Who hears that a Connector is back knows by then at which Relays.
    this.#hub.relayRowsChanged()
    this.#hub.rowChanged(this.#slot)
    this.#hub.topologyChanged(this.#feed.key.network)
  }

  async #accessLog(records: Parameters<typeof storeAccessLog>[2]): Promise<void> {
    const { tenant } = this.#hub.state
    const reporter = { tenant, network: this.#feed.key.network, connector: this.#connectorId }
    await storeAccessLog(this.#deps.store, reporter, records)
    this.#channel.send({ type: 'accessLogAck', ids: records.map(({ id }) => id) })
  }

  async #updateKey(values: {
    version?: string
    host?: string
    occupied?: 1
    drainingAtMs?: number | null
  }): Promise<void> {
    await this.#deps.store.withTransaction(this.#hub.state.tenant, async tx => {
      await tx.db
        .updateTable('connectorKeys')
        .set(values)
        .where('tenant', '=', tx.tenant)
        .where('connectorId', '=', this.#connectorId)
        .execute()
      tx.changed({ kind: 'slot', uid: this.#slot })
    })
  }
}
