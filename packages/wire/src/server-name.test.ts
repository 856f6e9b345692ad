import { describe, expect, it } from 'vitest'
import {
  capabilityServerName,
  checkServerName,
  classifyServerName,
  slotKeyToText,
  slotServerName,
} from './server-name.ts'

const RELAY = 'relay-1.example.org'
const capability = new Uint8Array(61).fill(1)
const key = slotKeyToText(new Uint8Array(16).fill(9))

describe('server names at a Relay', () => {
  it.each([
    ['a capability', capabilityServerName(capability, RELAY), { kind: 'capability', bytes: capability }],
    [
      'a capability in capitals',
      capabilityServerName(capability, RELAY).toUpperCase(),
      { kind: 'capability', bytes: capability },
    ],
    ['a slot key', slotServerName(key, RELAY), { kind: 'slot', key }],
    ['its own name', RELAY, { kind: 'control' }],
    ['its own name in capitals', RELAY.toUpperCase(), { kind: 'control' }],
    ['no name', undefined, { kind: 'control' }],
    ["another Relay's capability name", capabilityServerName(capability, 'relay-2.example.org'), { kind: 'unknown' }],
    ['a name that ends like its own', `evil${RELAY}`, { kind: 'unknown' }],
    ['its own name with a dot at the end', `${RELAY}.`, { kind: 'unknown' }],
    ['a slot key that is too short', `${key.slice(1)}.slot.${RELAY}`, { kind: 'unknown' }],
    ['a slot key in two labels', `${key.slice(0, 5)}.${key.slice(5)}.slot.${RELAY}`, { kind: 'unknown' }],
    ['an empty slot key', `.slot.${RELAY}`, { kind: 'unknown' }],
    ['a capability in one label', `${'a'.repeat(99)}.${RELAY}`, { kind: 'unknown' }],
    ['a subdomain', `www.${RELAY}`, { kind: 'unknown' }],
  ])('%s', (_name, serverName, wanted) => {
    expect(classifyServerName(serverName, RELAY)).toEqual(wanted)
  })

  it('253 characters are a server name, 254 are not', () => {
    const longest = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`
    expect(checkServerName(longest)).toHaveLength(253)
    expect(() => checkServerName(`${longest}e`)).toThrow('server name of 254 characters, want at most 253')
  })

  it('a capability name that would be too long is refused', () => {
    const name = (length: number) => `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(length - 122)}`
    expect(capabilityServerName(capability, name(153))).toHaveLength(253)
    expect(() => capabilityServerName(capability, name(154))).toThrow('server name of 254 characters')
  })
})
