import { describe, expect, it } from 'vitest'
import { guardAddress, parseExceptions } from './guard.ts'
import { parseIp } from './ip.ts'
import { compileRule, normaliseRule } from './rule.ts'

function guard(
  address: string,
  { resource = 'db.internal', exceptions = [] as string[], own = ['10.1.2.3', '2001:db8::3'] } = {},
) {
  const rule = compileRule(normaliseRule({ address: resource }))
  const ownAddresses = own.map(text => parseIp(text)!)
  const verdict = guardAddress(address, { exceptions: parseExceptions(exceptions), ownAddresses, rule })
  return verdict.allow ? 'allowed' : verdict.reason
}

describe('the destination guard (R8)', () => {
  it.each([
    ['a private address', '10.0.0.1'],
    ['a public address', '192.0.2.1'],
    ['a unique local address', 'fd00::1'],
    ['the neighbour of metadata', '100.100.100.201'],
    ['the neighbour of AWS metadata', 'fd00:ec2::255'],
    ['one past loopback', '128.0.0.0'],
    ['one before link-local', '169.253.255.255'],
    ['one past link-local', '169.255.0.0'],
    ['one before multicast', '223.255.255.255'],
    ['one past IPv6 link-local', 'fec0::'],
    ['NAT64 of a public address', '64:ff9b::192.0.2.1'],
    ['6to4 of a public address', '2002:c000:201::1'],
    ['a neighbour of the pod', '10.1.2.4'],
  ])('lets through %s', (_, address) => {
    expect(guard(address)).toBe('allowed')
  })
  it.each([
    ['loopback', '127.0.0.1'],
    ['the last of loopback', '127.255.255.255'],
    ['IPv6 loopback', '::1'],
    ['the unspecified address', '0.0.0.0'],
    ['what 0.0.0.0 stands for', '0.1.2.3'],
    ['the unspecified IPv6 address', '::'],
    ['link-local', '169.254.0.1'],
    ['IPv6 link-local', 'fe80::1'],
    ['the last of IPv6 link-local', 'febf:ffff::'],
    ['metadata', '169.254.169.254'],
    ['AWS metadata', 'fd00:ec2::254'],
    ['Alibaba metadata', '100.100.100.200'],
    ['multicast', '224.0.0.1'],
    ['IPv6 multicast', 'ff02::1'],
    ['broadcast', '255.255.255.255'],
    ['the own pod', '10.1.2.3'],
    ['the own pod by IPv6', '2001:db8::3'],
    ['loopback, IPv4-mapped', '::ffff:127.0.0.1'],
    ['loopback, IPv4-mapped in hexadecimal', '::ffff:7f00:1'],
    ['metadata, IPv4-mapped', '::ffff:169.254.169.254'],
    ['the own pod, IPv4-mapped', '::ffff:10.1.2.3'],
    ['loopback, IPv4-compatible', '::127.0.0.1'],
    ['loopback, IPv4-translated', '::ffff:0:127.0.0.1'],
    ['loopback by NAT64', '64:ff9b::127.0.0.1'],
    ['metadata by NAT64', '64:ff9b::a9fe:a9fe'],
    ['metadata by NAT64 of the local network', '64:ff9b:1::169.254.169.254'],
    ['the own pod by NAT64', '64:ff9b::10.1.2.3'],
    ['metadata by 6to4', '2002:a9fe:a9fe::1'],
    ['what is not an address', 'localhost'],
    ['an address with a zone', 'fe80::1%eth0'],
    ['an odd notation', '127.1'],
  ])('keeps %s closed', (_, address) => {
    expect(guard(address)).toBe('guarded_address')
  })
  it.each([
    ['a Resource of that very address', '127.0.0.1', { resource: '127.0.0.1' }, 'allowed'],
    ['a /32', '169.254.169.254', { resource: '169.254.169.254/32' }, 'allowed'],
    ['a /128', '::1', { resource: '::1/128' }, 'allowed'],
    ['no neighbour of it', '127.0.0.2', { resource: '127.0.0.1' }, 'guarded_address'],
    ['no wider Resource', '127.0.0.1', { resource: '127.0.0.0/31' }, 'guarded_address'],
    ['no Resource of everything', '127.0.0.1', { resource: '0.0.0.0/0' }, 'guarded_address'],
    ['no name', '127.0.0.1', { resource: 'localhost' }, 'guarded_address'],
    ['no NAT64 form of the address', '64:ff9b::127.0.0.1', { resource: '127.0.0.1' }, 'guarded_address'],
    ['an exception', '127.0.0.5', { exceptions: ['127.0.0.0/8'] }, 'allowed'],
    ['an exception in IPv4-mapped form', '::ffff:127.0.0.5', { exceptions: ['127.0.0.0/8'] }, 'allowed'],
    ['nothing past an exception', '127.0.1.0', { exceptions: ['127.0.0.0/24'] }, 'guarded_address'],
    ['no other family by an exception', '::1', { exceptions: ['0.0.0.0/0'] }, 'guarded_address'],
    ['nothing by an exception that is none', '127.0.0.1', { exceptions: ['127.0.0.1', 'all'] }, 'guarded_address'],
    ['an exception for the own pod', '10.1.2.3', { exceptions: ['10.1.2.3/32'] }, 'allowed'],
  ])('is opened by %s', (_, address, context, wanted) => {
    expect(guard(address, context)).toBe(wanted)
  })
})
