import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { contains, covers, formatCidr, formatIp, networkOf, parseCidr, parseIp } from './ip.ts'

describe('an IP address', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::FFFF:0a00:0001', '10.0.0.1'],
    ['0:0:0:0:0:ffff:127.0.0.1', '127.0.0.1'],
  ])('%s is written %s', (text, written) => {
    expect(formatIp(parseIp(text)!)).toBe(written)
  })
  it.each([
    '',
    '10.0.0',
    '10.0.0.256',
    '10.0.0.01',
    '0x7f.0.0.1',
    '127.1',
    '2130706433',
    ' 10.0.0.1',
    '10.0.0.1 ',
    '10.0.0.1.',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '12345::',
    'g::',
    'fe80::1%eth0',
    '::10.0.0.256',
    '10.0.0.1::',
    '[::1]',
    `${'0'.repeat(40)}::1`,
  ])('%j is none', text => {
    expect(parseIp(text)).toBeUndefined()
  })
  it('reads back what it writes', () => {
    fc.assert(
      fc.property(fc.constantFrom(4 as const, 6 as const), fc.bigInt(0n, (1n << 128n) - 1n), (family, bits) => {
        const ip = { family, value: family === 4 ? bits & 0xffff_ffffn : bits }
        fc.pre(family === 4 || bits >> 32n !== 0xffffn)
        expect(parseIp(formatIp(ip))).toEqual(ip)
      }),
    )
  })
  it('never throws, whatever the text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f:./]{0,50}$/)), text => {
        parseIp(text)
        parseCidr(text)
      }),
    )
  })
})

describe('a CIDR', () => {
  it.each([
    ['10.0.0.0/8', '10.255.255.255', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['10.0.0.4/30', '10.0.0.7', true],
    ['10.0.0.4/30', '10.0.0.8', false],
    ['0.0.0.0/0', '255.255.255.255', true],
    ['0.0.0.0/0', '::1', false],
    ['::/0', '::1', true],
    ['::/0', '10.0.0.1', false],
    ['2001:db8::/32', '2001:db8:ffff::', true],
    ['2001:db8::/32', '2001:db9::', false],
    ['::ffff:10.0.0.0/104', '10.1.2.3', true],
  ])('%s and %s: %s', (range, ip, inside) => {
    expect(contains(parseCidr(range)!, parseIp(ip)!)).toBe(inside)
  })
  it.each([
    ['10.0.0.0/8', '10.1.0.0/16', true],
    ['10.0.0.0/8', '10.0.0.0/8', true],
    ['10.1.0.0/16', '10.0.0.0/8', false],
    ['10.0.0.0/8', '11.0.0.0/16', false],
    ['::/0', '10.0.0.0/8', false],
  ])('%s covers %s: %s', (outer, inner, wanted) => {
    expect(covers(parseCidr(outer)!, parseCidr(inner)!)).toBe(wanted)
  })
  it.each([
    '10.0.0.0',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '10.0.0.0/-1',
    '::/129',
    '10.0.0.0/8/8',
    '/8',
    '::ffff:10.0.0.0/95',
  ])('%j is none', text => {
    expect(parseCidr(text)).toBeUndefined()
  })
  it('begins at its network', () => {
    const range = parseCidr('10.1.2.3/8')!
    expect(formatCidr({ ...range, value: networkOf(range) })).toBe('10.0.0.0/8')
  })
})
