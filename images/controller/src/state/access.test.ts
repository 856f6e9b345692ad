import { createStoreKey } from '@sallyport/trust'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createSealer } from '../key/store-key.ts'
import { openStore, sqliteDialect } from '../store/index.ts'
import { bodies, uid } from '../test/operator.ts'
import { Access } from './access.ts'
import type { Declared } from './row.ts'
import { TenantState } from './tenant-state.ts'

const [GROUPS, NETWORKS, RESOURCES] = [
  ['a', 'b'],
  ['office', 'lab'],
  ['r0', 'r1', 'r2'],
]
const common = (name: string) => ({
  uid: uid(name),
  source: 'cluster',
  digest: '',
  revision: 1,
  programming: undefined,
})

it('the networks of a Group are those of the Resources that name it, whatever came and went', async () => {
  const store = await openStore(sqliteDialect(':memory:'), () => 1)
  const change = fc.record({
    resource: fc.constantFrom(...RESOURCES),
    network: fc.constantFrom(...NETWORKS),
    groups: fc.array(fc.constantFrom(...GROUPS), { maxLength: 3 }),
    isThere: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), fc.subarray(NETWORKS), (changes, networks) => {
      const state = new TenantState(store, createSealer(createStoreKey()), 'default')
      for (const name of networks)
        state.declared.set(uid(name), { ...common(name), kind: 'network', body: bodies.network(name) })
      const access = new Access(state)
      const there = new Map<string, Extract<Declared, { kind: 'resource' }>>()
      for (const { resource, network, groups, isThere } of changes) {
        const before = there.get(resource)
        const body = bodies.resource(resource, network, groups)
        const after = { ...common(resource), kind: 'resource' as const, body }
        if (isThere) there.set(resource, after)
        else there.delete(resource)
        access.declaredChanged(before, isThere ? after : undefined)
      }
      for (const group of GROUPS) {
        const naming = [...there.values()].filter(({ body }) => body.groups.includes(uid(group)))
        const known = naming.map(({ body }) => body.network).filter(network => networks.map(uid).includes(network))
        expect(access.networksOfGroup(uid(group))).toEqual(new Set(known))
      }
    }),
  )
  await store.close()
})
