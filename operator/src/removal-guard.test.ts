import { ControllerError } from '@sallyport/runtime'
import type { Kind } from '@sallyport/schema'
import { describe, expect, it } from 'vitest'
import type { KubeObject } from './object.ts'
import { ProviderError } from './provider.ts'
import { groups, harness, nextVersion, object, settle, uidOf, WAIT_SECONDS } from './reconciler.fixture.ts'

describe('the guard of removals', () => {
  it('decides about what a list lacks when the list has been taken in whole', async () => {
    const { rows, store, begin } = harness()
    const all = groups(30)
    for (const one of all) store.put('Group', one)
    rows.add('group', ...all.map(uidOf))
    const reconciler = begin()
    await settle()
    store.replace('Group', all.slice(20))
    await settle()
    expect(reconciler.isHolding).toBe(false)
    expect(rows.deleted).toEqual(all.slice(0, 20).map(uidOf))
    rows.add('group', ...all.slice(0, 20).map(uidOf))
    for (const one of all) store.put('Group', one)
    await settle()
    store.replace('Group', all.slice(21))
    await settle()
    expect(reconciler.isHolding).toBe(true)
    expect(rows.deleted).toHaveLength(20)
    store.replace('Group', all)
    await reconciler.close()
  })

  it('takes nothing for gone that is there by its name though a list lacks it, of however few', async () => {
    const { rows, store, api, begin } = harness()
    const [kept, lost] = groups(2) as [KubeObject, KubeObject]
    for (const one of [kept, lost]) store.put('Group', one)
    rows.add('group', uidOf(kept), uidOf(lost))
    api.find = async name => (name === kept.metadata.name ? kept : undefined)
    const reconciler = begin()
    await settle()
    store.replace('Group', [])
    await settle()
    expect(rows.deleted).toEqual([uidOf(lost)])
    expect([...store.all('Group')]).toEqual([kept])
    await reconciler.close()
  })

  it('takes nothing while what a list lacks cannot be asked for', async () => {
    const { clock, rows, store, api, begin } = harness()
    const [group] = groups(1) as [KubeObject]
    store.put('Group', group)
    rows.add('group', uidOf(group))
    api.find = () => Promise.reject(new ProviderError('unavailable', 'get Group: no answer'))
    const reconciler = begin()
    await settle()
    store.replace('Group', [])
    await settle()
    expect([rows.deleted, store.count('Group')]).toEqual([[], 1])
    api.find = async () => undefined
    clock.advance(5_000)
    await settle()
    expect([rows.deleted, store.count('Group')]).toEqual([[uidOf(group)], 0])
    await reconciler.close()
  })

  it('takes for gone neither what is there by its name, nor what cannot be asked for, whatever lists say meanwhile', async () => {
    const { rows, store, api, begin } = harness()
    const all = groups(3)
    const [there, lost, unanswered] = all as [KubeObject, KubeObject, KubeObject]
    for (const one of all) store.put('Group', one)
    rows.add('group', ...all.map(uidOf))
    const put = Promise.withResolvers<void>()
    api.find = async name => {
      if (name === unanswered.metadata.name) throw new ProviderError('unavailable', 'get Group: no answer')
      if (name === there.metadata.name) {
        queueMicrotask(put.resolve)
        return there
      }
      // By then that one has been found, and the list lacks it again.
      await put.promise
      store.replace('Group', [])
      return undefined
    }
    const reconciler = begin()
    await settle()
    store.replace('Group', [])
    await settle()
    expect(rows.deleted).toEqual([uidOf(lost)])
    await reconciler.close()
  })

  it('takes with a network that has gone without word all that rests on it, and holds nothing', async () => {
    const { rows, store, begin } = harness()
    const network = object('RemoteNetwork', 'office', { connectors: { replicas: 0 } })
    const all = Array.from({ length: 30 }, (_, index) =>
      object('Resource', `web-${index}`, { remoteNetworkRef: { name: 'office' }, address: `${index}.internal` }),
    )
    for (const one of [network, ...all]) store.put(one.kind as Kind, one)
    rows.add('network', uidOf(network))
    const reconciler = begin()
    await settle()
    expect(rows.all.size).toBe(31)
    store.replace('RemoteNetwork', [])
    await settle()
    expect([reconciler.isHolding, rows.deleted.length]).toEqual([false, 31])
    await reconciler.close()
  })

  it('takes for gone also what has the name of another that was asked for, and is missing as well', async () => {
    const { rows, store, api, begin } = harness()
    const [first, second] = [object('Group', 'staff'), object('Group', 'staff')]
    store.put('Group', first)
    rows.add('group', uidOf(first), uidOf(second))
    const answer = Promise.withResolvers<undefined>()
    api.find = () => answer.promise
    const reconciler = begin()
    await settle()
    rows.deleted.length = 0
    store.replace('Group', [])
    await settle()
    rows.add('group', uidOf(second))
    store.put('Group', second)
    await settle()
    store.replace('Group', [])
    await settle()
    api.find = async () => undefined
    answer.resolve(undefined)
    await settle()
    expect(rows.deleted).toEqual([uidOf(first), uidOf(second)])
    await reconciler.close()
  })

  it('holds a removal no second time that was confirmed and cannot be asked for yet', async () => {
    const { clock, rows, store, api, begin } = harness()
    const all = groups(30)
    for (const one of all) store.put('Group', one)
    rows.add('group', ...all.map(uidOf))
    api.find = () => Promise.reject(new ProviderError('unavailable', 'get Group: no answer'))
    const reconciler = begin()
    await settle()
    store.replace('Group', [])
    await settle()
    expect(reconciler.isHolding).toBe(true)
    api.confirmed = /confirm with (\S+)/.exec(api.announced[0]!)?.[1]
    clock.advance(5_000)
    await settle()
    expect(reconciler.isHolding).toBe(false)
    rows.add('group', 'stray')
    reconciler.controllerChanged({ rows: [rows.all.get('stray')!] })
    await settle()
    expect([reconciler.isHolding, api.announced.length, rows.deleted]).toEqual([false, 1, ['stray']])
    api.find = async () => undefined
    clock.advance(60_000)
    await settle()
    expect([rows.deleted.length, store.count('Group')]).toEqual([31, 0])
    await reconciler.close()
  })

  it('goes on doubting what a first plan would take, also when its object was missing in between', async () => {
    const { clock, rows, store, begin } = harness()
    const network = object('RemoteNetwork', 'office', { connectors: { replicas: 0 } })
    const access = [{ group: 'staff' }]
    const all = Array.from({ length: 30 }, (_, index) =>
      object('Resource', `web-${index}`, {
        remoteNetworkRef: { name: 'office' },
        address: `${index}.internal`,
        access,
      }),
    )
    for (const one of [network, ...all]) store.put(one.kind as Kind, one)
    rows.add('network', uidOf(network))
    rows.add('resource', ...all.map(uidOf))
    const reconciler = begin()
    await settle()
    expect(reconciler.isHolding).toBe(true)
    store.replace('Resource', [])
    store.put('RemoteNetwork', { ...network, metadata: { ...network.metadata, resourceVersion: nextVersion() } })
    await settle()
    for (const one of all) store.put('Resource', one)
    clock.advance(5_000)
    await settle()
    expect(reconciler.isHolding).toBe(true)
    expect(all.filter(one => rows.all.get(uidOf(one))?.digest !== 'as before')).toEqual([])
    await reconciler.close()
  })

  it('removes at once all that has gone before the rows were known, and goes on deciding', async () => {
    const { clock, rows, store, begin } = harness()
    const [kept, ...gone] = groups(31) as [KubeObject, ...KubeObject[]]
    rows.mirror.known = false
    for (const one of [kept, ...gone]) store.put('Group', one)
    const reconciler = begin()
    clock.advance(5_000)
    await settle()
    for (const one of gone) store.remove('Group', one, 'told')
    await settle()
    rows.add('group', ...[kept, ...gone].map(uidOf))
    rows.mirror.known = true
    reconciler.controllerChanged({ state: true })
    await settle()
    expect(rows.deleted).toEqual(gone.map(uidOf))
    rows.add('group', 'stray')
    reconciler.controllerChanged({ rows: [rows.all.get('stray')!] })
    await settle()
    expect(rows.deleted.slice(gone.length)).toEqual(['stray'])
    await reconciler.close()
  })

  it('counts as declared what the first plans make, before it decides about any row', async () => {
    const { rows, store, api, begin } = harness()
    const network = object('RemoteNetwork', 'office', { connectors: { replicas: 1 } })
    const uid = '00000000-0000-4000-8000-00000000c0c0'
    const answer = Promise.withResolvers<void>()
    api.apply = async child => {
      if (child.kind !== 'Connector') return
      await answer.promise
      const metadata = { ...child.metadata, uid, generation: 1, resourceVersion: nextVersion() }
      store.put('Connector', { ...child, metadata })
    }
    store.put('RemoteNetwork', network)
    store.put('Group', object('Group', 'staff'))
    rows.add('connector', uid)
    rows.add('network', uidOf(network))
    const reconciler = begin()
    await settle()
    answer.resolve()
    await settle()
    expect(rows.deleted).toEqual([])
    await reconciler.close()
  })

  it('lists again once in each wait while a removal is held', async () => {
    const { clock, rows, api, begin } = harness()
    rows.add('group', ...groups(30).map(uidOf))
    const reconciler = begin()
    await settle()
    const pass = async (seconds: number) => {
      for (let passed = 0; passed < seconds; passed += 5) {
        clock.advance(5_000)
        await settle()
      }
    }
    await pass(WAIT_SECONDS - 5)
    expect(api.rounds).toBe(0)
    await pass(5)
    expect(api.rounds).toBe(1)
    await pass(WAIT_SECONDS - 5)
    expect(api.rounds).toBe(1)
    await pass(5)
    expect(api.rounds).toBe(2)
    expect(rows.deleted).toEqual([])
    await reconciler.close()
  })

  it('decides though a list lacks what no plan was made for before the rows were known', async () => {
    const { clock, rows, store, begin } = harness()
    const [group] = groups(1) as [KubeObject]
    rows.mirror.known = false
    store.put('Group', group)
    const reconciler = begin()
    clock.advance(5_000)
    await settle()
    store.replace('Group', [])
    rows.add('group', uidOf(group))
    rows.mirror.known = true
    reconciler.controllerChanged({ state: true })
    await settle()
    expect(rows.deleted).toEqual([uidOf(group)])
    await reconciler.close()
  })

  it('holds no second removal while the rows of a confirmed one cannot be removed yet', async () => {
    const { clock, rows, store, api, begin } = harness()
    const all = groups(30)
    for (const one of all) store.put('Group', one)
    rows.add('group', ...all.map(uidOf))
    const reconciler = begin()
    await settle()
    store.replace('Group', [])
    await settle()
    const remove = rows.client.delete
    rows.client.delete = () => Promise.reject(new ControllerError(503, { error: 'unavailable', message: 'not now' }))
    api.confirmed = /confirm with (\S+)/.exec(api.announced[0]!)?.[1]
    clock.advance(5_000)
    await settle()
    expect(store.count('Group')).toBe(0)
    rows.add('group', 'stray')
    reconciler.controllerChanged({ rows: [rows.all.get('stray')!] })
    await settle()
    expect([reconciler.isHolding, api.announced.length]).toEqual([false, 1])
    rows.client.delete = remove
    clock.advance(60_000)
    await settle()
    expect(rows.deleted.toSorted()).toEqual([...all.map(uidOf), 'stray'].toSorted())
    await reconciler.close()
  })

  it('keeps nothing waiting that is known to have gone while it asks for the rest', async () => {
    const { rows, store, api, begin } = harness()
    const [gone, ...missing] = groups(21) as [KubeObject, ...KubeObject[]]
    for (const one of [gone, ...missing]) store.put('Group', one)
    rows.add('group', uidOf(gone), ...missing.map(uidOf))
    api.find = () => new Promise(() => undefined)
    const reconciler = begin()
    await settle()
    store.replace('Group', [gone])
    await settle()
    store.remove('Group', gone, 'told')
    await settle()
    expect(rows.deleted).toEqual([uidOf(gone)])
    void reconciler.close()
  })

  it('decides though a plan cannot be made', async () => {
    const { rows, store, begin } = harness()
    store.put('Relay', object('Relay', 'edge', { replicas: 1, deployment: 'External' }))
    rows.add('group', 'stray')
    const reconciler = begin()
    await settle()
    expect(rows.deleted).toEqual(['stray'])
    await reconciler.close()
  })
})
