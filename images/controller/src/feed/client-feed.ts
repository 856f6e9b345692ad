import type { Clock } from '@sallyport/runtime'
import { type ToClient, tenantIssuer } from '@sallyport/schema'
import type { Issuer } from '../issue/issuer.ts'
import type { TenantKeys } from '../key/tenant-key.ts'
import type { Access } from '../state/access.ts'
import type { HeldDevice } from '../state/row.ts'
import type { TenantState } from '../state/tenant-state.ts'
import { Alarm, Coalescer } from './coalescer.ts'
import type { Sink } from './connector-feed.ts'

export type ClientFeedDeps = {
  state: TenantState
  access: Access
  issuer: Issuer
  keys: TenantKeys
  clock: Clock
  sink: Sink<ToClient>
  /** Whether the person is an admin, and what the Client must be told at every start. */
  person: { admin: boolean; warnings: string[] }
}

/** Keeps one device up to date: resource map, and per network its Client ACL and connection token. */
export class ClientFeed {
  readonly device: string
  readonly login: string
  appliedRevision: number | undefined
  readonly #deps: ClientFeedDeps
  readonly #coalescer: Coalescer
  readonly #alarm: Alarm
  readonly #sent = new Map<string, { acl: string; connection: string; name: string }>()
  #sentResources: string | undefined
  #certificateRenewAtMs = 0
  #trust = true

  constructor(device: string, login: string, deps: ClientFeedDeps) {
    this.device = device
    this.login = login
    this.#deps = deps
    this.#coalescer = new Coalescer(deps.clock, () => this.#push())
    this.#alarm = new Alarm(deps.clock, () => this.#coalescer.poke())
  }

  /** Sends the welcome and everything; later calls what has changed. */
  start(): void {
    const held = this.#held()
    if (held?.login === undefined) {
      this.#loginEnded()
      return
    }
    const { state, clock, sink, person } = this.#deps
    sink.send({
      type: 'welcome',
      nowMs: clock.now(),
      tenant: state.tenant,
      issuer: tenantIssuer(state.tenant),
      device: this.device,
      user: { id: held.row.user, email: state.people.get(held.row.user)?.email ?? '', admin: person.admin },
      loginEndsAtMs: held.login.endsAtMs,
      revision: state.revision,
      warnings: person.warnings,
    })
    this.#coalescer.poke()
  }

  /** Something that this device's access rests on has changed. */
  changed(): void {
    this.#coalescer.poke()
  }

  trustChanged(): void {
    this.#trust = true
    this.#coalescer.poke()
  }

  /** Another connection of the device has taken its place. */
  replaced(): void {
    this.#deps.sink.close('replaced')
    this.stop()
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

  #held(): HeldDevice | undefined {
    const { state, access, clock } = this.#deps
    const held = state.devices.get(this.device)
    return held?.login?.id === this.login && access.isLive(held, clock.now()) ? held : undefined
  }

  #push(): void {
    const held = this.#held()
    if (held === undefined) {
      this.#loginEnded()
      return
    }
    const { state, access, issuer, keys, clock, sink } = this.#deps
    const nowMs = clock.now()
    if (this.#trust) {
      this.#trust = false
      sink.send({ type: 'trust', tenantCa: keys.caBundle, clientAclJwks: keys.jwks('clientAcl') })
    }
    if (nowMs >= this.#certificateRenewAtMs) {
      const { pem, renewAtMs } = issuer.deviceCertificate(held)
      this.#certificateRenewAtMs = renewAtMs
      sink.send({ type: 'certificate', pem })
    }
    const resources = access.clientResources(held, nowMs)
    const said = JSON.stringify(resources)
    if (said !== this.#sentResources) sink.send({ type: 'resources', revision: state.revision, resources })
    this.#sentResources = said
    const renewals = this.#sendNetworks(held, nowMs)
    sink.send({ type: 'synced', revision: state.revision })
    const ends = [access.nextEndMs(held, nowMs), held.login?.endsAtMs]
    this.#alarm.set([this.#certificateRenewAtMs, ...ends, ...renewals])
  }

  #sendNetworks(held: HeldDevice, nowMs: number): number[] {
    const { state, access, issuer, sink } = this.#deps
    const renewals: number[] = []
    const now = new Set<string>()
    for (const network of access.networks(held, nowMs)) {
      const acl = issuer.clientAcl(held, network)
      if (acl === undefined) continue
      const last = this.#sent.get(network)
      // A Client that has just come may have used up the capabilities of the token that was signed last.
      const connection = issuer.connectionToken(held, network, acl, { fresh: last === undefined })
      const { spec, metadata } = state.of('network', network)!.body
      const name = spec.displayName ?? metadata.name
      now.add(network)
      renewals.push(acl.renewAtMs, connection.renewAtMs)
      if (last?.acl === acl.jwt && last.connection === connection.jwt && last.name === name) continue
      this.#sent.set(network, { acl: acl.jwt, connection: connection.jwt, name })
      sink.send({ type: 'network', network, name, acl: acl.jwt, connection: connection.jwt })
    }
    for (const network of this.#sent.keys()) {
      if (now.has(network)) continue
      this.#sent.delete(network)
      sink.send({ type: 'networkGone', network })
    }
    return renewals
  }

  #loginEnded(): void {
    const { sink, state } = this.#deps
    const held = state.devices.get(this.device)
    const blocked = held?.row.blocked === 1 || state.people.get(held?.row.user ?? '')?.blocked === true
    const reason = blocked
      ? 'an admin has blocked this user or device'
      : 'the login has ended; run `sallyport login` again'
    for (const network of this.#sent.keys()) sink.send({ type: 'networkGone', network })
    sink.send({ type: 'resources', revision: state.revision, resources: [] })
    sink.send({ type: 'loginRequired', reason })
    sink.send({ type: 'goodbye', code: blocked ? 'blocked' : 'login_ended', message: reason, retry: false })
    this.stop()
    sink.close('login ended')
  }
}
