import type { DeclaredKind, DeclaredRow } from '@sallyport/schema'
import { describe, expect, it } from 'vitest'
import { planRemoval, type RemovalWorld, takenRows } from './removal.ts'
import type { Step } from './step.ts'

const NOW = 1_700_000_000_000
const WAIT = 300_000
const rows = (count: number, kind: DeclaredKind = 'resource'): DeclaredRow[] =>
  Array.from({ length: count }, (_, index) => ({ kind, uid: `${kind}-${index}`, digest: '', revision: 1 }))
const uids = (some: DeclaredRow[]) => new Set(some.map(({ uid }) => uid))

const world = (all: DeclaredRow[], declared: DeclaredRow[], more: Partial<RemovalWorld> = {}): RemovalWorld => ({
  rows: all,
  declared: uids(declared),
  falling: new Set(),
  failed: [],
  emptied: false,
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
  const held = { sinceMs: NOW - WAIT, nextMs: NOW, code: 'code' }

  it.each([
    ['none', world(hundred, hundred), 0],
    ['exactly half of them', world(hundred, hundred.slice(50)), 50],
    ['one more than half', world(hundred, hundred.slice(51)), 'held'],
    ['all of 20', world(rows(20), []), 20],
    ['all of 21', world(rows(21), []), 'held'],
    [
      'most, while they wait',
      world(hundred, hundred.slice(90), { hold: { sinceMs: NOW - WAIT + 1, nextMs: NOW + 1, code: 'code' } }),
      'held',
    ],
    ['most, when the wait is over', world(hundred, hundred.slice(90), { hold: held }), 90],
    [
      'most, confirmed',
      world(hundred, hundred.slice(90), {
        hold: { sinceMs: NOW, nextMs: NOW + WAIT, code: 'code' },
        confirmed: 'code',
      }),
      90,
    ],
    [
      'most, confirmed with another code',
      world(hundred, hundred.slice(90), { hold: { sinceMs: NOW, nextMs: NOW + WAIT, code: 'code' }, confirmed: 'old' }),
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
    [
      'few, with which most would fall',
      world(hundred, hundred.slice(1), { falling: uids(hundred.slice(0, 51)) }),
      'held',
    ],
    ['few, with which half would fall', world(hundred, hundred.slice(1), { falling: uids(hundred.slice(0, 50)) }), 1],
    [
      'most that would fall, when the wait is over',
      world(hundred, hundred.slice(1), { falling: uids(hundred), hold: held }),
      1,
    ],
    [
      'most that would fall with a whole kind, when the wait is over',
      world(hundred, hundred, { falling: uids(hundred), emptied: true, hold: held }),
      'held',
    ],
    [
      'few, though a whole kind is missing',
      world(hundred, hundred.slice(20), { falling: uids(hundred.slice(0, 20)), emptied: true }),
      20,
    ],
  ])('%s', (_, one, outcome) => {
    expect(removed(one)).toBe(outcome)
  })

  it('are told of once, with a code, and looked at again when the wait is over', () => {
    const first = planRemoval(world(hundred, []))
    expect(first).toEqual({
      kind: 'hold',
      hold: { sinceMs: NOW, nextMs: NOW + WAIT, code: 'code' },
      count: 100,
      of: 100,
      isNew: true,
    })
    const known = { sinceMs: NOW - 1, nextMs: NOW + WAIT - 1, code: 'first' }
    const again = planRemoval(world(hundred, [], { hold: known, code: 'second' }))
    expect(again).toMatchObject({ kind: 'hold', isNew: false, hold: known })
  })

  it('are looked at once in each further wait while the lists are broken', () => {
    const first = { sinceMs: NOW - WAIT, nextMs: NOW, code: 'code' }
    const second = { ...first, nextMs: NOW + WAIT }
    expect(planRemoval(world(hundred, [], { hold: first }))).toMatchObject({ hold: second })
    const between = world(hundred, [], { hold: second, nowMs: NOW + WAIT - 1 })
    expect(planRemoval(between)).toMatchObject({ hold: second })
  })

  it('are those that no list is known to have, and not those that fall with them', () => {
    const decision = planRemoval(world(hundred, hundred.slice(1), { falling: uids(hundred.slice(0, 3)) }))
    expect(decision).toEqual({ kind: 'remove', rows: hundred.slice(0, 1) })
  })
})

describe('the rows that a plan takes', () => {
  const put = (uid: string, groups: (string | null)[]): Step => ({
    ...{ do: 'putRow', kind: 'resource', uid, digest: '', body: { groups } },
  })
  const there = (uid: string) => uid === 'there'

  it.each<[string, Step, string[]]>([
    ['one that it removes', { do: 'deleteRow', kind: 'resource', uid: 'there' }, ['there']],
    ['one that it would remove if it were there', { do: 'deleteRow', kind: 'resource', uid: 'new' }, []],
    ['one that it writes without one of its Groups', put('there', ['a', null]), ['there']],
    ['one that it writes for the first time', put('new', ['a', null]), []],
    ['one that it writes with all of its Groups', put('there', ['a']), []],
    ['one that names no Group', put('there', []), []],
  ])('%s', (_, step, taken) => {
    expect(takenRows([step], there)).toEqual(taken)
  })
})
