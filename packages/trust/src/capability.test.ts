import type { ConnectorId } from '@sallyport/schema'
import { capabilityFromText, capabilityToText } from '@sallyport/wire'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRelayKey, openCapability, relayKeyFromText, relayKeyToText, sealCapability } from './capability.ts'
import { TrustError } from './error.ts'
import { fixedKeys } from './fixture.ts'
import { connectorIdOf } from './key.ts'
import { createStoreKey, formatStoreKey, open, openText, parseStoreKey, seal } from './seal.ts'

const NOW = Date.UTC(2026, 5, 1)
const connectorId = connectorIdOf(fixedKeys.publicKey)
const capability = { connectorId, expiresAtMs: NOW + 60_000, serial: 7n }
const [first, second, stranger] = [createRelayKey(), createRelayKey(), createRelayKey()]
const bytes = (value: number) => (length: number) => new Uint8Array(length).fill(value)

describe('a capability', () => {
  it('has golden bytes', () => {
    const key = { id: 'k', key: bytes(1)(32) }
    const sealed = sealCapability(capability, key, bytes(2))
    expect(Buffer.from(sealed).toString('hex')).toBe(
      '010202020202020202020202025dacb185eef735dd0a70de733a3bfe95fb564e9d81ad46cddd87e0fb78fb7478ef7551bba535100dbb8d50e7671e09ac',
    )
    expect(openCapability(sealed, [key], NOW)).toEqual({ ok: true, capability })
  })
  it('opens with either of two keys, and with no other', () => {
    for (const key of [first, second]) {
      expect(openCapability(sealCapability(capability, key), [first, second], NOW)).toEqual({ ok: true, capability })
    }
    const refused = { ok: false, reason: 'capability_refused' }
    expect(openCapability(sealCapability(capability, stranger), [first, second], NOW)).toEqual(refused)
    expect(openCapability(sealCapability(capability, first), [], NOW)).toEqual(refused)
  })
  it('is over at its end, exclusive', () => {
    const sealed = sealCapability(capability, first)
    expect(openCapability(sealed, [first], NOW + 59_999).ok).toBe(true)
    expect(openCapability(sealed, [first], NOW + 60_000)).toEqual({ ok: false, reason: 'capability_expired' })
  })
  it('tells nothing of its end to who cannot open it', () => {
    const sealed = sealCapability({ ...capability, expiresAtMs: 1_000 }, stranger)
    expect(openCapability(sealed, [first], NOW)).toEqual({ ok: false, reason: 'capability_refused' })
  })
  it('is another each time', () => {
    expect(capabilityToText(sealCapability(capability, first))).not.toBe(
      capabilityToText(sealCapability(capability, first)),
    )
  })
  it('survives its text, whatever it says', () => {
    const serial = fc.bigInt(0n, (1n << 64n) - 1n)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 0xffffffff }), serial, (expiry, number) => {
        const said = { connectorId, expiresAtMs: expiry * 1000, serial: number }
        const text = capabilityToText(sealCapability(said, first))
        expect(openCapability(capabilityFromText(text.toUpperCase()), [first], 0)).toEqual({
          ok: true,
          capability: said,
        })
      }),
    )
  })
  it('is refused with any bit changed', () => {
    const sealed = sealCapability(capability, first)
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = Uint8Array.from(sealed)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      expect(openCapability(changed, [first, second], NOW)).toEqual({ ok: false, reason: 'capability_refused' })
    }
  })
  it('is refused, and nothing thrown, from garbage', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), garbage => {
        expect(openCapability(garbage, [first], NOW).ok).toBe(false)
      }),
    )
  })
  it('is not sealed for what is no Connector ID', () => {
    expect(() => sealCapability({ ...capability, connectorId: 'UPPER' as ConnectorId }, first)).toThrow(TypeError)
  })
})

describe('a relay key', () => {
  it('survives its form in the Secret', () => {
    expect(relayKeyFromText(relayKeyToText(first))).toEqual({ id: first.id, key: Uint8Array.from(first.key) })
  })
  it.each(['', 'AAAA', 'A'.repeat(44), '='.repeat(43)])('is not read from %j', key => {
    expect(() => relayKeyFromText({ id: 'k', key })).toThrow(expect.objectContaining({ code: 'malformed' }))
  })
})

describe('a sealed secret', () => {
  const [key, next] = [createStoreKey(), createStoreKey()]
  it('has golden text', () => {
    expect(seal('secret', 'purpose', { id: 'k', key: bytes(1)(32) }, bytes(2))).toBe(
      '1.k.AgICAgICAgICAgICdLOqOy8jPjllgzlxzHK2j-e9sdBYjg',
    )
  })
  it('opens for its purpose, with its key among others', () => {
    expect(openText(seal('secret', 'a', key), 'a', [next, key])).toBe('secret')
    expect([...open(seal(Uint8Array.of(0, 255), 'a', key), 'a', [key])]).toEqual([0, 255])
  })
  it.each<[string, () => unknown]>([
    ['for another purpose', () => open(seal('secret', 'signing-key:a', key), 'signing-key:b', [key])],
    ['with another key of the same id', () => open(seal('secret', 'a', key), 'a', [{ ...next, id: key.id }])],
    ['without its key', () => open(seal('secret', 'a', key), 'a', [next])],
    [
      'under the id of another key',
      () => open(seal('secret', 'a', key).replace(key.id, next.id), 'a', [key, { ...key, id: next.id }]),
    ],
    ['cut', () => open(seal('secret', 'a', key).slice(0, -4), 'a', [key])],
    ['of another version', () => open(seal('secret', 'a', key).replace('1.', '2.'), 'a', [key])],
    ['of nothing', () => open('', 'a', [key])],
    ['of too little', () => open(`1.${key.id}.AAAA`, 'a', [key])],
  ])('stays closed %s', (_, read) => {
    expect(read).toThrow(expect.objectContaining({ name: 'TrustError', code: 'cannot_open' }))
  })
  it('stays closed, and throws nothing else, whatever the text', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.base64String().map(text => `1.${key.id}.${text}`),
        ),
        text => {
          expect(() => open(text, 'a', [key])).toThrow(TrustError)
        },
      ),
    )
  })
  it('has a key that survives its text', () => {
    expect(parseStoreKey(`${formatStoreKey(key)}\n`)).toEqual({ id: key.id, key: Uint8Array.from(key.key) })
    for (const text of ['', 'k', 'k.AAAA', `k.${'A'.repeat(43)}.x`, `.${'A'.repeat(43)}`]) {
      expect(() => parseStoreKey(text)).toThrow(expect.objectContaining({ code: 'malformed' }))
    }
  })
})
