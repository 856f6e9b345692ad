import type { ChannelEnd, Check, Clock, Log, ProxySettings, Supervisor } from '@sallyport/runtime'
import type { AccessLogRecord, ToConnector } from '@sallyport/schema'
import { TrustError } from '@sallyport/trust'
import { AccessState } from './access/access-state.ts'
import { ControllerLoss } from './access/controller-loss.ts'
import { ControllerTime } from './access/controller-time.ts'
import { ControllerLink } from './controller-link.ts'
import type { AccessLog } from './log/access-log.ts'
import type { ConnectorMetrics } from './metrics.ts'
import { RelaySet } from './relay/relay-set.ts'
import { sessionMessages } from './session/report.ts'
import { SessionRegistry } from './session/session-registry.ts'
import { Credential } from './state/credential.ts'
import type { Enrolment, Identity } from './state/identity.ts'
import { type SavedState, saveState } from './state/saved-state.ts'
import { controllerCaOf, type TrustView } from './state/trust-view.ts'
import type { Reach } from './target/reach.ts'

export type ServingOptions = {
  stateDirectory: string
  identity: Identity
  enrolment: Enrolment
  trust: TrustView
  saved: SavedState | undefined
  reach: Reach
  accessLog: AccessLog
  /** Takes a record for the access log. */
  record: (record: AccessLogRecord) => void
  proxy: ProxySettings
  clock: Clock
  log: Log
  metrics: ConnectorMetrics
  supervisor: Supervisor
  /** The Controller does not know this key: it must be replaced. */
  onUnknownIdentity: () => void
}

/** A Connector with an identity: control channel, Relays and sessions, held together by the state of access. */
export class Serving {
  readonly access: AccessState
  readonly time: ControllerTime
  readonly sessions: SessionRegistry
  readonly relays: RelaySet
  readonly #options: ServingOptions
  readonly #credential: Credential
  readonly #link: ControllerLink
  readonly #loss: ControllerLoss
  /** A Connector ACL that came before the trust that vouches for it. */
  #refusedAcl: string | undefined
  #writing: Promise<void> = Promise.resolve()
  #draining = false
  /** The Controller has refused a connection because an admin has blocked this Connector. */
  #blocked = false

