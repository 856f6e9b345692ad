import { aclEntry, ruleDigest } from '@sallyport/policy'
import type { ClientResource, DeviceId, NetworkId, ToClient } from '@sallyport/schema'
import {
  deviceIdOf,
  firstOf,
  generateKeyPair,
  issueClientAcl,
  issueConnectionToken,
  jwksOf,
  signingKey,
  thumbprintOf,
} from '@sallyport/trust'
import { describe, expect, it } from 'vitest'
import { Knowledge } from './knowledge.ts'

const NETWORK = '00000000-0000-4000-8000-000000000001' as NetworkId
const OTHER = '00000000-0000-4000-8000-000000000002' as NetworkId
const UID = '00000000-0000-4000-8000-0000000000aa'
const NOW = 1_800_000_000_000
const rule = (address = 'db.internal') => ({ address, aliases: [], protocols: {} })
const resource = (address?: string): ClientResource => ({
  uid: UID,
  network: NETWORK,
  name: 'default/db',
  createdAt: '2026-01-01T00:00:00Z',
  rule: rule(address),
})

function lab() {
  const keys = generateKeyPair()
  const self = { device: deviceIdOf(keys.publicKey), jkt: thumbprintOf(keys.publicKey) }
  const signer = signingKey('clientAcl')
  const knowledge = new Knowledge(self)
  const say = (...messages: ToClient[]) => messages.map(message => knowledge.apply(message, NOW)).at(-1)!
  const welcome: ToClient = {
    type: 'welcome',
    nowMs: NOW,
    tenant: 'default',
    issuer: 'sallyport://default',
    device: self.device,
    user: { id: 'u', email: 'a@b.c', admin: false },
    loginEndsAtMs: NOW + 1e9,
    revision: 1,
    warnings: [],
  }
  const trust: ToClient = { type: 'trust', tenantCa: '', clientAclJwks: jwksOf(firstOf(signer)) }
  const tokens = (
    changes: {
      device?: DeviceId
      jkt?: string
      tenant?: string
      network?: NetworkId
      key?: typeof signer
      address?: string
    } = {},
  ): ToClient => {
    const { key = signer, address, ...rest } = changes
    const content = { tenant: 'default', user: 'u', network: NETWORK, rev: 1, ...self, ...rest }
    const life = { nowMs: NOW, lifeSeconds: 60 }
    const acl = issueClientAcl(key, { ...content, res: [aclEntry(UID, ruleDigest(rule(address)))] }, life)
    const connection = issueConnectionToken(key, { ...content, connectors: [] }, life)
    return { type: 'network', network: NETWORK, name: 'office', acl, connection }
  }
  const resources = (address?: string): ToClient => ({ type: 'resources', revision: 1, resources: [resource(address)] })
  const synced: ToClient = { type: 'synced', revision: 1 }
  const kind = (host = 'db.internal') => knowledge.access.routes.route(host, 1, 'tcp', NOW).kind
  return { knowledge, say, welcome, trust, tokens, resources, synced, kind }
}

describe('what the Controller says', () => {
  it('counts from the end of its batch on, rule and list together', () => {
    const { say, welcome, trust, tokens, resources, synced, kind } = lab()
    say(welcome, trust, resources(), tokens())
    expect(kind()).toBe('notOurs')
    expect(say(synced).renewed.map(({ uid }) => uid)).toEqual([NETWORK])
    expect(kind()).toBe('resource')
    say(resources('new.internal'))
    expect([kind(), kind('new.internal')]).toEqual(['resource', 'notOurs'])
    say(tokens({ address: 'new.internal' }), synced)
    expect([kind(), kind('new.internal')]).toEqual(['notOurs', 'resource'])
  })

  it.each<[string, Parameters<ReturnType<typeof lab>['tokens']>[0], string]>([
    ['signed with another key', { key: signingKey('clientAcl') }, 'unknown_key'],
    ['for another device', { device: deviceIdOf(generateKeyPair().publicKey) }, 'wrong_subject'],
    ['bound to another key', { jkt: thumbprintOf(generateKeyPair().publicKey) }, 'wrong_key'],
    ['of another tenant', { tenant: 'other' }, 'wrong_issuer'],
    ['of another network', { network: OTHER }, 'wrong_audience'],
  ])('in tokens %s is not believed, and nothing is routed', (_, changes, code) => {
    const { knowledge, say, welcome, trust, tokens, resources, synced, kind } = lab()
    expect(say(welcome, trust, resources(), tokens(changes), synced).renewed).toEqual([])
    expect(knowledge.networks.get(NETWORK)?.problem).toContain(code)
    expect([kind(), knowledge.access.dropped.length]).toEqual(['notOurs', 1])
  })

  it('anew after a break replaces what was said before; meanwhile that goes on', () => {
    const { say, welcome, trust, tokens, resources, synced, kind } = lab()
    say(welcome, trust, resources(), tokens(), synced)
    say(welcome, trust)
    expect(kind()).toBe('resource')
    expect(say({ type: 'resources', revision: 2, resources: [] }, synced).gone).toEqual([NETWORK])
    expect(kind()).toBe('notOurs')
  })

  it('at the end of a login leaves nothing', () => {
    const { say, welcome, trust, tokens, resources, synced, kind } = lab()
    say(welcome, trust, resources(), tokens(), synced)
    const gone: ToClient[] = [
      { type: 'networkGone', network: NETWORK },
      { type: 'resources', revision: 2, resources: [] },
      { type: 'loginRequired', reason: 'over' },
    ]
    expect(say(...gone).gone).toEqual([NETWORK])
    expect(kind()).toBe('notOurs')
  })
})
