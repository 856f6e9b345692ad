import { type DeclaredRow, isKind, type Kind, type Specs } from '@sallyport/schema'
import { describe, expect, it } from 'vitest'
import { type Declared, type KubeObject, type Owner, ownerReference, VERSIONS } from './object.ts'
import { settingsOf } from './plan/settings.fixture.ts'
import { refusalOf, runnerOf } from './plan/step.ts'
import { ObjectStore } from './store.ts'
import { World } from './world.ts'

const CREATED = Date.parse('2030-01-01T00:00:00Z')
let count = 0

/** A world over a store, and what each change of the store concerns. */
function worldOf(rows: DeclaredRow[] = []) {
  const concerned: string[] = []
  const removed: string[] = []
  const store = new ObjectStore(change => {
    concerned.push(...world.concerned(change))
    if (change.gone === undefined || !isKind(change.kind)) return
    removed.push(...world.rowsOf(change.kind, change.object).flatMap(({ uid }) => (world.declares(uid) ? [] : uid)))
  })
  const controller = {
    ...{ known: true, reachable: true, isWhole: true, trust: undefined },
    row: (uid: string) => rows.find(row => row.uid === uid),
    slot: () => undefined,
    refusal: () => undefined,
  }
  const world = new World(store, controller, settingsOf())
  const plan = (kind: Kind, namespace: string, name: string) => world.plan(kind, namespace, name, CREATED)
  return {
    ...{ store, world, removed },
    /** Keys of the work that there is since this was asked last. */
    work: () => {
      const keys = concerned.splice(0)
      return keys.includes('names') ? [...keys, ...world.renamed()] : keys
    },
    plan,
    steps: (kind: Kind, namespace: string, name: string) => plan(kind, namespace, name)?.steps.map(step => step.do),
    reason: (namespace: string, name: string, type: string) => {
      const steps = plan('Resource', namespace, name)?.steps ?? []
      const conditions = steps.flatMap(step => (step.do === 'status' ? (step.status.conditions ?? []) : []))
      return conditions.find(condition => condition.type === type)?.reason
    },
  }
}

function metadataOf(namespace: string, name: string) {
  const uid = `00000000-0000-4000-8000-${String(++count).padStart(12, '0')}`
  const creationTimestamp = new Date(CREATED + count * 1000).toISOString()
  return { ...{ name, namespace, uid, creationTimestamp }, generation: 1, resourceVersion: String(count) }
}
const object = <K extends Kind>(kind: K, namespace: string, name: string, spec: Specs[K]) => ({
  ...{ apiVersion: 'sallyport.dev/v1alpha1', kind, spec },
  metadata: metadataOf(namespace, name),
})
const namespaceOf = (name: string, labels: Record<string, string>) => ({
  ...{ apiVersion: 'v1', kind: 'Namespace' },
  metadata: { ...metadataOf('', name), labels },
})
const child = (kind: 'Deployment' | 'Service' | 'PodDisruptionBudget', name: string, owner: Owner): KubeObject => ({
  ...{ apiVersion: VERSIONS[kind], kind },
  metadata: {
    ...metadataOf('sallyport', name),
    labels: { 'sallyport.dev/relay': 'edge' },
    ownerReferences: [ownerReference(owner)],
  },
})
const office = (allowed: Specs['RemoteNetwork']['allowedNamespaces'] = []) =>
  object('RemoteNetwork', 'sallyport', 'office', { allowedNamespaces: allowed })
const resource = (namespace: string, name: string, address: string) =>
  object('Resource', namespace, name, { remoteNetworkRef: { name: 'office', namespace: 'sallyport' }, address })

