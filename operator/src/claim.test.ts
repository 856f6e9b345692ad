import { normaliseRule, takenNames } from '@sallyport/policy'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { ResourceIndex } from './claim.ts'
import { type Declared, nameOf } from './object.ts'

let count = 0
function resource(
  name: string,
  age: number,
  address: string,
  aliases: string[] = [],
  network = 'office',
): Declared<'Resource'> {
  const uid = `00000000-0000-4000-8000-${String(++count).padStart(12, '0')}`
  const creationTimestamp = new Date(1_700_000_000_000 + age * 1000).toISOString()
  return {
    apiVersion: 'sallyport.dev/v1alpha1',
    kind: 'Resource',
    metadata: { name, namespace: 'default', uid, generation: 1, creationTimestamp },
    spec: { remoteNetworkRef: { name: network }, address, aliases },
  }
}

describe('exact names', () => {
  it('belong to the older, and pass to the younger when it goes', () => {
    const index = new ResourceIndex(() => true)
    const [old, young] = [resource('old', 1, 'db.internal'), resource('young', 2, 'x.internal', ['DB.internal.'])]
    index.put(young)
    expect(index.taken(young)).toBeUndefined()
    index.put(old)
    expect([...index.touched()]).toEqual(['default/young'])
    expect(index.taken(young)).toEqual({ name: 'db.internal', by: 'default/old' })
    index.remove(old)
    expect([...index.touched()]).toEqual(['default/young'])
    expect(index.taken(young)).toBeUndefined()
  })

  it('touch nobody while the same are asked for, or others of nobody else', () => {
    const index = new ResourceIndex(() => true)
    const [old, young] = [resource('old', 1, 'db.internal'), resource('young', 2, 'db.internal')]
    for (const each of [old, young]) index.put(each)
    expect([...index.touched()]).toEqual(['default/young'])
    index.put({ ...old, spec: { ...old.spec!, visible: false } })
    expect(index.isOpen).toBe(false)
    index.put({ ...old, spec: { ...old.spec!, aliases: ['more.internal'] } })
    expect(index.isOpen).toBe(true)
    expect([...index.touched()]).toEqual([])
    index.put({ ...old, spec: { ...old.spec!, address: 'else.internal' } })
    expect([...index.touched()]).toEqual(['default/young'])
  })

  it('are each network’s own', () => {
    const index = new ResourceIndex(() => true)
    const [one, other] = [resource('one', 1, 'db.internal'), resource('other', 2, 'db.internal', [], 'lab')]
    index.put(one)
    index.put(other)
    expect(index.taken(other)).toBeUndefined()
  })

  it('are not taken by who may not have them', () => {
    const index = new ResourceIndex(({ metadata }) => metadata.name !== 'old')
    const [old, young] = [resource('old', 1, 'db.internal'), resource('young', 2, 'db.internal')]
    index.put(old)
    index.put(young)
    expect(index.taken(young)).toBeUndefined()
  })

  it('pass on when it is looked at again who may have them', () => {
    const admitted = new Set(['old', 'young'])
    const index = new ResourceIndex(({ metadata }) => admitted.has(metadata.name))
    const [old, young] = [resource('old', 1, 'db.internal'), resource('young', 2, 'db.internal')]
    for (const each of [old, young]) index.put(each)
    expect([...index.touched()]).toEqual(['default/young'])
    admitted.delete('old')
    index.readmit(['default/old'])
    expect([...index.touched()]).toEqual(['default/young'])
    expect(index.taken(young)).toBeUndefined()
    admitted.add('old')
    index.readmit(['default/old'])
    expect(index.taken(young)).toEqual({ name: 'db.internal', by: 'default/old' })
  })

  it('are judged as policy judges the whole network, whatever the order of events', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd', 'e')
    const one = fc.record({
      age: fc.integer({ min: 0, max: 3 }),
      address: name,
      aliases: fc.uniqueArray(name, { maxLength: 2 }),
      network: fc.constantFrom('office', 'lab'),
      isAsked: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(one, { maxLength: 8 }), fc.array(fc.nat(7), { maxLength: 4 }), (specs, gone) => {
        const index = new ResourceIndex(() => true)
        const all = specs.map(({ age, address, aliases, network }, number) =>
          resource(`r${number}`, age, address, aliases, network),
        )
        for (const [number, each] of all.entries()) {
          index.put(each)
          if (specs[number]?.isAsked) index.touched()
        }
        const left = all.filter((_, number) => !gone.includes(number))
        for (const each of all) if (!left.includes(each)) index.remove(each)
        const taken = ['office', 'lab'].map(network =>
          takenNames(
            left
              .filter(({ spec }) => spec?.remoteNetworkRef.name === network)
              .map(({ metadata, spec }) => ({
                uid: metadata.uid,
                createdAt: metadata.creationTimestamp,
                rule: normaliseRule(spec!),
              })),
          ),
        )
        const wanted = left.map(({ metadata }) => taken.flatMap(names => names.get(metadata.uid)?.name ?? [])[0])
        expect(left.map(each => index.taken(each)?.name)).toEqual(wanted)
        for (const each of left) expect(index.taken(each)?.by).not.toBe(nameOf(each))
      }),
    )
  })
})

