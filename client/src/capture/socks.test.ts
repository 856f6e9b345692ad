import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_SOCKS_BYTES, readSocksGreeting, readSocksRequest } from './socks.ts'

const request = (type: number, address: number[], port: [number, number] = [1, 187], command = 1) =>
  Uint8Array.of(5, command, 0, type, ...address, ...port)
const name = (text: string) => [text.length, ...Buffer.from(text)]

describe('a SOCKS request', () => {
  it.each<[string, Uint8Array, { host: string; port: number }]>([
    ['a name', request(3, name('db.internal')), { host: 'db.internal', port: 443 }],
    ['an IPv4 address', request(1, [10, 0, 0, 5], [0, 22]), { host: '10.0.0.5', port: 22 }],
    ['an IPv6 address', request(4, [0xfd, 0, ...Array(13).fill(0), 1]), { host: 'fd00:0:0:0:0:0:0:1', port: 443 }],
    ['the longest name', request(3, name('a'.repeat(255))), { host: 'a'.repeat(255), port: 443 }],
  ])('for %s is read', (_, bytes, wanted) => {
    expect(readSocksRequest(bytes)).toEqual({ kind: 'done', length: bytes.length, ...wanted })
    expect(bytes.length).toBeLessThanOrEqual(MAX_SOCKS_BYTES)
  })

  it.each<[string, Uint8Array, number]>([
    ['BIND', request(1, [1, 1, 1, 1], [0, 1], 2), 7],
    ['UDP ASSOCIATE', request(1, [1, 1, 1, 1], [0, 1], 3), 7],
    ['an unknown kind of address', request(2, [1, 1, 1, 1]), 8],
    ['port 0', request(1, [1, 1, 1, 1], [0, 0]), 1],
    ['an empty name', request(3, name('')), 1],
    ['a name with a line break', request(3, name('a\r\nb')), 1],
    ['SOCKS 4', Uint8Array.of(4, 1, 0, 80, 1, 1, 1, 1, 0), 1],
  ])('for %s is refused', (_, bytes, reply) => {
    expect(readSocksRequest(bytes)).toEqual({ kind: 'malformed', reply })
  })

  it('is the same in whatever pieces it comes', () => {
    const bytes = request(3, name('db.internal'))
    for (let length = 0; length < bytes.length; length++) {
      expect(readSocksRequest(bytes.subarray(0, length))).toEqual({ kind: 'more' })
    }
  })

  it('of random bytes is answered, and never waited for beyond its limit', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2 * MAX_SOCKS_BYTES }), bytes => {
        for (const read of [readSocksGreeting, readSocksRequest]) {
          const result = read(bytes)
          expect(['more', 'done', 'malformed']).toContain(result.kind)
          if (result.kind === 'more') expect(bytes.length).toBeLessThan(MAX_SOCKS_BYTES)
          if (result.kind === 'done') expect(result.length).toBeLessThanOrEqual(bytes.length)
        }
      }),
    )
  })

  it('with random names comes back as it was', () => {
    const hosts = fc.stringMatching(/^[!-~]{1,255}$/)
    fc.assert(
      fc.property(hosts, fc.integer({ min: 1, max: 65_535 }), (host, port) => {
        const bytes = request(3, name(host), [port >> 8, port & 255])
        expect(readSocksRequest(bytes)).toEqual({ kind: 'done', length: bytes.length, host, port })
      }),
    )
  })
})

describe('a SOCKS greeting', () => {
  it('is accepted when it offers to go on without authentication, and not otherwise', () => {
    expect(readSocksGreeting(Uint8Array.of(5, 2, 2, 0))).toEqual({ kind: 'done', length: 4, accepted: true })
    expect(readSocksGreeting(Uint8Array.of(5, 1, 2))).toEqual({ kind: 'done', length: 3, accepted: false })
    expect(readSocksGreeting(Uint8Array.of(5, 0))).toEqual({ kind: 'malformed' })
    expect(readSocksGreeting(Uint8Array.of(5, 3, 0, 1))).toEqual({ kind: 'more' })
  })
})