describe('who has a name', () => {
  const trusted = [
    { from: 'Selector' as const, selector: { matchLabels: { trusted: 'yes' } }, addresses: ['*.internal'] },
  ]
  const declared = () => {
    const at = worldOf()
    at.store.put('Namespace', namespaceOf('team', { trusted: 'yes' }))
    at.store.put('RemoteNetwork', office(trusted))
    const [older, younger] = [resource('team', 'older', 'db.internal'), resource('sallyport', 'younger', 'db.internal')]
    for (const each of [younger, older]) at.store.put('Resource', each)
    expect(at.reason('sallyport', 'younger', 'Accepted')).toBe('NameTaken')
    at.work()
    return { ...at, older, younger }
  }

  it.each<[string, (at: ReturnType<typeof declared>) => void]>([
    ['its namespace', ({ store }) => store.put('Namespace', namespaceOf('team', {}))],
    ['its network', ({ store }) => store.put('RemoteNetwork', office([]))],
    ['its object', ({ store, older }) => store.remove('Resource', older, 'told')],
  ])('changes, and with that the work on another in a namespace elsewhere, when it loses %s', (_, lose) => {
    const at = declared()
    lose(at)
    expect(at.work()).toContain('Resource/sallyport/younger')
    expect(at.reason('sallyport', 'younger', 'Accepted')).toBe('Accepted')
  })

  it('does not depend on who may not have it', () => {
    const at = worldOf()
    at.store.put('RemoteNetwork', office())
    at.store.put('Resource', resource('elsewhere', 'older', 'db.internal'))
    at.store.put('Resource', resource('sallyport', 'younger', 'db.internal'))
    at.work()
    at.store.put('Resource', resource('elsewhere', 'another', 'db.internal'))
    expect(at.work()).toEqual(['Resource/elsewhere/another'])
    expect(at.reason('sallyport', 'younger', 'Accepted')).toBe('Accepted')
  })

  it('is no matter of a status that is written', () => {
    const at = declared()
    at.store.put('Resource', { ...at.older, metadata: { ...at.older.metadata, resourceVersion: '9999' }, status: {} })
    expect(at.work()).toEqual(['Resource/team/older'])
  })
})

describe('an object that is deleted while a finalizer keeps it', () => {
  const ending = <T extends { metadata: object }>(object: T) => ({
    ...object,
    metadata: {
      ...object.metadata,
      ...{ deletionTimestamp: '2030-01-02T00:00:00Z', finalizers: ['example.com/hold'], resourceVersion: '9999' },
    },
  })
  const objects = [
    office(),
    object('Connector', 'sallyport', 'office-a', { remoteNetworkRef: { name: 'office' } }),
    resource('sallyport', 'db', 'db.internal'),
    object('Group', 'sallyport', 'developers', {}),
    object('Relay', 'sallyport', 'edge', { address: { list: ['edge.example.com:443'] } }),
  ]

  it.each(objects.map(each => [each.kind, each] as const))('is declared no longer: a %s', (kind, each) => {
    const at = worldOf()
    at.store.put(kind, each)
    expect(at.world.declaredUids().size).toBeGreaterThan(0)
    expect(at.steps(kind, 'sallyport', each.metadata.name)).toContain('status')
    at.store.put(kind, ending(each))
    expect(at.world.declaredUids().size).toBe(0)
    expect(at.removed).toEqual(at.world.rowsOf(kind, each).map(({ uid }) => uid))
    expect(at.steps(kind, 'sallyport', each.metadata.name)).toBeUndefined()
  })

  it.each(objects.map(each => [each.kind, each] as const))('is not declared where it is met so: a %s', (kind, each) => {
    const at = worldOf()
    at.store.replace(kind, [ending(each)])
    expect(at.world.declaredUids().size).toBe(0)
    expect(at.steps(kind, 'sallyport', each.metadata.name)).toBeUndefined()
  })

  it('has no names: the next older gets them', () => {
    const at = worldOf()
    at.store.put('RemoteNetwork', office())
    const [older, younger] = [resource('sallyport', 'older', 'db.internal'), resource('sallyport', 'it', 'db.internal')]
    for (const each of [older, younger]) at.store.put('Resource', each)
    at.work()
    at.store.put('Resource', ending(older))
    expect(at.work()).toContain('Resource/sallyport/it')
    expect(at.reason('sallyport', 'it', 'Accepted')).toBe('Accepted')
  })

  it('is no network and no Group for those that name it', () => {
    const at = worldOf()
    const [network, group] = [office(), object('Group', 'sallyport', 'developers', {})]
    const db = resource('sallyport', 'db', 'db.internal')
    at.store.put('RemoteNetwork', network)
    at.store.put('Group', group)
    at.store.put('Resource', { ...db, spec: { ...db.spec, access: [{ group: 'developers' }] } })
    expect(at.reason('sallyport', 'db', 'ResolvedRefs')).toBe('Resolved')
    at.work()
    at.store.put('Group', ending(group))
    expect(at.work()).toContain('Resource/sallyport/db')
    expect(at.reason('sallyport', 'db', 'ResolvedRefs')).toBe('GroupNotFound')
    at.store.put('RemoteNetwork', ending(network))
    expect(at.work()).toContain('Resource/sallyport/db')
    expect(at.reason('sallyport', 'db', 'ResolvedRefs')).toBe('RemoteNetworkNotFound')
  })

  it('is made again by what it belongs to, once it is gone', () => {
    const at = worldOf()
    const network = office()
    const child = object('Connector', 'sallyport', 'office-0', { remoteNetworkRef: { name: 'office' } })
    at.store.put('RemoteNetwork', network)
    at.store.put('Connector', ending(child))
    at.work()
    at.store.remove('Connector', ending(child), 'told')
    expect(at.work()).toContain('RemoteNetwork/sallyport/office')
  })
})

