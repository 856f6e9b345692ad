import { describe, expect, it } from 'vitest'
import { encodeAlert, refusalOfAlert, relayAlerts } from './alert.ts'
import { goawayCodeOf, goawayCodes, resetCodeOf, resetCodes } from './code.ts'

describe('codes', () => {
  it.each([
    ['RESET', resetCodes, resetCodeOf],
    ['GOAWAY', goawayCodes, goawayCodeOf],
  ] as const)('each %s code has a number of its own, a sentence, and is read back', (_name, codes, codeOf) => {
    const entries = Object.entries(codes)
    expect(new Set(entries.map(([, code]) => code.number)).size).toBe(entries.length)
    for (const [name, { number, meaning }] of entries) {
      expect(codeOf(number)).toBe(name)
      expect(number).toBeGreaterThan(0)
      expect(number).toBeLessThan(65_536)
      expect(meaning).toMatch(/^[A-Z].*\.$/)
    }
  })

  it('a number of a later version reads as closed', () => {
    expect(resetCodeOf(65_535)).toBe('closed')
    expect(goawayCodeOf(65_535)).toBe('closed')
  })
})

describe('alerts', () => {
  it('are fatal alert records', () => {
    expect(encodeAlert('capability_refused')).toEqual(Uint8Array.of(21, 3, 3, 0, 2, 2, 49))
    expect(encodeAlert('no_idle_socket')).toEqual(Uint8Array.of(21, 3, 3, 0, 2, 2, 80))
  })

  it('are named by their number, and no other alert is', () => {
    for (const [name, { alert }] of Object.entries(relayAlerts)) expect(refusalOfAlert(alert)).toBe(name)
    expect(refusalOfAlert(40)).toBeUndefined()
  })
})
