import { RouteMap } from '@sallyport/policy'
import type {
  ClientAclClaims,
  ClientResource,
  ConnectionClaims,
  DeviceId,
  NetworkId,
  ToClient,
} from '@sallyport/schema'
import { TrustError, type VerifyKeys, verifyClientAcl, verifyConnectionToken, verifyKeys } from '@sallyport/trust'
import { type AccessMap, compileAccess, type GrantedResource } from './access-map.ts'

type Message<T extends ToClient['type']> = Extract<ToClient, { type: T }>

/** What is known of one Remote Network: its tokens, verified, or why they are not believed. */
export type NetworkView = {
  uid: string
  name: string
  aclJwt: string
  acl?: ClientAclClaims
  connection?: ConnectionClaims
  problem?: string
}

/** Ended grants that are kept in mind. */
const MAX_ENDED = 1000
/** By this much the Controller may say so before the end. */
const END_SLACK_MS = 1000

/** The device that the Controller's tokens must be for. */
export type Self = { device: DeviceId; jkt: string }

/** What a batch has changed: networks whose Client ACL is another one, and networks that are gone. */
export type Changes = { renewed: NetworkView[]; gone: string[] }

const NOTHING: Changes = { renewed: [], gone: [] }

/**
 * All that the Controller has said, as far as it could be verified; kept while it cannot be reached. Resources and networks count from the end
 * of their batch on, together: a rule and the ACL that names it are never seen apart.
 */
export class Knowledge {
  readonly #self: Self
  #welcome: Message<'welcome'> | undefined
  #trust: Message<'trust'> | undefined
  #keys: VerifyKeys = new Map()
  #certificate: string | undefined
  #resources: ClientResource[] = []
  #networks: ReadonlyMap<string, NetworkView> = new Map()
  #access: AccessMap | undefined
  #ended: GrantedResource[] = []
  #endedRoutes: RouteMap<GrantedResource> | undefined
  #revision = 0
  #stagedResources: ClientResource[] | undefined
  #stagedNetworks = new Map<string, NetworkView>()

  constructor(self: Self) {
    this.#self = self
  }

  get welcome(): Message<'welcome'> | undefined {
    return this.#welcome
  }

  /** PEM of the CAs of Connectors and devices. */
  get tenantCa(): string | undefined {
    return this.#trust?.tenantCa
  }

  /** PEM of the device's certificate. */
  get certificate(): string | undefined {
    return this.#certificate
  }

  get networks(): ReadonlyMap<string, NetworkView> {
    return this.#networks
  }

  /** Revision that is known whole. */
  get revision(): number {
    return this.#revision
  }

  get access(): AccessMap {
    if (this.#access === undefined) {
      const acls = new Map<string, ClientAclClaims>()
      for (const [uid, { acl }] of this.#networks) if (acl !== undefined) acls.set(uid, acl)
      this.#access = compileAccess(this.#resources, acls)
    }
    return this.#access
  }

  /** The Resource about `host` whose grant has ended and that has left the map since. */
  endedResource(host: string): GrantedResource | undefined {
    this.#endedRoutes ??= new RouteMap(this.#ended)
    return this.#endedRoutes.resourceFor(host)
  }

  /** Takes in a message. `nowMs` is the Controller's time. */
  apply(message: ToClient, nowMs: number): Changes {
    switch (message.type) {
      case 'welcome':
        // A new connection says everything anew.
        this.#welcome = message
        this.#stagedNetworks = new Map()
        return NOTHING
      case 'trust':
        this.#trust = message
        this.#keys = verifyKeys(message.clientAclJwks)
        return NOTHING
      case 'certificate':
        this.#certificate = message.pem
        return NOTHING
      case 'resources':
        this.#stagedResources = message.resources
        return NOTHING
      case 'network':
        this.#stagedNetworks.set(message.network, this.#verify(message, nowMs))
        return NOTHING
      case 'networkGone':
        this.#stagedNetworks.delete(message.network)
        return NOTHING
      case 'synced':
        this.#revision = message.revision
        return this.#commit(nowMs)
      case 'loginRequired':
        return this.#commit(nowMs)
      case 'heartbeat':
      case 'goodbye':
        return NOTHING
    }
  }

  #commit(nowMs: number): Changes {
    const before = this.#networks
    const granted = this.access.granted
    this.#networks = new Map(this.#stagedNetworks)
    this.#resources = this.#stagedResources ?? this.#resources
    this.#access = undefined
    this.#remember(granted, nowMs)
    return {
      renewed: [...this.#networks.values()].filter(
        ({ uid, aclJwt, acl }) => acl !== undefined && before.get(uid)?.aclJwt !== aclJwt,
      ),
      gone: [...before.keys()].filter(uid => !this.#networks.has(uid)),
    }
  }

  /** Keeps in mind what has ended: `expired` says more to a person than that there is no such name. */
  #remember(before: GrantedResource[], nowMs: number): void {
    const now = new Set(this.access.granted.map(({ uid }) => uid))
    const ended = before.filter(({ endMs }) => endMs !== undefined && nowMs >= endMs - END_SLACK_MS)
    this.#ended = [...ended, ...this.#ended].filter(({ uid }) => !now.has(uid)).slice(0, MAX_ENDED)
    this.#endedRoutes = undefined
  }

  #verify({ network, name, acl: aclJwt, connection }: Message<'network'>, nowMs: number): NetworkView {
    const view: NetworkView = { uid: network, name, aclJwt }
    const issuer = this.#welcome?.issuer ?? ''
    const { device, jkt } = this.#self
    const check = { keys: this.#keys, issuer, jkt, nowMs }
    try {
      const acl = verifyClientAcl(aclJwt, { ...check, network: network as NetworkId })
      if (acl.device !== device) throw new TrustError('wrong_subject', 'access list of another device')
      const claims = verifyConnectionToken(connection, { ...check, device })
      if (claims.network !== network) throw new TrustError('wrong_audience', 'connection token of another network')
      return { ...view, acl, connection: claims }
    } catch (error) {
      if (!(error instanceof TrustError)) throw error
      return { ...view, problem: `${error.code}: ${error.message}` }
    }
  }
}
