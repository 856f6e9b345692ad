import { RESOURCE_RULES, type Rule } from '@sallyport/schema'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { coversPattern, formatAddress, formatHost, matchesPattern, parseAddress, parseHost } from './address.ts'
import { PolicyError } from './error.ts'

const codeOf = (text: string): string => {
  try {
    parseAddress(text)
  } catch (error) {
    if (error instanceof PolicyError) return error.code
    throw error
  }
  return 'none'
}

describe('the address of a Resource (R1)', () => {
  it.each([
    ['db.internal', 'name', 'db.internal'],
    ['DB.Internal.', 'name', 'db.internal'],
    ['db', 'name', 'db'],
    ['_ldap._tcp.corp', 'name', '_ldap._tcp.corp'],
    ['xn--bcher-kva.example', 'name', 'xn--bcher-kva.example'],
    ['Bücher.example', 'name', 'xn--bcher-kva.example'],
    ['*.internal', 'wildcard', '*.internal'],
    ['DB-?.Internal', 'wildcard', 'db-?.internal'],
    ['a**.b', 'wildcard', 'a*.b'],
    ['*', 'wildcard', '*'],
    ['10.0.0.1', 'ip', '10.0.0.1'],
    ['10.0.0.1/32', 'ip', '10.0.0.1'],
    ['2001:DB8::1', 'ip', '2001:db8::1'],
    ['2001:db8::1/128', 'ip', '2001:db8::1'],
    ['::ffff:10.0.0.1', 'ip', '10.0.0.1'],
    ['10.0.0.0/8', 'cidr', '10.0.0.0/8'],
    ['0.0.0.0/0', 'cidr', '0.0.0.0/0'],
    ['2001:DB8::/32', 'cidr', '2001:db8::/32'],
  ])('%s is a %s, written %s', (text, kind, written) => {
    const address = parseAddress(text)
    expect(address.kind).toBe(kind)
    expect(formatAddress(address)).toBe(written)
  })
  it.each([
    ['', 'bad_address'],
    ['.', 'bad_address'],
    ['a..b', 'bad_address'],
    ['-a.b', 'bad_address'],
    ['a-.b', 'bad_address'],
    [`${'a'.repeat(64)}.b`, 'bad_address'],
    [`${'a.'.repeat(127)}`, 'none'],
    [`${'a.'.repeat(127)}a`, 'bad_address'],
    ['a b', 'bad_address'],
    ['a/b', 'bad_address'],
    ['*.a/8', 'bad_address'],
    ['a..*', 'bad_address'],
    ['*!.b', 'bad_address'],
    ['10.0.0.256', 'bad_address'],
    ['127.1', 'bad_address'],
    ['0x7f.1', 'bad_address'],
    ['a.0x', 'bad_address'],
    ['10.0.0.0/33', 'bad_address'],
    ['10.0.0.1/8', 'host_bits'],
    ['2001:db8::1/32', 'host_bits'],
  ])('%j: %s', (text, code) => {
    expect(codeOf(text)).toBe(code)
  })
  it('says which range or address was meant where host bits are set', () => {
    expect(() => parseAddress('10.1.2.3/8')).toThrow(
      '"10.1.2.3/8" has host bits set; the range is 10.0.0.0/8, the address 10.1.2.3',
    )
  })
  it('is written so that it reads back alike, and garbage throws nothing but PolicyError', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-zA-Z0-9*?._:/-]{0,40}$/)), text => {
        let written: string
        try {
          written = formatAddress(parseAddress(text))
        } catch (error) {
          expect(error).toBeInstanceOf(PolicyError)
          return
        }
        expect(formatAddress(parseAddress(written))).toBe(written)
      }),
    )
  })
})

describe('the host of a destination', () => {
  it.each([
    ['DB.internal.', 'db.internal'],
    ['[2001:DB8::1]', '2001:db8::1'],
    ['::ffff:127.0.0.1', '127.0.0.1'],
    ['BÜCHER.example', 'xn--bcher-kva.example'],
  ])('%s is compared as %s', (text, written) => {
    expect(formatHost(parseHost(text)!)).toBe(written)
  })
  it.each(['', '*', 'a*b', '0177.0.0.1', '2130706433', 'a b', 'a\0b', 'a:80', '[a]x', 'bü/cher', 'ü@b', 'ü:1', '..'])(
    '%j is none',
    text => {
      expect(parseHost(text)).toBeUndefined()
    },
  )
  it('never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), text => {
        parseHost(text)
      }),
    )
  })
})

