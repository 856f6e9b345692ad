import { API_VERSION } from '@sallyport/schema'
import { describe, expect, it } from 'vitest'
import type { KubeObject } from './object.ts'
import { type Change, ObjectStore } from './store.ts'

const group = (uid: string, resourceVersion: string): KubeObject => ({
  apiVersion: API_VERSION,
  kind: 'Group',
  metadata: { namespace: 'default', name: 'staff', uid, resourceVersion },
})

function storeOf(...objects: KubeObject[]) {
  const changes: string[] = []
  const store = new ObjectStore(
    ({ object, gone }: Change) => void changes.push(`${object.metadata.uid} ${gone ?? 'is'}`),
  )
  for (const object of objects) store.put('Group', object)
  return { store, changes, uid: () => store.get('Group', 'default', 'staff')?.metadata.uid }
}

describe('the store', () => {
  it('takes a newer version of an object, and not an older one', () => {
    const { store, changes } = storeOf(group('a', '2'))
    store.put('Group', group('a', '1'))
    expect(changes).toEqual(['a is'])
    store.put('Group', group('a', '3'))
    expect(changes).toEqual(['a is', 'a is'])
  })

  it('does not bring back what is deleted when an answer about it comes late', () => {
    const { store, uid } = storeOf(group('a', '1'))
    store.remove('Group', group('a', '3'), 'told')
    store.put('Group', group('a', '2'))
    expect(uid()).toBeUndefined()
  })

  it('keeps the successor when word of the deleted one comes late', () => {
    const { store, uid, changes } = storeOf(group('a', '1'), group('b', '5'))
    store.put('Group', group('a', '2'))
    store.remove('Group', group('a', '3'), 'told')
    expect(uid()).toBe('b')
    expect(changes).toEqual(['a is', 'a told', 'b is'])
  })

  it('takes back what was only missing from a list', () => {
    const { store, uid } = storeOf(group('a', '1'))
    store.replace('Group', [])
    expect(uid()).toBeUndefined()
    store.replace('Group', [group('a', '1')])
    expect(uid()).toBe('a')
  })
})
