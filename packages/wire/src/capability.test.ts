import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBase32, encodeBase32 } from './base32.ts'
import {
  capabilityFromText,
  capabilityToText,
  decodeCapability,
  decodeCapabilityClaims,
  encodeCapability,
  encodeCapabilityClaims,
} from './capability.ts'
import { WireError } from './error.ts'

const parts = {
  nonce: new Uint8Array(12).fill(1),
  ciphertext: new Uint8Array(32).fill(2),
  tag: new Uint8Array(16).fill(3),
}
const claims = { connectorId: new Uint8Array(20).fill(7), expiry: 0x01020304, serial: 0x1122334455667788n }

describe('capability', () => {
  it('has version, nonce, ciphertext and tag in this order', () => {
    const bytes = encodeCapability(parts)
    expect(hex(bytes)).toBe(`01${'01'.repeat(12)}${'02'.repeat(32)}${'03'.repeat(16)}`)
    expect(decodeCapability(bytes)).toEqual(parts)
  })

  it('says connector, expiry and serial in this order', () => {
    const bytes = encodeCapabilityClaims(claims)
    expect(hex(bytes)).toBe(`${'07'.repeat(20)}010203041122334455667788`)
    expect(decodeCapabilityClaims(bytes)).toEqual(claims)
  })

  it('reads as two labels of 49 characters', () => {
    const text = capabilityToText(encodeCapability(parts))
    expect(text).toBe(
      'aeaqcaibaeaqcaibaeaqcaqcaibaeaqcaibaeaqcaibaeaqca.ibaeaqcaibaeaqcaibaeaqcambqgaydambqgaydambqgaydam',
    )
    expect(capabilityFromText(text)).toEqual(encodeCapability(parts))
    expect(capabilityFromText(text.toUpperCase())).toEqual(encodeCapability(parts))
  })

  it.each([
    ['60 bytes', () => decodeCapability(new Uint8Array(60).fill(1))],
    ['62 bytes', () => decodeCapability(new Uint8Array(62).fill(1))],
    ['version 2', () => decodeCapability(new Uint8Array(61).fill(2))],
    ['a plaintext of 31 bytes', () => decodeCapabilityClaims(new Uint8Array(31))],
    ['text without a dot', () => capabilityFromText('a'.repeat(98))],
    ['text of one character less', () => capabilityFromText(`${'a'.repeat(49)}.${'a'.repeat(48)}`)],
    ['text with a character that is not base32', () => capabilityFromText(`${'a'.repeat(49)}.${'a'.repeat(48)}1`)],
    ['text whose last bits are not zero', () => capabilityFromText(`${'a'.repeat(49)}.${'a'.repeat(48)}b`)],
  ])('%s is refused', (_name, run) => {
    expect(run).toThrow(WireError)
  })

  it('round trip of any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 61, maxLength: 61 }), bytes => {
        expect(capabilityFromText(capabilityToText(bytes))).toEqual(bytes)
      }),
    )
  })
})

describe('base32', () => {
  it.each([
    ['', ''],
    ['f', 'my'],
    ['fo', 'mzxq'],
    ['foo', 'mzxw6'],
    ['foob', 'mzxw6yq'],
    ['fooba', 'mzxw6ytb'],
    ['foobar', 'mzxw6ytboi'],
  ])('%j is %j (RFC 4648, section 10)', (plain, encoded) => {
    const bytes = new TextEncoder().encode(plain)
    expect(encodeBase32(bytes)).toBe(encoded)
    expect(decodeBase32(encoded)).toEqual(bytes)
  })

  it('each value has one text', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'abc27z'), maxLength: 12 }), text => {
        const bytes = decodeBase32(text)
        if (bytes !== undefined) expect(encodeBase32(bytes)).toBe(text)
      }),
    )
  })
})

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('')
}