describe('what stands under the name of a child', () => {
  const relay = object('Relay', 'sallyport', 'edge', { replicas: 1, address: { list: ['edge.example.com:443'] } })
  const external = object('Connector', 'sallyport', 'edge-1', {
    remoteNetworkRef: { name: 'office' },
    deployment: 'External',
  })
  const network = object('RemoteNetwork', 'sallyport', 'edge', { connectors: { replicas: 0 } })
  const surplus = object('Connector', 'sallyport', 'edge-1', { remoteNetworkRef: { name: 'edge' } })
  const removed = (kind: Kind, object: Declared, live: KubeObject) => {
    const at = worldOf()
    at.store.put('RemoteNetwork', office())
    at.store.put(kind, object as unknown as KubeObject)
    at.store.put(live.kind as 'Deployment', live)
    const steps = at.plan(kind, 'sallyport', object.metadata.name)?.steps ?? []
    return steps.flatMap(step => (step.do === 'remove' ? [`${step.object.kind} ${step.object.metadata.name}`] : []))
  }

  it.each<[string, Kind, Declared & Owner, Parameters<typeof child>[0], string, Owner]>([
    ['a Deployment of an External Connector', 'Connector', external, 'Deployment', 'edge-1', relay],
    ['a Deployment of a replica too many', 'Relay', relay, 'Deployment', 'edge-1', external],
    ['a Service of a replica too many', 'Relay', relay, 'Service', 'edge-1', external],
    ['the budget of a Relay of one replica', 'Relay', relay, 'PodDisruptionBudget', 'edge-relays', external],
    ['the budget of a network', 'RemoteNetwork', network, 'PodDisruptionBudget', 'edge-connectors', relay],
  ])(
    'is removed where it is its own, and left alone where it is another object’s: %s',
    (_, kind, object, of, name, other) => {
      expect(removed(kind, object, child(of, name, object))).toEqual([`${of} ${name}`])
      expect(removed(kind, object, child(of, name, other))).toEqual([])
    },
  )

  it('does not run a Connector that is one too many, where it is another object’s', () => {
    const owned = { ...surplus, metadata: { ...surplus.metadata, ownerReferences: [ownerReference(network)] } }
    const removals = (live: KubeObject) => {
      const at = worldOf()
      at.store.put('RemoteNetwork', network)
      at.store.put('Connector', owned)
      at.store.put('Deployment', live)
      const steps = at.plan('RemoteNetwork', 'sallyport', 'edge')?.steps ?? []
      return steps.flatMap(step => (step.do === 'remove' ? step.object.kind : []))
    }
    expect(removals(child('Deployment', 'edge-1', owned))).toEqual(['Deployment'])
    expect(removals(child('Deployment', 'edge-1', relay))).toEqual(['Connector'])
  })
})

describe('what may be refused while an object is brought about', () => {
  it('is what was written with it, and nothing of what is written with another', () => {
    const at = worldOf()
    const [network, connector] = [
      office(),
      object('Connector', 'sallyport', 'a', { remoteNetworkRef: { name: 'office' } }),
    ]
    at.store.put('RemoteNetwork', network)
    at.store.put('Connector', connector)
    const deployment = child('Deployment', 'a', connector)
    expect(refusalOf(deployment)).toBe(runnerOf(connector.metadata.uid))
    expect(refusalOf({ ...deployment, kind: 'Secret' })).toBe(connector.metadata.uid)
    expect(new Set(at.world.writtenWith('RemoteNetwork', network))).toEqual(
      new Set([network.metadata.uid, runnerOf(connector.metadata.uid)]),
    )
    expect(new Set(at.world.writtenWith('Connector', connector))).toEqual(new Set([connector.metadata.uid]))
  })
})
