import {
  type AclEntry,
  type ConnectionClaims,
  type ConnectorId,
  type DeviceId,
  MAX_TENANT_RELAYS,
  type NetworkId,
  type OnControllerLoss,
} from '@sallyport/schema'
import {
  issueClientAcl,
  issueConnectionToken,
  issueConnectorAcl,
  issueIdentityCertificate,
  issueRelayPass,
  issueTrustUpdate,
  publicKeyFromJwk,
  type RandomBytes,
  sealCapability,
} from '@sallyport/trust'
import { capabilityToText } from '@sallyport/wire'
import type { TenantKeys } from '../key/tenant-key.ts'
import type { Access } from '../state/access.ts'
import type { Presence } from '../state/presence.ts'
import type { ConnectorKey, DeclaredOf, HeldDevice, HeldRelayKey } from '../state/row.ts'
import type { TenantState } from '../state/tenant-state.ts'
import { aclLifeSeconds, type CertificateLives, livesFor } from './life.ts'

/** Capabilities for each Relay of each Connector: one per dial until the next token. */
const CAPABILITIES = 4
/** Relays named per Connector in a connection token. */
const MAX_RELAYS_PER_CONNECTOR = 8
/** Connectors named in a connection token. */
const MAX_CONNECTORS = 64

/** A signed token and when to replace it. */
export type Issued = { jwt: string; rev: number; renewAtMs: number; expiresAtMs: number }
/** `outstandingUntilMs`: the end of the last to expire of those that were signed for the device and network. */
type CachedAcl = Issued & { key: string; entries: AclEntry[]; outstandingUntilMs: number }
type CachedToken = Issued & { topology: number }

export type IssuerDeps = {
  state: TenantState
  access: Access
  presence: Presence
  keys: TenantKeys
  random: RandomBytes
  clock: { now(): number }
  defaultAclSeconds: number
  certificates: CertificateLives
}

/** Signs what a tenant's Clients and Connectors carry; the same thing is signed once, and again when it is due. */
export class Issuer {
  readonly #deps: IssuerDeps
  readonly #acls = new Map<string, Map<string, CachedAcl>>()
  readonly #tokens = new Map<string, Map<string, CachedToken>>()
  readonly #connectorAcls = new Map<string, Issued & { version: number }>()
  readonly #topology = new Map<string, number>()

  constructor(deps: IssuerDeps) {
    this.#deps = deps
  }

  /** Longest life of a Client ACL in the tenant. */
  longestAclSeconds(): number {
    const { state, defaultAclSeconds } = this.#deps
    let longest = defaultAclSeconds
    for (const { body } of state.all('network')) longest = Math.max(longest, aclLifeSeconds(body, defaultAclSeconds))
    return longest
  }

