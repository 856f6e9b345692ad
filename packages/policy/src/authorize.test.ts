import type { ConnectorAclClaims, ResourceId } from '@sallyport/schema'
import { describe, expect, it } from 'vitest'
import { formatHost } from './address.ts'
import { aclEntry, authorize, type Destination, grantsOf, rejudge } from './authorize.ts'
import { normaliseRule, ruleDigest } from './rule.ts'
import { ConnectorRules } from './rule-book.ts'
import { packUid, unpackUid } from './uid.ts'

const NOW = 1_700_000_000_000
const DB = '00000000-0000-4000-8000-000000000001' as ResourceId
const WEB = '00000000-0000-4000-8000-000000000002' as ResourceId
const ports = (start: number, end: number) => ({ tcp: { policy: 'Restricted' as const, ports: [{ start, end }] } })
const narrow = normaliseRule({ address: 'db.internal', aliases: ['db'], protocols: ports(5432, 5432) })
const wide = normaliseRule({ address: 'db.internal', aliases: ['db'], protocols: ports(5432, 5439) })
const moved = normaliseRule({ address: 'db2.internal' })
type Rule = typeof narrow

function acl(...rules: [ResourceId, Rule][]): ConnectorAclClaims['resources'] {
  return rules.map(([uid, rule]) => ({ uid, createdAt: '2026-01-01T00:00:00Z', rule }))
}
/** Rules of a Connector that has had these ACLs, the last one in force. */
function rulesOf(...history: ConnectorAclClaims['resources'][]): ConnectorRules {
  const rules = new ConnectorRules()
  for (const resources of history) rules.replace(resources, NOW, NOW + 1_000)
  return rules
}
const granted = (rule: Rule, endMs?: number, uid = DB) => grantsOf({ res: [aclEntry(uid, ruleDigest(rule), endMs)] })
const open = (host = 'db.internal', port = 5432, resource = DB): Destination => ({
  resource,
  host,
  port,
  protocol: 'tcp',
})
function decide(
  { grants = granted(narrow), rules = rulesOf(acl([DB, narrow])), aclEndMs = NOW + 60_000 },
  destination = open(),
  nowMs = NOW,
): string {
  const decision = authorize({ grants, rules, aclEndMs }, destination, nowMs)
  return decision.allow ? `${formatHost(decision.target)} until ${decision.endMs - NOW}` : decision.reason
}
const ALLOWED = 'db.internal until 60000'

describe('authorising a stream', () => {
  it.each([
    ['both lists allow it', {}, open(), ALLOWED],
    ['an alias leads to the address', {}, open('DB.'), ALLOWED],
    ['not in the list of the Client', { grants: grantsOf({ res: [] }) }, open(), 'not_granted'],
    ['an ended list, whatever it grants', { grants: grantsOf({ res: [] }), aclEndMs: NOW }, open(), 'expired'],
    ['another Resource of the Client', { grants: granted(narrow, undefined, WEB) }, open(), 'not_granted'],
    ['not in the list of the Connector', { rules: rulesOf(acl([WEB, narrow])) }, open(), 'acl_mismatch'],
    ['taken out of the list of the Connector', { rules: rulesOf(acl([DB, narrow]), []) }, open(), 'not_granted'],
    ['a digest that the Connector does not know', { grants: granted(moved) }, open(), 'acl_mismatch'],
    ['another host', {}, open('db2.internal'), 'denied'],
    ['what is no host', {}, open('db internal'), 'denied'],
    ['one past a port range', {}, open('db.internal', 5433), 'port_not_granted'],
    ['another protocol', {}, { ...open(), protocol: 'icmp' as const, port: 0 }, ALLOWED],
    [
      'widened at the Connector, not yet at the Client',
      { rules: rulesOf(acl([DB, narrow]), acl([DB, wide])) },
      open(),
      ALLOWED,
    ],
    [
      'widened at the Connector: not yet for this Client',
      { rules: rulesOf(acl([DB, narrow]), acl([DB, wide])) },
      open('db.internal', 5433),
      'port_not_granted',
    ],
    [
      'narrowed at the Connector, not yet at the Client',
      { rules: rulesOf(acl([DB, wide]), acl([DB, narrow])), grants: granted(wide) },
      open('db.internal', 5433),
      'port_not_granted',
    ],
    ['renamed at the Connector', { rules: rulesOf(acl([DB, narrow]), acl([DB, moved])) }, open(), 'denied'],
    [
      'a rule that cannot be read',
      { rules: rulesOf([{ ...acl([DB, narrow])[0]!, rule: { ...narrow, address: '1.1.1.1/8' } }]) },
      open(),
      'acl_mismatch',
    ],
  ])('%s', (_, lists, destination, wanted) => {
    expect(decide(lists, destination)).toBe(wanted)
  })

  it('a grant ends at its second, exclusive', () => {
    const grants = granted(narrow, NOW + 2_500)
    expect(decide({ grants }, open(), NOW + 1_999)).toBe('db.internal until 2000')
    expect(decide({ grants }, open(), NOW + 2_000)).toBe('expired')
  })
  it('a list ends with its token, whatever its grants say', () => {
    const grants = granted(narrow, NOW + 90_000)
    expect(decide({ grants }, open(), NOW + 59_999)).toBe(ALLOWED)
    expect(decide({ grants }, open(), NOW + 60_000)).toBe('expired')
  })
  it('a former rule can be named until the lists that name it have ended', () => {
    const rules = rulesOf(acl([DB, narrow]), acl([DB, wide]))
    rules.replace(acl([DB, wide]), NOW + 999, NOW + 2_000)
    expect(decide({ rules })).toBe(ALLOWED)
    rules.replace(acl([DB, wide]), NOW + 1_000, NOW + 2_000)
    expect(decide({ rules })).toBe('acl_mismatch')
  })
  it('former rules outlive a restart', () => {
    const former = rulesOf(acl([DB, narrow]), acl([DB, wide])).former(NOW)
    const rules = new ConnectorRules(JSON.parse(JSON.stringify(former)))
    rules.replace(acl([DB, wide]), NOW, NOW + 1_000)
    expect(decide({ rules })).toBe(ALLOWED)
    expect(decide({ rules: rulesOf(acl([DB, wide])) })).toBe('acl_mismatch')
  })
  it('keeps a bounded number of former rules', () => {
    const history = Array.from({ length: 40 }, (_, index) =>
      acl([DB, normaliseRule({ address: 'db.internal', protocols: ports(1, 100 + index) })]),
    )
    expect(rulesOf(...history).former(NOW)).toHaveLength(32)
  })
})

