import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseHost } from './address.ts'
import { type Routable, RouteMap } from './route.ts'
import { compileRule, matchesHost, type normaliseRule } from './rule.ts'
import { compareAge, comparePrecedence, nameSpecificity, specificityOf } from './specificity.ts'

type Spec = Partial<Parameters<typeof normaliseRule>[0]> & { endMs?: number; createdAt?: string }
const NOW = 1_700_000_000_000
let count = 0
function resource(
  uid: string,
  address: string,
  { aliases = [], protocols = {}, endMs, createdAt }: Spec = {},
): Routable {
  const base = { uid, createdAt: createdAt ?? new Date(NOW + count++).toISOString() }
  const whole = { ...base, rule: { address, aliases: [...aliases], protocols } }
  return endMs === undefined ? whole : { ...whole, endMs }
}
const tcp = (port: number) => ({ tcp: { policy: 'Restricted' as const, ports: [{ start: port, end: port }] } })
function routed(resources: Routable[], host: string, port = 443): string {
  const route = new RouteMap(resources).route(host, port, 'tcp', NOW)
  switch (route.kind) {
    case 'resource':
      return route.resource.uid
    case 'denied':
      return `${route.resource.uid}: ${route.reason}`
    case 'notOurs':
      return 'not ours'
  }
}

describe('routing (R3)', () => {
  it.each<[string, Routable[], string, string]>([
    [
      'an exact name wins over a wildcard',
      [resource('w', '*.internal'), resource('n', 'db.internal')],
      'db.internal',
      'n',
    ],
    [
      'an alias is an exact name',
      [resource('w', 'db.*'), resource('n', 'x', { aliases: ['db.internal'] })],
      'db.internal',
      'n',
    ],
    ['more literal characters win', [resource('a', '*.internal'), resource('b', 'db*.internal')], 'db1.internal', 'b'],
    [
      'fewer question marks than letters',
      [resource('a', 'db?.internal'), resource('b', 'd*1.internal')],
      'db1.internal',
      'a',
    ],
    ['the widest wildcard is last', [resource('a', '*'), resource('b', '*l')], 'db.internal', 'b'],
    ['an address wins over its CIDR', [resource('c', '10.0.0.0/24'), resource('a', '10.0.0.1')], '10.0.0.1', 'a'],
    ['a smaller CIDR wins', [resource('c', '10.0.0.0/8'), resource('d', '10.0.0.0/24')], '10.0.0.1', 'd'],
    [
      'outside the smaller the larger counts',
      [resource('c', '10.0.0.0/8'), resource('d', '10.0.0.0/24')],
      '10.0.1.1',
      'c',
    ],
    ['IPv6 alike', [resource('c', '2001:db8::/32'), resource('d', '2001:db8::/64')], '2001:db8::1', 'd'],
    ['a name is no address', [resource('c', '0.0.0.0/0'), resource('d', '::/0')], 'db.internal', 'not ours'],
    ['an address is no name', [resource('w', '*')], '10.0.0.1', 'not ours'],
    ['what nobody declared is not ours', [resource('n', 'db.internal')], 'web.internal', 'not ours'],
    ['what cannot be a host is not ours', [resource('w', '*')], 'a b', 'not ours'],
    ['without any Resource nothing is ours (R4)', [], 'db.internal', 'not ours'],
    [
      'the older wins a tie',
      [
        resource('b', 'db.*', { createdAt: '2026-01-02T00:00:00Z' }),
        resource('a', '*.db', { createdAt: '2026-01-01T23:30:00-01:00' }),
      ],
      'db.db',
      'b',
    ],
    [
      'then the smaller UID',
      [
        resource('b', '*.internal', { createdAt: '2026-01-01T00:00:00Z' }),
        resource('a', '*.internal', { createdAt: '2026-01-01T01:00:00+01:00' }),
      ],
      'db.internal',
      'a',
    ],
    ['a rule that cannot be read routes nothing', [resource('x', '10.0.0.1/8')], '10.0.0.1', 'not ours'],
    [
      'a port that is not granted is denied',
      [resource('n', 'db.internal', { protocols: tcp(5432) })],
      'db.internal',
      'n: port_not_granted',
    ],
    [
      'a wider Resource does not stand in for a denied port',
      [resource('w', '*.internal'), resource('n', 'db.internal', { protocols: tcp(5432) })],
      'db.internal',
      'n: port_not_granted',
    ],
    ['a grant that has ended is named', [resource('n', 'db.internal', { endMs: NOW })], 'db.internal', 'n: expired'],
    ['a grant lasts to its end', [resource('n', 'db.internal', { endMs: NOW + 1 })], 'db.internal', 'n'],
  ])('%s', (_, resources, host, wanted) => {
    expect(routed(resources, host)).toBe(wanted)
    expect(routed([...resources].reverse(), host)).toBe(wanted)
  })

  it('names the Resources that it cannot use', () => {
    const bad = resource('x', '10.0.0.1/8')
    expect(new RouteMap([bad, resource('y', 'db')]).unusable).toEqual([bad])
  })

  it('finds what looking at every Resource finds', () => {
    const label = fc.constantFrom('a', 'b', '*', 'a*', '?', '*b')
    const name = fc.array(label, { minLength: 1, maxLength: 3 }).map(labels => labels.join('.'))
    const range = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.constantFrom(30, 31, 32)).map(([last, prefix]) => {
      const network = last & (prefix === 30 ? 0 : prefix === 31 ? 2 : 3)
      return `10.0.0.${network}/${prefix}`
    })
    const created = fc.constantFrom('2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z')
    const host = fc.oneof(
      fc.array(fc.constantFrom('a', 'b', 'ab'), { minLength: 1, maxLength: 3 }).map(labels => labels.join('.')),
      fc.integer({ min: 0, max: 4 }).map(last => `10.0.0.${last}`),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.oneof(name, range), created), { maxLength: 12 }), host, (declared, asked) => {
        const resources = declared.map(([address, createdAt], index) => resource(`u${index}`, address, { createdAt }))
        const found = new RouteMap(resources).resourceFor(asked)
        expect(found).toEqual(slowly(resources, asked))
        // The first in order of precedence route to the same Resource, or to none.
        const narrowest = [...resources].sort(comparePrecedence).slice(0, Math.ceil(resources.length / 2))
        expect([found, undefined]).toContainEqual(new RouteMap(narrowest).resourceFor(asked))
      }),
      { numRuns: 1_000 },
    )
  })
})

function slowly(resources: Routable[], asked: string): Routable | undefined {
  const host = parseHost(asked)!
  const about = resources.filter(({ rule }) => matchesHost(compileRule(rule), host))
  const rank = ({ rule }: Routable) => {
    const compiled = compileRule(rule)
    return host.kind === 'name' ? nameSpecificity(compiled, host.name) : specificityOf(compiled.address)
  }
  return about.sort((a, b) => rank(b) - rank(a) || compareAge(a, b))[0]
}
