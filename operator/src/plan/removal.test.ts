import type { DeclaredKind, DeclaredRow } from '@sallyport/schema'
import { describe, expect, it } from 'vitest'
import { planRemoval, type RemovalWorld } from './removal.ts'

const NOW = 1_700_000_000_000
const WAIT = 300_000
const rows = (count: number, kind: DeclaredKind = 'resource'): DeclaredRow[] =>
  Array.from({ length: count }, (_, index) => ({ kind, uid: `${kind}-${index}`, digest: '', revision: 1 }))
const uids = (some: DeclaredRow[]) => new Set(some.map(({ uid }) => uid))

const world = (all: DeclaredRow[], declared: DeclaredRow[], more: Partial<RemovalWorld> = {}): RemovalWorld => ({
  rows: all,
  declared: uids(declared),
  failed: [],
  hold: undefined,
  confirmed: undefined,
  nowMs: NOW,
  waitMs: WAIT,
  code: 'code',
  ...more,
})
const removed = (one: RemovalWorld) => {
  const decision = planRemoval(one)
  return decision.kind === 'remove' ? decision.rows.length : 'held'
}

describe('rows that no object declares', () => {
  const hundred = rows(100)
  const held = { sinceMs: NOW - WAIT, code: 'code' }

  it.each([
    ['none', world(hundred, hundred), 0],
    ['exactly half of them', world(hundred, hundred.slice(50)), 50],
    ['one more than half', world(hundred, hundred.slice(51)), 'held'],
    ['all of 20', world(rows(20), []), 20],
    ['all of 21', world(rows(21), []), 'held'],
    [
      'most, while they wait',
      world(hundred, hundred.slice(90), { hold: { sinceMs: NOW - WAIT + 1, code: 'code' } }),
      'held',
    ],
    ['most, when the wait is over', world(hundred, hundred.slice(90), { hold: held }), 90],
    [
      'most, confirmed',
      world(hundred, hundred.slice(90), { hold: { sinceMs: NOW, code: 'code' }, confirmed: 'code' }),
      90,
    ],
    [
      'most, confirmed with another code',
      world(hundred, hundred.slice(90), { hold: { sinceMs: NOW, code: 'code' }, confirmed: 'old' }),
      'held',
    ],
    ['most, confirmed before anything was held', world(hundred, hundred.slice(90), { confirmed: 'code' }), 'held'],
    ['all of a kind, when the wait is over', world(hundred, [], { hold: held }), 'held'],
    ['all of a kind, confirmed', world(hundred, [], { hold: held, confirmed: 'code' }), 100],
    [
      'those of a kind that could not be listed',
      world([...rows(5), ...rows(5, 'group')], [], { failed: ['resource'] }),
      5,
    ],
    [
      'most, when the wait is over and a list fails',
      world([...hundred, ...rows(9, 'group')], hundred.slice(90), { hold: held, failed: ['group'] }),
      'held',
    ],
  ])('%s', (_, one, outcome) => {
    expect(removed(one)).toBe(outcome)
  })

  it('are told of once, with a code, and looked at again when the wait is over', () => {
    const first = planRemoval(world(hundred, []))
    expect(first).toEqual({
      kind: 'hold',
      hold: { sinceMs: NOW, code: 'code' },
      count: 100,
      of: 100,
      isNew: true,
      wakeAtMs: NOW + WAIT,
    })
    const again = planRemoval(world(hundred, [], { hold: { sinceMs: NOW - 1, code: 'first' }, code: 'second' }))
    expect(again).toMatchObject({ kind: 'hold', isNew: false, hold: { code: 'first' } })
  })
})
