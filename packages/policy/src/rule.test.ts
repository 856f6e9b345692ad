import type { Protocols } from '@sallyport/schema'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatHost, parseHost } from './address.ts'
import { PolicyError } from './error.ts'
import { compileRule, matchRule, normaliseRule, type Protocol, ruleDigest, targetOf } from './rule.ts'

type Spec = Parameters<typeof normaliseRule>[0]
const ranges = (...ports: [number, number][]): Protocols => ({
  tcp: { policy: 'Restricted', ports: ports.map(([start, end]) => ({ start, end })) },
})
const match = (spec: Spec, host: string, port = 443, protocol: Protocol = 'tcp') =>
  matchRule(compileRule(normaliseRule(spec)), parseHost(host)!, port, protocol) ?? 'allowed'

describe('a rule', () => {
  it.each([
    ['an exact name', { address: 'db.internal' }, 'DB.internal.', 'allowed'],
    ['no other name', { address: 'db.internal' }, 'db2.internal', 'denied'],
    ['no name below', { address: 'db.internal' }, 'x.db.internal', 'denied'],
    ['an alias (R6)', { address: 'db.internal', aliases: ['db'] }, 'db', 'allowed'],
    ['the address beside an alias', { address: 'db.internal', aliases: ['db'] }, 'db.internal', 'allowed'],
    ['not what begins like an alias', { address: 'db.internal', aliases: ['db'] }, 'db.evil', 'denied'],
    ['an alias of an address', { address: '10.0.0.1', aliases: ['db'] }, 'db', 'allowed'],
    ['a wildcard', { address: '*.internal' }, 'db.internal', 'allowed'],
    ['not the apex of a wildcard', { address: '*.internal' }, 'internal', 'denied'],
    ['no address by a wildcard', { address: '*' }, '10.0.0.1', 'denied'],
    ['no address by a wildcard of digits', { address: '10.0.*' }, '10.0.0.1', 'denied'],
    ['an address', { address: '10.0.0.1' }, '10.0.0.1', 'allowed'],
    ['an address in IPv4-mapped form', { address: '10.0.0.1' }, '::ffff:a00:1', 'allowed'],
    ['not the next address', { address: '10.0.0.1' }, '10.0.0.2', 'denied'],
    ['not the same number in the other family', { address: '::a00:1' }, '10.0.0.1', 'denied'],
    ['first address of a CIDR', { address: '10.0.0.4/30' }, '10.0.0.4', 'allowed'],
    ['last address of a CIDR', { address: '10.0.0.4/30' }, '10.0.0.7', 'allowed'],
    ['one past a CIDR', { address: '10.0.0.4/30' }, '10.0.0.8', 'denied'],
    ['no name by a CIDR', { address: '0.0.0.0/0' }, 'db.internal', 'denied'],
  ])('is about %s', (_, spec, host, wanted) => {
    expect(match(spec, host)).toBe(wanted)
  })

  const some = ranges([80, 90], [443, 443])
  it.each<[string, Protocols | undefined, number, Protocol, string]>([
    ['every port when nothing is said', undefined, 65_535, 'tcp', 'allowed'],
    ['every protocol when nothing is said', undefined, 53, 'udp', 'allowed'],
    ['ping when nothing is said', undefined, 0, 'icmp', 'allowed'],
    ['no port 0', undefined, 0, 'tcp', 'port_not_granted'],
    ['no port beyond the last', undefined, 65_536, 'tcp', 'port_not_granted'],
    ['no half port', undefined, 80.5, 'tcp', 'port_not_granted'],
    ['the first port of a range', some, 80, 'tcp', 'allowed'],
    ['the last port of a range', some, 90, 'tcp', 'allowed'],
    ['not one before a range', some, 79, 'tcp', 'port_not_granted'],
    ['not one past a range', some, 91, 'tcp', 'port_not_granted'],
    ['a range of one', some, 443, 'tcp', 'allowed'],
    ['a protocol that is not named', some, 91, 'udp', 'allowed'],
    ['nothing with DenyAll', { tcp: { policy: 'DenyAll' } }, 80, 'tcp', 'port_not_granted'],
    ['the other protocol beside DenyAll', { tcp: { policy: 'DenyAll' } }, 80, 'udp', 'allowed'],
    ['nothing with Restricted and no range', { udp: { policy: 'Restricted' } }, 80, 'udp', 'port_not_granted'],
    ['no ping when denied', { icmp: 'Deny' }, 0, 'icmp', 'port_not_granted'],
    ['TCP where ping is denied', { icmp: 'Deny' }, 80, 'tcp', 'allowed'],
  ])('allows %s (R5)', (_, protocols, port, protocol, wanted) => {
    const spec = protocols === undefined ? { address: 'db.internal' } : { address: 'db.internal', protocols }
    expect(match(spec, 'db.internal', port, protocol)).toBe(wanted)
    expect(match(spec, 'other.internal', port, protocol)).toBe('denied')
  })

  it.each([
    ['the address for an alias', { address: 'db.internal', aliases: ['db'] }, 'db', 'db.internal'],
    ['the address itself', { address: 'db.internal', aliases: ['db'] }, 'db.internal', 'db.internal'],
    ['the IP address for an alias', { address: '10.0.0.1', aliases: ['db'] }, 'db', '10.0.0.1'],
    ['the name that a wildcard covers', { address: '*.internal' }, 'x.internal', 'x.internal'],
    ['the address in a CIDR', { address: '10.0.0.0/8' }, '10.1.2.3', '10.1.2.3'],
  ])('leads to %s', (_, spec, host, target) => {
    expect(formatHost(targetOf(compileRule(normaliseRule(spec)), parseHost(host)!))).toBe(target)
  })

  it.each([
    ['host bits', { address: '10.0.0.1/8' }, 'host_bits'],
    ['an alias that is a wildcard', { address: 'a', aliases: ['*.b'] }, 'bad_alias'],
    ['an alias that is an IP address', { address: 'a', aliases: ['10.0.0.1'] }, 'bad_alias'],
    ['an alias of a wildcard', { address: '*.a', aliases: ['b'] }, 'alias_without_target'],
    ['an alias of a CIDR', { address: '10.0.0.0/8', aliases: ['b'] }, 'alias_without_target'],
    ['a range that ends before it starts', { address: 'a', protocols: ranges([90, 80]) }, 'bad_ports'],
  ])('is refused for %s', (_, spec, code) => {
    expect(() => normaliseRule(spec)).toThrow(expect.objectContaining({ name: 'PolicyError', code }))
  })
})

