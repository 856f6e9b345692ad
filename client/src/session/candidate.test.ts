import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { orderCandidates, type Spoiled } from './candidate.ts'

const NONE: Spoiled = { connectors: new Set(), relays: new Set() }
const relay = (name: string) => ({ name, address: `${name}:443`, capabilities: ['x'] })
const connector = (id: string, relays = ['r1', 'r2']) => ({ id, pin: '', relays: relays.map(relay) })
const words = (self: string, spoiled = NONE, connectors = [connector('c1'), connector('c2')]) =>
  orderCandidates(connectors, self, spoiled).map(way => `${way.connector}/${way.relay}`)

describe('the order of ways', () => {
  it('has each way once, and the first two share neither Connector nor Relay', () => {
    fc.assert(
      fc.property(fc.string(), self => {
        const order = words(self)
        expect(new Set(order)).toEqual(new Set(['c1/r1', 'c1/r2', 'c2/r1', 'c2/r2']))
        const [first = '', second = ''] = order
        expect(first.slice(0, 2)).not.toBe(second.slice(0, 2))
        expect(first.slice(3)).not.toBe(second.slice(3))
      }),
    )
  })

  it('is the same for one Client at all times, and spreads many evenly', () => {
    expect(words('me')).toEqual(words('me'))
    const first = Array.from({ length: 1000 }, (_, index) => words(`client-${index}`)[0])
    for (const way of ['c1/r1', 'c1/r2', 'c2/r1', 'c2/r2']) {
      expect(first.filter(one => one === way).length).toBeGreaterThan(180)
    }
  })

  it('has what was found dead at its end, and nothing is left out', () => {
    const spoiled = { connectors: new Set(['c1']), relays: new Set<string>() }
    expect(
      words('me', spoiled)
        .slice(0, 2)
        .every(way => way.startsWith('c2')),
    ).toBe(true)
    const all = { connectors: new Set(['c1', 'c2']), relays: new Set(['r1', 'r2']) }
    expect(words('me', all)).toHaveLength(4)
  })

  it('is empty where there is no Connector, and for one without Relays', () => {
    expect(words('me', NONE, [])).toEqual([])
    expect(words('me', NONE, [connector('c1', [])])).toEqual([])
  })
})
