import { describe, expect, it } from 'vitest'
import { ToConnector } from './control.ts'
import { ResourceSpec } from './crd/resource.ts'
import { parser } from './parse.ts'

const resource = parser(ResourceSpec)
const good = { remoteNetworkRef: { name: 'office' }, address: 'db.internal' }

describe('a parser', () => {
  it('accepts what the schema describes', () => {
    expect(resource.check(good)).toBe(true)
    expect(resource.problems(good)).toEqual([])
  })
  it.each([
    ['a missing field', { remoteNetworkRef: { name: 'office' } }, { field: 'address', message: 'is missing' }],
    ['an unknown field', { ...good, adress: 'x' }, { field: 'adress', message: 'is not a known field' }],
    [
      'an unknown nested field',
      { ...good, protocols: { tpc: {} } },
      { field: 'protocols.tpc', message: 'is not a known field' },
    ],
    [
      'a word outside the list',
      { ...good, protocols: { icmp: 'Maybe' } },
      { field: 'protocols.icmp', message: 'must be one of Allow, Deny' },
    ],
    [
      'a port out of range',
      { ...good, protocols: { tcp: { policy: 'Restricted', ports: [{ start: 0, end: 9 }] } } },
      { field: 'protocols.tcp.ports.0.start', message: 'must be >= 1' },
    ],
    ['another type altogether', 7, { field: '', message: 'must be object' }],
  ])('names the field of %s', (_, value, problem) => {
    expect(resource.check(value)).toBe(false)
    expect(resource.problems(value)).toContainEqual(problem)
  })
  it('lets control messages carry members of a later version, not types of none', () => {
    const message = parser(ToConnector)
    expect(message.check({ type: 'synced', revision: 1, later: true })).toBe(true)
    expect(message.check({ type: 'synced', revision: '1' })).toBe(false)
    expect(message.check({ type: 'later' })).toBe(false)
  })
  it('is not fooled by a prototype member', () => {
    expect(
      resource.check(JSON.parse('{"remoteNetworkRef":{"name":"office"},"address":"a","__proto__":{"visible":true}}')),
    ).toBe(false)
  })
})
