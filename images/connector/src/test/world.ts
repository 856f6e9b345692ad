import { aclEntry, ruleDigest } from '@sallyport/policy'
import type { ConnectorAclClaims, DeviceId, NetworkId, ResourceRule } from '@sallyport/schema'
import {
  deviceIdOf,
  firstOf,
  generateKeyPair,
  issueClientAcl,
  issueConnectorAcl,
  jwksOf,
  signingKey,
  thumbprintOf,
  verifyKeys,
} from '@sallyport/trust'
import type { AccessTrust } from '../access/access-state.ts'

export const TENANT = 'default'
export const NETWORK = '11111111-1111-4111-8111-111111111111' as NetworkId
export const WEB = '22222222-2222-4222-8222-222222222222'
export const DB = '33333333-3333-4333-8333-333333333333'
/** A whole second: ends of tokens are whole seconds. */
export const NOW = 1_800_000_000_000

export const clientAclKey = signingKey('clientAcl')
export const connectorAclKey = signingKey('connectorAcl')
export const clientAclJwks = jwksOf(firstOf(clientAclKey))
export const connectorAclJwks = jwksOf(firstOf(connectorAclKey))

export const trust: AccessTrust = {
  issuer: `sallyport://${TENANT}`,
  network: NETWORK,
  clientAclKeys: verifyKeys(clientAclJwks),
  connectorAclKeys: verifyKeys(connectorAclJwks),
}

/** A rule for `address` on these TCP ports. */
export function rule(address: string, ...ports: number[]): ResourceRule {
  const tcp = { policy: 'Restricted' as const, ports: ports.map(port => ({ start: port, end: port })) }
  return { address, aliases: [], protocols: { tcp, udp: { policy: 'DenyAll' }, icmp: 'Deny' } }
}

export const device = makeDevice()

export function makeDevice() {
  const keys = generateKeyPair()
  return { keys, id: deviceIdOf(keys.publicKey) as DeviceId, jkt: thumbprintOf(keys.publicKey) }
}

type AclOptions = {
  rev?: number
  nowMs?: number
  lifeSeconds?: number
  key?: typeof connectorAclKey
  guardExceptions?: string[]
  onControllerLoss?: ConnectorAclClaims['onControllerLoss']
  network?: NetworkId
}

/** A Connector ACL with these Resources. */
export function connectorAcl(resources: Record<string, ResourceRule>, options: AclOptions = {}): string {
  const { rev = 1, nowMs = NOW, lifeSeconds = 3600, key = connectorAclKey, network = NETWORK } = options
  return issueConnectorAcl(
    key,
    {
      tenant: TENANT,
      network,
      rev,
      guardExceptions: options.guardExceptions ?? [],
      onControllerLoss: options.onControllerLoss ?? { mode: 'untilExpiry' },
      resources: Object.entries(resources).map(([uid, rule]) => ({ uid, createdAt: '2026-01-01T00:00:00Z', rule })),
    },
    { nowMs, lifeSeconds },
  )
}

type ClientAclOptions = {
  rev?: number
  nowMs?: number
  lifeSeconds?: number
  holder?: ReturnType<typeof makeDevice>
  key?: typeof clientAclKey
  network?: NetworkId
  endMs?: number
  tenant?: string
}

/** A Client ACL that grants these Resources by these rules. */
export function clientAcl(granted: Record<string, ResourceRule>, options: ClientAclOptions = {}): string {
  const { rev = 1, nowMs = NOW, lifeSeconds = 1800, holder = device, key = clientAclKey, network = NETWORK } = options
  return issueClientAcl(
    key,
    {
      tenant: options.tenant ?? TENANT,
      user: 'user-1',
      device: holder.id,
      jkt: holder.jkt,
      network,
      rev,
      res: Object.entries(granted).map(([uid, rule]) => aclEntry(uid, ruleDigest(rule), options.endMs)),
    },
    { nowMs, lifeSeconds },
  )
}