describe('normalising', () => {
  it('writes a rule in one way', () => {
    const spec = {
      address: 'DB.Internal.',
      aliases: ['z', 'A', 'a.', 'db.internal'],
      protocols: ranges([443, 443], [85, 90], [80, 84]),
    }
    expect(normaliseRule(spec)).toEqual({
      address: 'db.internal',
      aliases: ['a', 'z'],
      protocols: {
        tcp: {
          policy: 'Restricted',
          ports: [
            { start: 80, end: 90 },
            { start: 443, end: 443 },
          ],
        },
        udp: { policy: 'AllowAll' },
        icmp: 'Allow',
      },
    })
  })
  it('takes ranges that overlap, touch or cover everything together', () => {
    const tcp = (protocols: Protocols) => normaliseRule({ address: 'a', protocols }).protocols.tcp
    expect(tcp(ranges([1, 100], [50, 60], [101, 65_535]))).toEqual({ policy: 'AllowAll' })
    expect(tcp(ranges([1, 10], [12, 20]))).toEqual({
      policy: 'Restricted',
      ports: [
        { start: 1, end: 10 },
        { start: 12, end: 20 },
      ],
    })
    expect(tcp({ tcp: { policy: 'Restricted', ports: [] } })).toEqual({ policy: 'DenyAll' })
  })
  it('changes nothing the second time, nor what a rule allows', () => {
    const port = fc.integer({ min: 1, max: 200 })
    const range = fc.tuple(port, port).map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }))
    fc.assert(
      fc.property(fc.array(range, { maxLength: 6 }), port, (ports, probe) => {
        const spec = { address: 'a', protocols: { tcp: { policy: 'Restricted' as const, ports } } }
        const once = normaliseRule(spec)
        expect(normaliseRule(once)).toEqual(once)
        const inOne = ports.some(({ start, end }) => start <= probe && probe <= end)
        expect(match(spec, 'a', probe)).toBe(inOne ? 'allowed' : 'port_not_granted')
      }),
    )
  })
})

describe('the digest of a rule', () => {
  it('is the first 16 bytes of SHA-256 over the canonical JSON', () => {
    expect(ruleDigest(normaliseRule({ address: 'db.internal' }))).toBe('Vk6zIwQwjoGATBII4JCr1Q')
  })
  it('depends on what a rule allows and not on how it is written', () => {
    const digest = (spec: Spec) => ruleDigest(normaliseRule(spec))
    const base = digest({ address: 'db.internal', aliases: ['a', 'b'] })
    expect(digest({ address: 'DB.internal.', aliases: ['b', 'a', 'a'], protocols: {} })).toBe(base)
    expect(digest({ address: 'db.internal', aliases: ['a', 'b'], protocols: { icmp: 'Allow' } })).toBe(base)
    expect(digest({ address: 'db.internal', aliases: ['a'] })).not.toBe(base)
    expect(digest({ address: 'db2.internal', aliases: ['a', 'b'] })).not.toBe(base)
    expect(digest({ address: 'db.internal', aliases: ['a', 'b'], protocols: ranges([1, 65_534]) })).not.toBe(base)
  })
  it('is the same for a rule as it comes out of a token', () => {
    const rule = normaliseRule({ address: '*.internal', protocols: ranges([80, 80]) })
    expect(ruleDigest(JSON.parse(JSON.stringify(rule)))).toBe(ruleDigest(rule))
  })
  it('refuses a rule that cannot be read', () => {
    expect(() => ruleDigest({ address: '10.0.0.1/8', aliases: [], protocols: {} })).toThrow(PolicyError)
  })
})