describe('Resources that all ask for the same names', () => {
  const ALIASES = Array.from({ length: 16 }, (_, index) => `alias-${index}.internal`)
  const rivals = (count: number) =>
    Array.from({ length: count }, (_, index) => resource(`r${index}`, count - index, `r${index}.internal`, ALIASES))
  const listed = (all: readonly Declared<'Resource'>[]) => {
    const index = new ResourceIndex(() => true)
    for (const each of all) index.put(each)
    for (const each of all) index.taken(each)
    index.touched()
    return index
  }
  const changes: [string, (index: ResourceIndex, all: readonly Declared<'Resource'>[]) => unknown][] = [
    ['a list of them', (_, all) => listed(all)],
    [
      'a change of the one that has the names',
      (index, all) => {
        index.remove(all.at(-1)!)
        index.touched()
        for (const each of all) index.taken(each)
      },
    ],
    [
      'many changes at once',
      (index, all) => {
        for (const each of all) index.put({ ...each, spec: { ...each.spec!, aliases: ALIASES.slice(1) } })
        index.touched()
      },
    ],
  ]

  it.each(changes)('cost as much each as few of them do: %s', (_, change) => {
    const cost = (count: number) => {
      const all = rivals(count)
      const index = listed(all)
      return stepsOf(() => change(index, all)) / count
    }
    expect(cost(1000) / cost(100)).toBeLessThan(1.5)
  })

  it('are each admitted once, and not again when one of them changes', () => {
    const [all, admitted] = [rivals(1000), vi.fn(() => true)]
    const index = new ResourceIndex(admitted)
    for (const each of all) index.put(each)
    for (const each of all) index.taken(each)
    expect(admitted).toHaveBeenCalledTimes(1000)
    index.remove(all.at(-1)!)
    for (const each of all) index.taken(each)
    expect(admitted).toHaveBeenCalledTimes(1000)
  })

  it('make nobody be looked at while they may not have them', () => {
    const all = rivals(1000)
    const owner = resource('owner', 5000, 'owner.internal', ALIASES)
    const index = new ResourceIndex(({ metadata }) => metadata.name === 'owner')
    for (const each of [...all, owner]) index.put(each)
    expect(index.touched().size).toBe(0)
    expect(index.taken(owner)).toBeUndefined()
    for (const each of all) index.remove(each)
    expect(index.isOpen).toBe(false)
  })
})

/** How often a Map is asked or a Set is added to, while `work` is done. */
function stepsOf(work: () => void): number {
  const spies = [vi.spyOn(Map.prototype, 'get'), vi.spyOn(Set.prototype, 'add')]
  try {
    work()
    return spies.reduce((sum, { mock }) => sum + mock.calls.length, 0)
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}
