import { describe, expect, it } from 'vitest'
import { differs } from './difference.ts'

const term = (app: string) => ({ topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app } } })
const TERMS = [term('a'), term('b')]
const spread = (maxSkew: number, whenUnsatisfiable: string) => ({ ...term('a'), maxSkew, whenUnsatisfiable })
const SPREADS = [spread(1, 'ScheduleAnyway'), spread(3, 'DoNotSchedule')]
const filled = (one: object) => ({ ...one, matchLabelKeys: [] })

describe('what is wanted and what is there', () => {
  it.each([
    ['the same', { a: 1 }, { a: 1 }, false],
    ['another value', { a: 1 }, { a: 2 }, true],
    ['nothing there', { a: 1 }, undefined, true],
    ['more there than wanted', { a: 1 }, { a: 1, b: 2 }, false],
    ['more deep inside', { a: { b: 1 } }, { a: { b: 1, c: 2 } }, false],
    ['a member missing deep inside', { a: { b: 1 } }, { a: {} }, true],
    ['a list of the same', { a: [1, 2] }, { a: [1, 2] }, false],
    ['a list with one more', { a: [1] }, { a: [1, 2] }, true],
    ['a list in another order', { a: [1, 2] }, { a: [2, 1] }, true],
    [
      'an entry of someone else in a map',
      { env: [{ name: 'A', value: '1' }] },
      { env: [{ name: 'B' }, { name: 'A', value: '1' }] },
      false,
    ],
    ['another value in a map', { env: [{ name: 'A', value: '1' }] }, { env: [{ name: 'A', value: '2' }] }, true],
    ['an entry of a map that is missing', { access: [{ group: 'a' }] }, { access: [{ group: 'b' }] }, true],
    ['terms that differ in more than their topology', { required: TERMS }, { required: TERMS.map(filled) }, false],
    ['such terms in another order', { required: TERMS }, { required: [...TERMS].reverse() }, true],
    ['one of such terms', { required: TERMS }, { required: TERMS.slice(1) }, true],
    ['such terms and one more', { required: TERMS.slice(1) }, { required: TERMS }, true],
    ['two spreads over one topology', { spread: SPREADS }, { spread: SPREADS.map(filled) }, false],
    ['such spreads, and one of someone else', { spread: SPREADS.slice(1) }, { spread: SPREADS }, false],
    ['another skew of one of them', { spread: SPREADS }, { spread: [SPREADS[0], { ...SPREADS[1], maxSkew: 9 }] }, true],
    ['an entry of someone else in a set', { spec: { aliases: ['a'] } }, { spec: { aliases: ['b', 'a'] } }, false],
    ['one of a set that is missing', { spec: { aliases: ['a'] } }, { spec: { aliases: ['b'] } }, true],
    ['nothing where the server leaves out what is empty', { a: [], b: {} }, {}, false],
    ['items with what the server fills in', { a: [{ n: 1 }] }, { a: [{ n: 1, protocol: 'TCP' }] }, false],
    ['what is not wanted', { a: undefined }, {}, false],
    [
      'an amount in two notations',
      { resources: { limits: { cpu: '0.1' } } },
      { resources: { limits: { cpu: '100m' } } },
      false,
    ],
    ['amounts of memory', { requests: { memory: '67108864' } }, { requests: { memory: '64Mi' } }, false],
    ['another amount', { requests: { memory: '64M' } }, { requests: { memory: '64Mi' } }, true],
    ['amounts elsewhere', { labels: { cpu: '0.1' } }, { labels: { cpu: '100m' } }, true],
  ])('%s', (_, wanted, live, outcome) => {
    expect(differs(wanted, live)).toBe(outcome)
  })
})
