import { ControllerError, createMetrics, FakeClock, silentLog } from '@sallyport/runtime'
import { API_VERSION, type DeclaredKind, type DeclaredRow, type Kind } from '@sallyport/schema'
import { describe, expect, it } from 'vitest'
import { operatorMetrics } from './metrics.ts'
import type { Declared, KubeObject } from './object.ts'
import { relayRowUids } from './plan/relay.ts'
import { settingsOf } from './plan/settings.fixture.ts'
import { type Provider, ProviderError } from './provider.ts'
import { Reconciler, type ReconcilerDeps } from './reconciler.ts'
import { ObjectStore } from './store.ts'
import { World } from './world.ts'

const WAIT_SECONDS = 300
const NAMESPACE = 'sallyport'
const settle = () => new Promise(resolve => setImmediate(resolve))

/** The rows of one source, of which a REST client and a mirror tell; `deleting` holds the answers to DELETE. */
class Rows {
  readonly all = new Map<string, DeclaredRow>()
  readonly refusals = new Map<string, string>()
  readonly deleted: string[] = []
  deleting: Promise<void> = Promise.resolve()
  #revision = 0

  add(kind: DeclaredKind, ...uids: string[]): void {
    for (const uid of uids) this.all.set(uid, { kind, uid, digest: 'as before', revision: ++this.#revision })
  }

  readonly client: ReconcilerDeps['client'] = {
    put: async () => ({ revision: ++this.#revision, changed: true }),
    delete: async (_, uid) => {
      this.deleted.push(uid)
      await this.deleting
    },
    issueToken: () => Promise.reject(new Error('nobody enrols here')),
    relayKeys: () => Promise.reject(new Error('no Relay runs here')),
    acknowledgeKeys: async () => undefined,
    close: () => undefined,
  }

  readonly mirror = {
    ...{ known: true as boolean, reachable: true, trust: undefined, down: undefined },
    row: uid => this.all.get(uid),
    rows: () => [...this.all.values()],
    slot: () => undefined,
    refusal: uid => this.refusals.get(uid),
    refused: (uid, message) =>
      void (message === undefined ? this.refusals.delete(uid) : this.refusals.set(uid, message)),
    wrote: (kind, uid, digest, revision) => void this.all.set(uid, { kind, uid, digest, revision }),
    issued: () => undefined,
    acknowledged: () => undefined,
    deleted: uid => void this.all.delete(uid),
    close: async () => undefined,
  } satisfies ReconcilerDeps['mirror']
}

/**
 * An API of nothing but a store. It counts rounds of lists and keeps what is written and announced; what a person confirms, what an apply does and
 * what is there by its name is for a test to say.
 */
class Api {
  rounds = 0
  readonly statuses: string[] = []
  readonly announced: string[] = []
  confirmed: string | undefined
  apply = async (_: KubeObject): Promise<void> => undefined
  find = async (_: string): Promise<KubeObject | undefined> => undefined
}

function providerOf(store: ObjectStore, api: Api): Provider {
  const nothing = async () => undefined
  return {
    ...{ platform: 'cluster', store, start: nothing, stale: () => undefined, leaderless: () => undefined },
    ...{ apply: child => api.apply(child), makeRoom: nothing, create: nothing, remove: nothing },
    seek: async (kind, { metadata: { name } }) => {
      const found = await api.find(name)
      if (found !== undefined) store.put(kind, found)
      return found !== undefined
    },
    writeStatus: async ({ kind, metadata: { name } }, { conditions }) => {
      api.statuses.push(`${kind} ${name} ${conditions?.find(({ type }) => type === 'Programmed')?.reason}`)
    },
    ...{ event: nothing, lead: nothing, close: nothing },
    announce: async ({ message }) => void api.announced.push(message),
    confirmation: async () => api.confirmed,
    token: () => Promise.reject(new ProviderError('unavailable', 'there is no account')),
    resync: async () => {
      api.rounds++
      return []
    },
  }
}

function harness() {
  const clock = new FakeClock()
  const rows = new Rows()
  const parts: { reconciler?: Reconciler } = {}
  const settings = settingsOf()
  const store = new ObjectStore(change => {
    if (parts.reconciler === undefined) world.concerned(change)
    else parts.reconciler.objectChanged(change)
  })
  const world: World = new World(store, rows.mirror, settings)
  const api = new Api()
  const provider = providerOf(store, api)
  const gauges = { leading: () => true, queueLength: () => 0, removalHeld: () => false, relistedAtMs: () => undefined }
  const begin = () => {
    parts.reconciler = new Reconciler({
      ...{ provider, world, clock, ...settings, client: rows.client, mirror: rows.mirror, log: silentLog },
      metrics: operatorMetrics(createMetrics('operator'), gauges),
      told: new Map(),
      ...{ caSeconds: 86_400, certificateSeconds: 86_400, now: () => clock.now() },
      ...{ removalWaitSeconds: WAIT_SECONDS, resyncSeconds: 86_400 },
    })
    parts.reconciler.begin([])
    clock.advance(0)
    return parts.reconciler
  }
  return { clock, rows, store, api, begin }
}

let versions = 0
function object(kind: Kind, name: string, spec: object = {}): KubeObject {
  const metadata = {
    ...{ name, namespace: NAMESPACE, uid: `00000000-0000-4000-8000-${String(++versions).padStart(12, '0')}` },
    ...{ generation: 1, creationTimestamp: '2026-01-01T00:00:00Z', resourceVersion: String(versions) },
  }
  return { apiVersion: API_VERSION, kind, metadata, spec }
}
const uidOf = ({ metadata }: KubeObject) => metadata.uid!
const groups = (count: number) => Array.from({ length: count }, (_, index) => object('Group', `group-${index}`))

describe('a reconciler', () => {
  it('writes one status of a row and of what the Controller says of it, if that comes in time', async () => {
    const { clock, rows, store, api, begin } = harness()
    const { statuses } = api
    const [answered, unanswered] = groups(2) as [KubeObject, KubeObject]
    for (const one of [answered, unanswered]) store.put('Group', one)
    const reconciler = begin()
    await settle()
    expect([rows.all.size, statuses]).toEqual([2, []])
    const row = rows.all.get(uidOf(answered))!
    row.programming = 'unused'
    reconciler.controllerChanged({ rows: [row] })
    await settle()
    expect(statuses).toEqual(['Group group-0 Unused'])
    clock.advance(499)
    await settle()
    expect(statuses).toHaveLength(1)
    clock.advance(1)
    await settle()
    expect(statuses).toEqual(['Group group-0 Unused', 'Group group-1 Pending'])
  })

  it('does no further step once it is closed, neither of a removal nor of a plan', async () => {
    const { rows, begin } = harness()
    rows.add('group', 'a', 'b', 'c')
    const answer = Promise.withResolvers<void>()
    rows.deleting = answer.promise
    const reconciler = begin()
    await settle()
    expect(rows.deleted).toEqual(['a'])
    const closing = reconciler.close()
    answer.resolve()
    await closing
    expect(rows.deleted).toEqual(['a'])
  })

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
    api.find = async name => {
      if (name === unanswered.metadata.name) throw new ProviderError('unavailable', 'get Group: no answer')
      if (name === lost.metadata.name) store.replace('Group', [])
      return name === there.metadata.name ? there : undefined
    }
    const reconciler = begin()
    await settle()
    store.replace('Group', [])
    await settle()
    expect(rows.deleted).toEqual([uidOf(lost)])
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
    store.put('RemoteNetwork', { ...network, metadata: { ...network.metadata, resourceVersion: String(++versions) } })
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
      const metadata = { ...child.metadata, uid, generation: 1, resourceVersion: String(++versions) }
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

  it.each([
    [403, ['as asked']],
    [422, ['as asked']],
    [401, []],
    [408, []],
    [429, []],
    [500, []],
  ])('tells of a PUT that is answered with %i: %j', async (status, told) => {
    const { rows, store, begin } = harness()
    rows.client.put = () => Promise.reject(new ControllerError(status, { error: 'refused', message: 'as asked' }))
    const reconciler = begin()
    store.put('Group', object('Group', 'staff'))
    await settle()
    expect([...rows.refusals.values()]).toEqual(told)
    await reconciler.close()
  })

  it('forgets what was refused of any row of an object that has come to rest, or has gone', async () => {
    const { rows, store, begin } = harness()
    const spec = { replicas: 2, deployment: 'External', address: { list: ['r0.example:443', 'r1.example:443'] } }
    const [relay, group] = [object('Relay', 'edge', spec), object('Group', 'staff')]
    const reconciler = begin()
    const replica = relayRowUids(relay as unknown as Declared<'Relay'>)[1]!
    store.put('Relay', relay)
    await settle()
    rows.refusals.set(replica, 'the name was taken')
    store.put('Relay', { ...relay, metadata: { ...relay.metadata, resourceVersion: String(++versions) } })
    await settle()
    expect([...rows.refusals]).toEqual([])
    store.put('Group', group)
    await settle()
    rows.refusals.set(uidOf(group), 'not now')
    rows.refusals.set('another', 'not that')
    store.remove('Group', group, 'told')
    await settle()
    expect([...rows.refusals.keys()]).toEqual(['another'])
    await reconciler.close()
  })
})