  /** Begins to serve from what was saved, before the Controller is reached. */
  constructor(options: ServingOptions) {
    this.#options = options
    const { identity, trust, saved, clock, log, proxy, metrics } = options
    this.#credential = new Credential(options.stateDirectory, identity, options.enrolment, trust)
    this.time = new ControllerTime(clock, saved?.clockOffsetMs)
    trust.restore(saved?.trustUpdate, this.time.now())
    this.access = new AccessState(trust.access, saved?.access, this.time.now())
    this.#loss = new ControllerLoss(clock, () => {
      log.warn('without the Controller for longer than the network allows: everything is closed')
      this.sessions.settle()
    })
    this.sessions = new SessionRegistry({
      access: this.access,
      time: this.time,
      clock,
      log,
      reach: options.reach,
      metrics,
      record: options.record,
      suspended: () => (this.#blocked ? 'revoked' : this.#loss.expired ? 'controller_lost' : undefined),
      tenant: trust.current.tenant,
      trust: this.#credential.acceptorTrust,
      onOpened: session => void this.#link.send({ type: 'sessions', complete: false, sessions: [session] }),
      onClosed: (session, reason) => void this.#link.send({ type: 'sessionClosed', session, reason }),
    })
    this.relays = new RelaySet({
      keys: identity.keys,
      ca: () => trust.current.installationCa,
      nowMs: () => this.time.now(),
      proxy,
      clock,
      log,
      onClient: (socket, relay) => this.sessions.accept(socket, relay),
      onDraining: relay => this.sessions.leave(relay),
      onRegistered: relay => this.sessions.join(relay),
      onChange: () => this.#link.beat(),
    })
    this.#link = new ControllerLink({
      identity,
      controllerUrl: () => trust.current.controllerUrl,
      ca: () => controllerCaOf(trust.current),
      time: this.time,
      clock,
      log,
      proxy,
      revision: () => this.access.revision,
      heartbeat: () => ({ ready: this.ready, relays: this.relays.reports }),
      onOpen: () => this.#opened(),
      onMessage: message => this.#receive(message),
      onUnknownType: () => metrics.unknownMessages.inc(),
      onDown: end => this.#down(end),
    })
    this.#loss.lost(this.access.onControllerLoss)
    this.#updateRelays(saved?.connectorId === identity.connectorId ? saved.relays : [])
  }

  get connected(): boolean {
    return this.#link.connected
  }

  /** Conditions of readiness (N6). Contact with the Controller is none of them. */
  get checks(): Check[] {
    return [
      {
        name: 'registered',
        failing: () => (this.relays.registered > 0 ? undefined : 'registered at no Relay'),
      },
      {
        name: 'acl',
        failing: () =>
          this.#blocked
            ? 'an admin has blocked this Connector'
            : this.#loss.expired
              ? 'without the Controller for longer than the network allows'
              : this.access.unservable(this.time.now()),
      },
      { name: 'draining', failing: () => (this.#draining ? 'shutting down' : undefined) },
    ]
  }

  get ready(): boolean {
    return this.checks.every(({ failing }) => failing() === undefined)
  }

  /** The Secret has changed: its `trust.json` has been taken by the trust view. */
  trustReplaced(): void {
    this.access.setTrust(this.#options.trust.access)
    this.sessions.setTrust(this.#credential.acceptorTrust)
    this.#link.reconnect()
  }

  /** Sends access-log records to the Controller; false when there is no connection. */
  sendRecords(records: AccessLogRecord[]): boolean {
    return this.#link.send({ type: 'accessLog', records })
  }

  /** Takes no new streams, says so to Controller, Relays and Clients, and closes what is left after `graceMs`. */
  async drain(graceMs: number): Promise<void> {
    if (this.#draining) return
    this.#draining = true
    this.#link.send({ type: 'draining' })
    this.#link.beat()
    await this.relays.close()
    await this.sessions.drain(graceMs)
  }

  /** Ends everything at once. */
  async close(): Promise<void> {
    this.#loss.regained()
    this.sessions.closeAll('connector_lost', 'closed')
    await Promise.all([this.relays.close(), this.#link.close('closed')])
    await this.#writing
  }

  #opened(): void {
    this.#options.metrics.controllerConnected.set(1)
    // The Controller takes a greeting for the end of a drain.
    if (this.#draining) this.#link.send({ type: 'draining' })
    for (const message of sessionMessages(this.sessions.reports)) this.#link.send(message)
    this.#options.accessLog.connected()
  }

  #down({ status, error }: ChannelEnd): void {
    this.#options.metrics.controllerConnected.set(0)
    this.#loss.lost(this.access.onControllerLoss)
    if (status === 403 && error === 'connector_blocked') this.#blocked = true
    // A batch that was cut off will not be completed: what has come of it counts.
    this.sessions.settle()
    if (status === 401 && error === 'unknown_connector') this.#options.onUnknownIdentity()
  }

  #receive(message: ToConnector): void {
    switch (message.type) {
      case 'welcome':
      case 'heartbeat':
        return
      case 'floors':
        this.access.takeFloors(message.floors, this.time.now())
        this.sessions.settleSoon()
        return
      case 'connectorAcl':
        this.#takeAcl(message.jwt)
        return
      case 'clientAcl':
        this.sessions.pushAcl(message.device, message.jwt)
        this.sessions.settleSoon()
        return
      case 'relays':
        this.#updateRelays(message.relays)
        return
      case 'certificate':
        this.#takeCertificate(message.pem)
        return
      case 'trust':
        this.#takeTrust(message.jwt)
        return
      case 'accessLogAck':
        this.#options.accessLog.acknowledged(message.ids)
        return
      case 'closeSession':
        this.sessions.closeSession(message.session)
        return
      case 'drain':
        this.#options.supervisor.run('drain', this.drain(message.seconds * 1000))
        return
      case 'synced':
        this.#synced(message.revision)
        return
      case 'goodbye':
        this.#options.log.info({ code: message.code }, `the Controller says goodbye: ${message.message}`)
        return
    }
  }

  #takeAcl(jwt: string): void {
    this.#refusedAcl = undefined
    try {
      this.access.takeAcl(jwt, this.time.now())
    } catch (error) {
      if (!(error instanceof TrustError)) throw error
      this.#options.log.error({ code: error.code }, `Connector ACL refused: ${error.message}`)
      this.#refusedAcl = jwt
    }
    this.sessions.settleSoon()
  }

  #takeTrust(jwt: string): void {
    const { trust, log } = this.#options
    try {
      trust.take(jwt, this.time.now())
    } catch (error) {
      if (!(error instanceof TrustError)) throw error
      log.error({ code: error.code }, `trust update refused: ${error.message}`)
      return
    }
    this.access.setTrust(trust.access)
    this.sessions.setTrust(this.#credential.acceptorTrust)
    if (this.#refusedAcl !== undefined) this.#takeAcl(this.#refusedAcl)
  }

  #takeCertificate(certificate: string): void {
    const { log, supervisor } = this.#options
    const problem = this.#credential.renew(certificate)
    if (problem !== undefined) {
      log.error(`certificate refused: ${problem}`)
      return
    }
    this.sessions.setTrust(this.#credential.acceptorTrust)
    supervisor.run('save certificate', this.#credential.save())
  }

  /** The state is complete: it is judged by, written to disk, and only then acknowledged. */
  #synced(revision: number): void {
    const { supervisor } = this.#options
    if (this.#refusedAcl !== undefined) {
      this.sessions.settle()
      return
    }
    this.access.complete(revision)
    this.#loss.regained()
    this.#blocked = false
    this.sessions.settle()
    supervisor.run(
      'save access',
      this.#save().then(() => {
        this.#link.send({ type: 'applied', revision })
        this.#link.beat()
      }),
    )
  }

  #updateRelays(relays: Parameters<RelaySet['update']>[0]): void {
    this.#options.supervisor.run('relays', this.relays.update(relays))
  }

  /** One write after the other; a later one holds all that an earlier one did. */
  #save(): Promise<void> {
    const { stateDirectory, trust, enrolment, identity } = this.#options
    const write = this.#writing.then(() =>
      saveState(stateDirectory, {
        network: enrolment.network,
        connectorId: identity.connectorId,
        access: this.access.save(this.time.now()),
        relays: [...this.relays.entries],
        ...(trust.update === undefined ? {} : { trustUpdate: trust.update }),
        clockOffsetMs: this.time.offsetMs,
      }),
    )
    this.#writing = write.catch(() => undefined)
    return write
  }
}