  /** Signs the device's Client ACL for a network, unless the one signed last still says the same; undefined without a grant there. */
  clientAcl(device: HeldDevice, network: string): Issued | undefined {
    const { state, access, keys, clock, defaultAclSeconds } = this.#deps
    const nowMs = clock.now()
    const entries = access.entries(device, network, nowMs)
    const cached = this.#acls.get(device.row.id)?.get(network)
    if (entries.length === 0 || device.login === undefined) return undefined
    const ownSeconds = aclLifeSeconds(state.of('network', network)?.body, defaultAclSeconds)
    const key = JSON.stringify([entries, device.row.user, device.login.id, ownSeconds])
    const floor = state.floors.get(network)?.get(device.row.id)?.rev ?? 0
    if (cached !== undefined && cached.key === key && cached.rev >= floor && nowMs < cached.renewAtMs) return cached
    const loginSeconds = Math.floor((device.login.endsAtMs - nowMs) / 1000)
    const lifeSeconds = Math.min(ownSeconds, loginSeconds)
    if (lifeSeconds < 1) return undefined
    const content = { ...this.#names(device, network), rev: state.revision, res: entries }
    const jwt = issueClientAcl(keys.signing('clientAcl').current, content, { nowMs, lifeSeconds })
    const times = this.#times(nowMs, lifeSeconds, 3)
    // An earlier one may live longer: the network's life was longer then.
    const outstandingUntilMs = Math.max(times.expiresAtMs, cached?.outstandingUntilMs ?? 0)
    const issued = { jwt, rev: state.revision, key, entries, outstandingUntilMs, ...times }
    remember(this.#acls, device.row.id, network, issued)
    return issued
  }

  /** Client ACLs of the device that have been signed and not all expired: by network the entries of the last, and the end of the longest. */
  outstanding(device: string, nowMs: number): Map<string, { entries: AclEntry[]; untilMs: number }> {
    const found = new Map<string, { entries: AclEntry[]; untilMs: number }>()
    for (const [network, { entries, outstandingUntilMs: untilMs }] of this.#acls.get(device) ?? [])
      if (nowMs < untilMs) found.set(network, { entries, untilMs })
    return found
  }

  /** Signs the device's connection token for a network, unless the one signed last still says the same and need not be `fresh`. */
  connectionToken(device: HeldDevice, network: string, acl: Issued, { fresh = false } = {}): Issued {
    const { state, keys, clock } = this.#deps
    const nowMs = clock.now()
    const topology = this.#topology.get(network) ?? 0
    const cached = this.#tokens.get(device.row.id)?.get(network)
    if (!fresh && cached !== undefined && cached.topology === topology && nowMs < cached.renewAtMs) return cached
    const expiresAtMs = acl.expiresAtMs
    const lifeSeconds = Math.max(1, Math.floor((expiresAtMs - nowMs) / 1000))
    const connectors = this.#connectors(network, expiresAtMs)
    const content = { ...this.#names(device, network), rev: state.revision, connectors }
    const jwt = issueConnectionToken(keys.signing('clientAcl').current, content, { nowMs, lifeSeconds })
    const issued = { jwt, rev: state.revision, topology, ...this.#times(nowMs, lifeSeconds, 3) }
    remember(this.#tokens, device.row.id, network, issued)
    return issued
  }

  /** Connection tokens signed so far for the network no longer say what is. */
  topologyChanged(network: string): void {
    this.#topology.set(network, (this.#topology.get(network) ?? 0) + 1)
  }

  /** Signs the network's Connector ACL, unless the one signed last still says the same. A blocked Connector gets one without Resources. */
  connectorAcl(network: string, { blocked = false }: { blocked?: boolean } = {}): Issued {
    const { state, keys, clock, access } = this.#deps
    const nowMs = clock.now()
    const version = access.version(network)
    const cached = this.#connectorAcls.get(network)
    if (!blocked && cached !== undefined && cached.version === version && nowMs < cached.renewAtMs) return cached
    const spec = state.of('network', network)?.body.spec
    const onControllerLoss: OnControllerLoss = spec?.acl?.onControllerLoss ?? { mode: 'untilExpiry' }
    const resources = blocked ? [] : access.resourcesOf(network)
    const said = { guardExceptions: spec?.guardExceptions ?? [], onControllerLoss, resources }
    const lifeSeconds = this.#lives().connectorAcl
    const { tenant } = state
    const claims = { tenant, network: network as NetworkId, rev: state.revision, ...said }
    const jwt = issueConnectorAcl(keys.signing('connectorAcl').current, claims, { nowMs, lifeSeconds })
    const issued = { jwt, rev: state.revision, version, ...this.#times(nowMs, lifeSeconds, 2) }
    if (!blocked) this.#connectorAcls.set(network, issued)
    return issued
  }

  /** The tenant's Relays with a fresh pass for the Connector. */
  relays(key: ConnectorKey): { relays: { name: string; address: string; pass: string }[]; renewAtMs: number } {
    const { state, keys, clock } = this.#deps
    const nowMs = clock.now()
    const lifeSeconds = this.#lives().pass
    const signing = keys.signing('relayPass').current
    const connectorId = key.connectorId as ConnectorId
    const relays = namedRelays(state).map(({ body: { name, address } }) => ({
      name,
      address,
      pass: issueRelayPass(signing, { connectorId, jkt: key.jkt, relay: name }, { nowMs, lifeSeconds }),
    }))
    return { relays, renewAtMs: nowMs + lifeSeconds * 500 }
  }

  connectorCertificate(key: ConnectorKey): { pem: string; renewAtMs: number } {
    return this.#certificate(key.publicJwk, 'connector', this.#lives().connectorCertificate)
  }

  deviceCertificate(device: HeldDevice): { pem: string; renewAtMs: number } {
    return this.#certificate(device.row.publicJwk, 'device', this.#lives().deviceCertificate)
  }

  /** What the network's Connectors are to trust. */
  trustUpdate(network: string): string {
    const { state, keys, clock } = this.#deps
    const content = {
      tenant: state.tenant,
      network: network as NetworkId,
      rev: state.revision,
      tenantCa: keys.caBundle,
      jwks: { clientAcl: keys.jwks('clientAcl'), connectorAcl: keys.jwks('connectorAcl') },
    }
    const life = { nowMs: clock.now(), lifeSeconds: this.#lives().connectorAcl }
    return issueTrustUpdate(keys.signing('connectorAcl').current, content, life)
  }

  /** Forgets what was signed and has expired. */
  forgetExpired(): void {
    const nowMs = this.#deps.clock.now()
    forget(this.#acls, ({ outstandingUntilMs }) => nowMs >= outstandingUntilMs)
    forget(this.#tokens, ({ expiresAtMs }) => nowMs >= expiresAtMs)
  }

  #names(device: HeldDevice, network: string) {
    const { id, user, jkt } = device.row
    const { tenant } = this.#deps.state
    return { tenant, user, device: id as DeviceId, jkt, network: network as NetworkId }
  }

  #lives() {
    return livesFor(this.longestAclSeconds(), this.#deps.certificates)
  }

  #times(nowMs: number, lifeSeconds: number, part: number) {
    return { renewAtMs: nowMs + (lifeSeconds * 1000) / part, expiresAtMs: nowMs + lifeSeconds * 1000 }
  }

  #certificate(publicJwk: string, role: 'connector' | 'device', lifeSeconds: number) {
    const { state, keys, clock } = this.#deps
    const nowMs = clock.now()
    const publicKey = publicKeyFromJwk(JSON.parse(publicJwk))
    const pem = issueIdentityCertificate(
      keys.authority,
      { publicKey, tenant: state.tenant, role },
      { nowMs, lifeSeconds },
    )
    return { pem, renewAtMs: nowMs + lifeSeconds * 500 }
  }

  /** Connectors of the network that can serve, those known to be ready first; draining ones only where there is no other. */
  #connectors(network: string, expiresAtMs: number): ConnectionClaims['connectors'] {
    const { state, presence } = this.#deps
    const usable = [...state.connectorKeys.values()].filter(
      key => key.network === network && state.slots.get(key.slot)?.row.blocked !== 1,
    )
    const staying = usable.filter(key => key.drainingAtMs === undefined)
    const rank = ({ connectorId }: ConnectorKey) => {
      const there = presence.of(connectorId)
      return there?.connected ? (there.ready ? 0 : 1) : 2
    }
    return (staying.length > 0 ? staying : usable)
      .sort((a, b) => rank(a) - rank(b))
      .slice(0, MAX_CONNECTORS)
      .map(key => ({ id: key.connectorId, pin: key.pin, relays: this.#relaysOf(key, expiresAtMs) }))
  }

  #relaysOf(key: ConnectorKey, expiresAtMs: number) {
    const { state, presence, clock } = this.#deps
    const registered = new Set(
      presence.of(key.connectorId)?.relays.flatMap(({ name, registered }) => (registered ? [name] : [])),
    )
    const nowMs = clock.now()
    return namedRelays(state)
      .flatMap(({ uid, body }) => {
        const held = usableRelayKey(state.relayKeys.get(uid) ?? [], nowMs)
        return held === undefined ? [] : [{ ...body, held }]
      })
      .sort((a, b) => Number(registered.has(b.name)) - Number(registered.has(a.name)))
      .slice(0, MAX_RELAYS_PER_CONNECTOR)
      .map(({ name, address, held }) => ({
        name,
        address,
        capabilities: Array.from({ length: CAPABILITIES }, () => this.#capability(key, held, expiresAtMs)),
      }))
  }

  #capability(key: ConnectorKey, held: HeldRelayKey, expiresAtMs: number): string {
    const { random } = this.#deps
    const serial = Buffer.from(random(8)).readBigUInt64BE()
    const connectorId = key.connectorId as ConnectorId
    return capabilityToText(sealCapability({ connectorId, expiresAtMs, serial }, held.key, random))
  }
}

/** Relays that a tenant's Connectors and Clients are told of; a database may hold more than may be declared. */
function namedRelays(state: TenantState): DeclaredOf<'relay'>[] {
  return [...state.all('relay')].sort((a, b) => (a.body.name < b.body.name ? -1 : 1)).slice(0, MAX_TENANT_RELAYS)
}

/** The key that capabilities are sealed with: the youngest one in use. */
export function usableRelayKey(keys: readonly HeldRelayKey[], nowMs: number): HeldRelayKey | undefined {
  return keys.filter(({ activeAtMs }) => activeAtMs !== undefined && activeAtMs <= nowMs).at(-1)
}

function forget<T>(cache: Map<string, Map<string, T>>, isOver: (value: T) => boolean): void {
  for (const [device, ofDevice] of cache) {
    for (const [network, value] of ofDevice) if (isOver(value)) ofDevice.delete(network)
    if (ofDevice.size === 0) cache.delete(device)
  }
}

function remember<T>(cache: Map<string, Map<string, T>>, device: string, network: string, value: T): void {
  const ofDevice = cache.get(device) ?? new Map<string, T>()
  cache.set(device, ofDevice.set(network, value))
}