describe('judging a live stream again', () => {
  const judge = (
    { grants = granted(narrow), rules = rulesOf(acl([DB, narrow])), aclEndMs = NOW + 60_000 },
    destination = open(),
  ) => {
    const verdict = rejudge({ grants, rules, aclEndMs }, destination, NOW)
    return verdict.allow ? `until ${verdict.endMs - NOW}` : verdict.reason
  }
  it.each([
    ['nothing has changed', {}, open(), 'until 60000'],
    ['widened: it goes on', { rules: rulesOf(acl([DB, narrow]), acl([DB, wide])) }, open(), 'until 60000'],
    [
      'narrowed: what it forbids ends',
      { rules: rulesOf(acl([DB, wide]), acl([DB, narrow])) },
      open('db', 5433),
      'revoked',
    ],
    [
      'narrowed: what it allows goes on',
      { rules: rulesOf(acl([DB, wide]), acl([DB, narrow])) },
      open('db'),
      'until 60000',
    ],
    ['a digest not known here ends nothing', { grants: granted(moved) }, open(), 'until 60000'],
    ['no longer granted', { grants: grantsOf({ res: [] }) }, open(), 'revoked'],
    ['the Resource is gone', { rules: rulesOf(acl([DB, narrow]), []) }, open(), 'revoked'],
    ['renamed', { rules: rulesOf(acl([DB, moved])) }, open(), 'revoked'],
    ['the end moved closer', { grants: granted(narrow, NOW + 5_000) }, open(), 'until 5000'],
    ['the end moved to now', { grants: granted(narrow, NOW) }, open(), 'expired'],
    ['the list has ended', { aclEndMs: NOW }, open(), 'expired'],
  ])('%s', (_, lists, destination, wanted) => {
    expect(judge(lists, destination)).toBe(wanted)
  })
})

describe('a UID in a Client ACL', () => {
  it('is its 16 bytes', () => {
    expect(packUid('00010203-0405-4607-8809-0a0b0c0d0e0f')).toBe('AAECAwQFRgeICQoLDA0ODw')
    expect(unpackUid('AAECAwQFRgeICQoLDA0ODw')).toBe('00010203-0405-4607-8809-0a0b0c0d0e0f')
  })
  it.each(['', 'AAECAwQFRgeICQoLDA0O', 'AAECAwQFRgeICQoLDA0ODwAA'])('%j is none', text => {
    expect(unpackUid(text)).toBeUndefined()
  })
  it('is refused when it is none', () => {
    expect(() => packUid('db')).toThrow(TypeError)
  })
})
