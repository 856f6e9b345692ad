import { normaliseRule, takenNames } from '@sallyport/policy'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
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
    expect([...index.put(old)]).toEqual(['default/young'])
    expect(index.taken(young)).toEqual({ name: 'db.internal', by: 'default/old' })
    expect([...index.remove(old)]).toEqual(['default/young'])
    expect(index.taken(young)).toBeUndefined()
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

  it('are judged as policy judges the whole network, whatever the order of events', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd', 'e')
    const one = fc.record({
      age: fc.integer({ min: 0, max: 3 }),
      address: name,
      aliases: fc.uniqueArray(name, { maxLength: 2 }),
    })
    fc.assert(
      fc.property(fc.array(one, { maxLength: 8 }), fc.array(fc.nat(7), { maxLength: 4 }), (specs, gone) => {
        const index = new ResourceIndex(() => true)
        const all = specs.map(({ age, address, aliases }, number) => resource(`r${number}`, age, address, aliases))
        for (const each of all) index.put(each)
        const left = all.filter((_, number) => !gone.includes(number))
        for (const each of all) if (!left.includes(each)) index.remove(each)
        const taken = takenNames(
          left.map(({ metadata, spec }) => ({
            uid: metadata.uid,
            createdAt: metadata.creationTimestamp,
            rule: normaliseRule(spec!),
          })),
        )
        const wanted = left.map(each => taken.get(each.metadata.uid)?.name)
        expect(left.map(each => index.taken(each)?.name)).toEqual(wanted)
        for (const each of left) expect(index.taken(each)?.by).not.toBe(nameOf(each))
      }),
    )
  })
})
