import { aclEntry, ruleDigest } from '@sallyport/policy'
import type { AclEntry, ClientResource } from '@sallyport/schema'
import { describe, expect, it } from 'vitest'
import { compileAccess } from './access-map.ts'

const NETWORK = '00000000-0000-4000-8000-000000000001'
const UID = '00000000-0000-4000-8000-0000000000aa'
const NOW = 1_800_000_000_000
const rule = (ports: number[], address = 'db.internal') => ({
  address,
  aliases: [],
  protocols: { tcp: { policy: 'Restricted' as const, ports: ports.map(port => ({ start: port, end: port })) } },
})
const resource = (changes: Partial<ClientResource> = {}): ClientResource => ({
  uid: UID,
  network: NETWORK,
  name: 'default/db',
  createdAt: '2026-01-01T00:00:00Z',
  rule: rule([5432]),
  ...changes,
})
const acl = (...res: AclEntry[]) => new Map([[NETWORK, { res, exp: NOW / 1000 + 60 }]])
const granted = aclEntry(UID, ruleDigest(rule([5432])))
const route = (map: ReturnType<typeof compileAccess>, port = 5432, now = NOW) =>
  map.routes.route('db.internal', port, 'tcp', now).kind

describe('a Resource of the map', () => {
  it('is routed to when the signed list names it with this very rule', () => {
    const map = compileAccess([resource()], acl(granted))
    expect([route(map), map.dropped]).toEqual(['resource', []])
    expect(map.granted[0]).toMatchObject({ uid: UID, aclEndMs: NOW + 60_000 })
  })

  it.each<[string, ClientResource, ReturnType<typeof acl>, string]>([
    ['no list of its network', resource(), new Map(), 'no_acl'],
    [
      'the list of another network',
      resource({ network: '00000000-0000-4000-8000-000000000002' }),
      acl(granted),
      'no_acl',
    ],
    ['a list without it', resource(), acl(), 'not_in_acl'],
    ['a list with another UID', resource({ uid: '00000000-0000-4000-8000-0000000000ab' }), acl(granted), 'not_in_acl'],
    ['a wider port than the signed one', resource({ rule: rule([5432, 22]) }), acl(granted), 'rule_differs'],
    [
      'another address than the signed one',
      resource({ rule: rule([5432], 'mail.internal') }),
      acl(granted),
      'rule_differs',
    ],
    ['a rule that cannot be read', resource({ rule: rule([5432], 'no name') }), acl(granted), 'rule_unreadable'],
  ])('with %s is dropped and reported', (_, entry, acls, reason) => {
    const map = compileAccess([entry], acls)
    expect(map.dropped).toEqual([{ resource: entry, reason }])
    expect(map.routes.route(entry.rule.address, 5432, 'tcp', NOW).kind).toBe('notOurs')
  })

  it('ends when the signed list says, whatever the map says', () => {
    const ends = acl(aclEntry(UID, ruleDigest(rule([5432])), NOW))
    const map = compileAccess([resource({ endMs: NOW + 3_600_000 })], ends)
    expect([route(map, 5432, NOW - 1), route(map, 5432, NOW)]).toEqual(['resource', 'denied'])
    const endless = compileAccess([resource({ endMs: NOW })], acl(granted))
    expect(route(endless, 5432, NOW)).toBe('resource')
  })
})
