import { createMetrics, FakeClock, silentLog } from '@sallyport/runtime'
import { API_VERSION, type DeclaredKind, type DeclaredRow, type Kind } from '@sallyport/schema'
import { operatorMetrics } from './metrics.ts'
import type { KubeObject } from './object.ts'
import { settingsOf } from './plan/settings.fixture.ts'
import { type Provider, ProviderError } from './provider.ts'
import { Reconciler, type ReconcilerDeps } from './reconciler.ts'
import { ObjectStore } from './store.ts'
import { World } from './world.ts'

export const WAIT_SECONDS = 300
const NAMESPACE = 'sallyport'
export const settle = () => new Promise(resolve => setImmediate(resolve))

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
    ...{ known: true as boolean, reachable: true, isWhole: true, trust: undefined, down: undefined },
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

export function harness() {
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
/** A version later than all before. */
export const nextVersion = () => String(++versions)

export function object(kind: Kind, name: string, spec: object = {}): KubeObject {
  const metadata = {
    ...{ name, namespace: NAMESPACE, uid: `00000000-0000-4000-8000-${String(++versions).padStart(12, '0')}` },
    ...{ generation: 1, creationTimestamp: '2026-01-01T00:00:00Z', resourceVersion: String(versions) },
  }
  return { apiVersion: API_VERSION, kind, metadata, spec }
}
export const uidOf = ({ metadata }: KubeObject) => metadata.uid!
export const groups = (count: number) => Array.from({ length: count }, (_, index) => object('Group', `group-${index}`))
