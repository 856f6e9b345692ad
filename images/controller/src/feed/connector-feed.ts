import type { Clock, ServerChannel } from '@sallyport/runtime'
import type { Floor, ToConnector } from '@sallyport/schema'
import type { Issuer } from '../issue/issuer.ts'
import type { ConnectorPresence } from '../state/presence.ts'
import type { ConnectorKey } from '../state/row.ts'
import type { TenantState } from '../state/tenant-state.ts'
import { Alarm, Coalescer } from './coalescer.ts'

/** Longest wait for the list of sessions before the first batch, so that renewed Client ACLs arrive with the floors. */
const FIRST_BATCH_MS = 500

/** Floors in one message. */
const MAX_FLOORS = 10_000

/** Bytes that wait to be sent, above which a Connector gets no more Client ACLs: a floor that comes next waits behind them. */
const CLIENT_ACL_ROOM_BYTES = 1024 * 1024

/** Where a feed's messages go. */
export type Sink<O> = Pick<ServerChannel<O>, 'send' | 'close'>

export type ConnectorFeedDeps = {
  state: TenantState
  issuer: Issuer
  clock: Clock
  presence: ConnectorPresence
  sink: Pick<ServerChannel<ToConnector>, 'send' | 'close' | 'queuedBytes' | 'whenRoom'>
}

/** What has to go out with the next batch. */
type Dirty = {
  floors: Floor[] | 'all'
  acl: boolean
  devices: Set<string>
  relays: boolean
  trust: boolean
  certificate: boolean
}

const everything = (): Dirty => ({
  floors: 'all',
  acl: true,
  devices: new Set(),
  relays: true,
  trust: true,
  certificate: true,
})
const nothing = (): Dirty => ({
  ...everything(),
  floors: [],
  acl: false,
  relays: false,
  trust: false,
  certificate: false,
})

/**
 * Keeps one Connector up to date: floors first, then the keys that it needs for what follows, the Connector ACL, and the Client ACLs of devices
 * with live sessions there.
 */
export class ConnectorFeed {
  key: ConnectorKey
  /** Revision of the batch that was begun last. */
  sentRevision = 0
  readonly #deps: ConnectorFeedDeps
  readonly #coalescer: Coalescer
  readonly #alarm: Alarm
  readonly #sentAcls = new Map<string, string>()
  #dirty = everything()
  #sentAcl: string | undefined
  #begun = false
  #waitsForRoom = false
  #renewals = { acl: 0, relays: 0, certificate: 0 }

  constructor(key: ConnectorKey, deps: ConnectorFeedDeps) {
    this.key = key
    this.#deps = deps
    this.#coalescer = new Coalescer(deps.clock, () => this.#push())
    this.#alarm = new Alarm(deps.clock, () => this.#renew())
    const { state, clock, sink } = deps
    sink.send({
      type: 'welcome',
      nowMs: clock.now(),
      connectorId: key.connectorId,
      slot: key.slot,
      network: key.network,
      revision: state.revision,
    })
    this.#alarm.set([clock.now() + FIRST_BATCH_MS])
  }