describe('a wildcard (R2)', () => {
  it.each([
    ['covers one label', '*.a.b', 'x.a.b', true],
    ['covers many labels', '*.a.b', 'x.y.a.b', true],
    ['does not cover its own apex', '*.a.b', 'a.b', false],
    ['does not match inside its literal part', '*.a.b', 'evila.b', false],
    ['does not match beyond its end', '*.a.b', 'x.a.b.evil', false],
    ['may stand in the middle', 'db-*.internal', 'db-7.eu.internal', true],
    ['may stand for nothing', 'db*.internal', 'db.internal', true],
    ['may stand at the end', 'db.*', 'db.internal', true],
    ['alone is every name', '*', 'any.name', true],
    ['? is exactly one character', 'db-?.internal', 'db-7.internal', true],
    ['? is not none', 'db-?.internal', 'db-.internal', false],
    ['? is not two', 'db-?.internal', 'db-77.internal', false],
    ['* and ? together are at least one', 'db-?*.x', 'db-.x', false],
    ['comes back to its last star', '*ab*ab', 'xabyabzab', true],
    ['knows no regular expression', 'a.b', 'axb', false],
  ])('%s', (_, pattern, name, matches) => {
    expect(matchesPattern(pattern, name)).toBe(matches)
  })
  it('agrees with a regular expression', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[ab*?.]{0,8}$/), fc.stringMatching(/^[ab.]{0,10}$/), (pattern, name) => {
        const expression = pattern.replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll('?', '.')
        expect(matchesPattern(pattern, name)).toBe(new RegExp(`^${expression}$`).test(name))
      }),
      { numRuns: 2_000 },
    )
  })
  it('is matched in bounded time', () => {
    expect(matchesPattern(`${'a*'.repeat(120)}b`, 'a'.repeat(253))).toBe(false)
  })
  it.each([
    ['*.internal', '*.team.internal', true],
    ['*.internal', 'db-?.internal', true],
    ['*.internal', '*.internal', true],
    ['*.team.internal', '*.internal', false],
    ['?.internal', '*.internal', false],
    ['??.internal', '*.internal', false],
    ['*.internal', '*internal', false],
  ])('%s covers all of %s: %s', (outer, inner, wanted) => {
    expect(coversPattern(outer, inner)).toBe(wanted)
  })
  it('covers no pattern with a name that it does not match', () => {
    const pattern = fc.stringMatching(/^[ab*?]{0,5}$/)
    fc.assert(
      fc.property(pattern, pattern, fc.stringMatching(/^[ab]{0,6}$/), (outer, inner, name) => {
        fc.pre(coversPattern(outer, inner) && matchesPattern(inner, name))
        expect(matchesPattern(outer, name)).toBe(true)
      }),
    )
  })
})

describe('what the API server accepts', () => {
  const rules = RESOURCE_RULES.find(({ at }) => at === 'spec.address')!.rules as unknown as Rule<string>[]
  const accepted = (text: string) => rules.every(({ check }) => check(text))
  const octet = fc.integer({ min: 0, max: 260 })
  const text = fc.oneof(
    fc.stringMatching(/^[A-Za-z0-9*?._:/-]{1,40}$/),
    fc.stringMatching(/^[a-c0x*?_-]{1,4}([.][a-c0-9x*?_-]{0,3}){0,3}$/),
    fc.stringMatching(/^[0-9a-f:.]{2,20}(\/[0-9]{1,3})?$/),
    fc
      .tuple(octet, octet, octet, octet, fc.integer({ min: 0, max: 34 }))
      .map(([a, b, c, d, e]) => `${a}.${b}.${c}.${d}/${e}`),
    fc.tuple(octet, octet, octet, octet).map(octets => octets.join('.')),
  )
  it('is what is read here', () => {
    fc.assert(
      fc.property(text, address => {
        expect([address, codeOf(address) === 'none']).toEqual([address, accepted(address)])
      }),
      { numRuns: 5_000 },
    )
  })
})
