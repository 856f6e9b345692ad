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
    ({ object, gone, missing }: Change) =>
      void changes.push(`${object.metadata.uid} ${gone ?? (missing ? 'missing' : 'is')}`),
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

  describe('keeps what a list lacks', () => {
    const lacking = () => {
      const found = storeOf(group('a', '1'))
      found.store.replace('Group', [], undefined, '2')
      return found
    }
    const missing = (store: ObjectStore) => store.missing().map(({ object }) => object.metadata.uid)

    it('until it is let go', () => {
      const { store, changes, uid } = lacking()
      expect(uid()).toBe('a')
      expect(missing(store)).toEqual(['a'])
      store.replace('Group', [], undefined, '3')
      store.letGo('Group', group('a', '1'))
      expect(uid()).toBeUndefined()
      expect(missing(store)).toEqual([])
      expect(changes).toEqual(['a is', 'a missing', 'a listed'])
    })

    it('unless it is listed again: then it is not let go', () => {
      const { store, changes, uid } = lacking()
      store.replace('Group', [group('a', '1')])
      expect(missing(store)).toEqual([])
      store.letGo('Group', group('a', '1'))
      expect(uid()).toBe('a')
      expect(changes).toEqual(['a is', 'a missing', 'a is'])
    })

    it('unless word comes that it is deleted', () => {
      const { store, changes, uid } = lacking()
      store.remove('Group', group('a', '2'), 'told')
      expect(uid()).toBeUndefined()
      expect(missing(store)).toEqual([])
      expect(changes).toEqual(['a is', 'a missing', 'a told'])
    })

    it('unless another has come in its place: then it has gone, and the other is there', () => {
      const { store, changes, uid } = lacking()
      store.replace('Group', [group('b', '3')])
      expect(uid()).toBe('b')
      expect(missing(store)).toEqual([])
      expect(changes).toEqual(['a is', 'a missing', 'a told', 'b is'])
    })

    it('and does not miss what is newer than the list', () => {
      const { store } = storeOf(group('a', '10'))
      store.replace('Group', [], undefined, '9')
      expect(missing(store)).toEqual([])
      store.replace('Group', [], undefined, '10')
      expect(missing(store)).toEqual(['a'])
    })

    it('but for children of the operator, which are made again', () => {
      const { store } = storeOf()
      const secret = { ...group('a', '1'), apiVersion: 'v1', kind: 'Secret' }
      store.put('Secret', secret)
      store.replace('Secret', [], undefined, '2')
      expect(store.get('Secret', 'default', 'staff')).toBeUndefined()
      expect(missing(store)).toEqual([])
    })
  })
})