  /** The Connector has said which sessions it has: the first batch can go. */
  sessionsKnown(): void {
    if (this.#begun) return
    this.#begun = true
    this.#coalescer.poke()
  }

  /** The network has changed: the Connector gets a batch with these floors and, where they live there, renewed ACLs of `devices`. */
  networkChanged(floors: readonly Floor[], devices: Iterable<string>): void {
    if (this.#dirty.floors !== 'all') this.#dirty.floors.push(...floors)
    for (const device of devices) this.#dirty.devices.add(device)
    this.#dirty.acl = true
    if (this.#begun) this.#coalescer.poke()
  }

  /** Sessions were opened: their devices' ACLs go out where newer ones have been signed. */
  sessionsOpened(devices: Iterable<string>): void {
    for (const device of devices) this.#dirty.devices.add(device)
    if (this.#begun) this.#coalescer.poke()
  }

  relaysChanged(): void {
    this.#dirty.relays = true
    if (this.#begun) this.#coalescer.poke()
  }

  trustChanged(): void {
    this.#dirty.trust = true
    if (this.#begun) this.#coalescer.poke()
  }

  /** Takes the network's Resources from the Connector, says why and closes. */
  expel(code: string, message: string, { blocked = false }: { blocked?: boolean } = {}): void {
    const { sink, issuer } = this.#deps
    if (blocked) {
      sink.send({ type: 'connectorAcl', jwt: issuer.connectorAcl(this.key.network, { blocked }).jwt })
      sink.send({ type: 'synced', revision: this.#deps.state.revision })
    }
    sink.send({ type: 'goodbye', code, message, retry: true })
    sink.close(code)
    this.stop()
  }

  /** The same Connector has made another connection. */
  replaced(): void {
    this.#deps.sink.close('replaced')
    this.stop()
  }

  /** Closes the session `id` at the Connector; false when it cannot be told. */
  closeSession(id: string): boolean {
    return this.#deps.sink.send({ type: 'closeSession', session: id })
  }

  /** Says that the Controller stops. */
  goodbye(code: string, message: string): void {
    this.#deps.sink.send({ type: 'goodbye', code, message, retry: true })
    this.replaced()
  }

  stop(): void {
    this.#coalescer.stop()
    this.#alarm.stop()
  }

  #push(): void {
    const { state, issuer, sink, presence } = this.#deps
    const dirty = this.#dirty
    this.#dirty = nothing()
    this.sentRevision = state.revision
    const live = new Set([...presence.sessions.values()].map(({ device }) => device))
    const devices = dirty.floors === 'all' ? live : [...dirty.devices].filter(device => live.has(device))
    this.#sendFloors(dirty.floors)
    if (dirty.trust) sink.send({ type: 'trust', jwt: issuer.trustUpdate(this.key.network) })
    const acl = issuer.connectorAcl(this.key.network)
    if (dirty.acl && acl.jwt !== this.#sentAcl) sink.send({ type: 'connectorAcl', jwt: acl.jwt })
    if (dirty.acl) this.#sentAcl = acl.jwt
    if (dirty.relays) {
      const { relays, renewAtMs } = issuer.relays(this.key)
      sink.send({ type: 'relays', relays })
      this.#renewals.relays = renewAtMs
    }
    if (dirty.certificate) {
      const { pem, renewAtMs } = issuer.connectorCertificate(this.key)
      sink.send({ type: 'certificate', pem })
      this.#renewals.certificate = renewAtMs
    }
    this.#renewals.acl = acl.renewAtMs
    for (const device of this.#sentAcls.keys()) if (!live.has(device)) this.#sentAcls.delete(device)
    this.#sendClientAcls(devices)
    if (this.#dirty.devices.size > 0) this.#goOnWhenThereIsRoom()
    else sink.send({ type: 'synced', revision: state.revision })
    this.#setAlarm(live)
  }

  #sendFloors(floors: Dirty['floors']): void {
    const { state, sink, clock } = this.#deps
    if (floors !== 'all') {
      for (const message of floorMessages(floors, { complete: false })) sink.send(message)
      return
    }
    const nowMs = clock.now()
    const all = [...(state.floors.get(this.key.network)?.values() ?? [])].filter(({ untilMs }) => nowMs < untilMs)
    const said = all.map(({ device, rev, untilMs }) => ({ device, rev, untilMs }))
    for (const message of floorMessages(said, { complete: true })) sink.send(message)
  }

  /** Sends as many as there is room for; the others are what the next batch begins with. */
  #sendClientAcls(devices: Iterable<string>): void {
    const { sink } = this.#deps
    for (const id of devices) {
      if (sink.queuedBytes > CLIENT_ACL_ROOM_BYTES) this.#dirty.devices.add(id)
      else this.#sendClientAcl(id)
    }
  }

  #goOnWhenThereIsRoom(): void {
    if (this.#waitsForRoom) return
    this.#waitsForRoom = true
    this.#deps.sink.whenRoom(CLIENT_ACL_ROOM_BYTES / 2, () => {
      this.#waitsForRoom = false
      this.#coalescer.runNow()
    })
  }

  #sendClientAcl(id: string): void {
    const { state, issuer, sink } = this.#deps
    const device = state.devices.get(id)
    const issued = device && issuer.clientAcl(device, this.key.network)
    if (issued === undefined || this.#sentAcls.get(id) === issued.jwt) return
    sink.send({ type: 'clientAcl', device: id, jwt: issued.jwt })
    this.#sentAcls.set(id, issued.jwt)
  }

  #renew(): void {
    if (!this.#begun) {
      this.sessionsKnown()
      return
    }
    const { clock, presence } = this.#deps
    const nowMs = clock.now()
    this.#dirty.acl ||= nowMs >= this.#renewals.acl
    this.#dirty.relays ||= nowMs >= this.#renewals.relays
    this.#dirty.certificate ||= nowMs >= this.#renewals.certificate
    for (const { device } of presence.sessions.values()) this.#dirty.devices.add(device)
    this.#coalescer.poke()
  }

  #setAlarm(live: Iterable<string>): void {
    const { state, issuer } = this.#deps
    const times: (number | undefined)[] = Object.values(this.#renewals)
    for (const id of live) {
      const device = state.devices.get(id)
      times.push(device && issuer.clientAcl(device, this.key.network)?.renewAtMs)
    }
    this.#alarm.set(times)
  }
}

/** Messages that say `floors`: all there are when `complete`, of which none is said as well, else those that are new. */
export function* floorMessages(
  floors: readonly Floor[],
  { complete }: { complete: boolean },
): Generator<Extract<ToConnector, { type: 'floors' }>> {
  for (let at = 0; (complete && at === 0) || at < floors.length; at += MAX_FLOORS)
    yield { type: 'floors', floors: floors.slice(at, at + MAX_FLOORS), complete: complete && at === 0 }
}
