import { type Cidr, ConnectorRules, type FormerRule, type Grants, grantsOf, parseExceptions } from '@sallyport/policy'
import type { ConnectorAclClaims, DeviceId, Floor, NetworkId, OnControllerLoss, ResourceId } from '@sallyport/schema'
import { type VerifyKeys, verifyClientAcl, verifyConnectorAcl } from '@sallyport/trust'

/** Longest life of a Client ACL: former rules are kept as long, since one that names them may live as long. */
export const MAX_CLIENT_ACL_LIFE_MS = 24 * 3600 * 1000

/** Whose signatures count, and for which network. */
export type AccessTrust = {
  issuer: string
  network: NetworkId
  clientAclKeys: VerifyKeys
  connectorAclKeys: VerifyKeys
}

/** A Client ACL that was verified. */
export type ClientAcl = {
  device: DeviceId
  user: string
  rev: number
  grants: Grants
  /** Its own end, on the Controller's clock. */
  endMs: number
}

/** What is written to disk before a revision is acknowledged. */
export type SavedAccess = {
  revision: number
  acl?: string
  floors: Floor[]
  former: (Omit<FormerRule, 'resource'> & { resource: string })[]
}

/** The Connector's own half of every decision: its ACL, former rules, floors. All times are the Controller's. */
export class AccessState {
  readonly rules: ConnectorRules
  #trust: AccessTrust
  #revision: number
  #token: string | undefined
  #claims: ConnectorAclClaims | undefined
  #exceptions: Cidr[] = []
  #floors: Map<DeviceId, Floor>

  /** `saved` is what was on disk; its ACL is verified like one that has just come, and passed over when it is not valid. */
  constructor(trust: AccessTrust, saved: SavedAccess | undefined, nowMs: number) {
    this.#trust = trust
    this.rules = new ConnectorRules(
      saved?.former.map(former => ({ ...former, resource: former.resource as ResourceId })),
    )
    this.#revision = saved?.revision ?? 0
    this.#floors = new Map(saved?.floors.map(floor => [floor.device as DeviceId, floor]))
    if (saved?.acl !== undefined) {
      try {
        this.takeAcl(saved.acl, nowMs)
      } catch {
        // Expired, or signed with a key that has gone: there is no ACL until the Controller sends one. Floors stay.
        this.#revision = 0
      }
    }
  }

  /** Revision of the last complete state. */
  get revision(): number {
    return this.#revision
  }

  /** End of the Connector ACL; undefined while there is none. */
  get aclEndMs(): number | undefined {
    return this.#claims === undefined ? undefined : this.#claims.exp * 1000
  }

  get exceptions(): readonly Cidr[] {
    return this.#exceptions
  }

  get onControllerLoss(): OnControllerLoss {
    return this.#claims?.onControllerLoss ?? { mode: 'untilExpiry' }
  }

  /** Why nothing may be served, in a sentence; undefined when it may. */
  unservable(nowMs: number): string | undefined {
    const endMs = this.aclEndMs
    if (this.#revision === 0 || endMs === undefined) return 'no complete Connector ACL has been received'
    return nowMs < endMs ? undefined : 'the Connector ACL has expired'
  }

  setTrust(trust: AccessTrust): void {
    this.#trust = trust
  }

  /** Takes floors; they hold at once, and none falls before its time. Returns the devices whose floor has risen. */
  takeFloors(floors: readonly Floor[], nowMs: number): DeviceId[] {
    const raised: DeviceId[] = []
    const next = new Map<DeviceId, Floor>()
    for (const [device, floor] of this.#floors) if (nowMs < floor.untilMs) next.set(device, floor)
    for (const floor of floors) {
      const device = floor.device as DeviceId
      const known = next.get(device)
      if (known === undefined || floor.rev > known.rev) {
        next.set(device, { ...floor, untilMs: Math.max(floor.untilMs, known?.untilMs ?? 0) })
        raised.push(device)
      } else if (floor.untilMs > known.untilMs) {
        next.set(device, { ...known, untilMs: floor.untilMs })
      }
    }
    this.#floors = next
    return raised
  }

  /** Takes a Connector ACL; false when it is older than the one in force. Throws TrustError. */
  takeAcl(token: string, nowMs: number): boolean {
    const { issuer, network, connectorAclKeys: keys } = this.#trust
    const claims = verifyConnectorAcl(token, { issuer, network, keys, nowMs })
    if (this.#claims !== undefined && claims.rev < this.#claims.rev) return false
    this.#token = token
    this.#claims = claims
    this.#exceptions = parseExceptions(claims.guardExceptions)
    this.rules.replace(claims.resources, nowMs, nowMs + MAX_CLIENT_ACL_LIFE_MS)
    return true
  }

  /** The state is that of `revision`, whole. */
  complete(revision: number): void {
    this.#revision = Math.max(revision, this.#revision)
  }

  /** Verifies a Client ACL shown by the holder of the key `jkt`. Throws TrustError. */
  verifyClientAcl(token: string, jkt: string, nowMs: number): ClientAcl {
    const { issuer, network, clientAclKeys: keys } = this.#trust
    const claims = verifyClientAcl(token, { issuer, network, keys, jkt, nowMs })
    return {
      device: claims.device as DeviceId,
      user: claims.sub,
      rev: claims.rev,
      grants: grantsOf(claims),
      endMs: claims.exp * 1000,
    }
  }

  /** Whether a Client ACL has been revoked: a floor above it stands. */
  isRevoked({ device, rev }: Pick<ClientAcl, 'device' | 'rev'>): boolean {
    return rev < (this.#floors.get(device)?.rev ?? 0)
  }

  /** What must be on disk before the revision is acknowledged. */
  save(nowMs: number): SavedAccess {
    return {
      revision: this.#revision,
      ...(this.#token === undefined ? {} : { acl: this.#token }),
      floors: [...this.#floors.values()].filter(({ untilMs }) => nowMs < untilMs),
      former: this.rules.former(nowMs),
    }
  }
}
