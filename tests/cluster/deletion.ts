/** One of each thing that people delete, with a stream that it carries, and the times at which it is gone. */
import type { Kind } from '@sallyport/schema'
import { eventually } from '@sallyport/testkit'
import { apply, find, kube, kubectl } from './cluster.ts'
import { ALL_KINDS, LONG_MS, NAMESPACE, OFFICE, type Person } from './release.ts'
import { rows } from './row.ts'
import { type LiveStream, openStream, openStreamThrough } from './traffic.ts'

/** What is deleted; the name of each is that of its Service, but for the Relay. */
export const THINGS = ['Resource', 'Group', 'RemoteNetwork', 'namespace', 'Relay'] as const
export type Thing = (typeof THINGS)[number]
/** Seconds from the deletion until the thing and its children are gone, its stream is cut, its rows are gone. */
export type Cell = { gone: string; cut: string; row: string }

const NAMES: Record<Thing, string> = {
  Resource: 'single',
  Group: 'crew',
  RemoteNetwork: 'branch',
  namespace: 'team',
  Relay: 'edge',
}
const ADA = ['ada@example.com']
const EVERY = { timeoutMs: LONG_MS, everyMs: 300 }

/** Name of the Service to which the thing is the way. */
export const hostOf = (thing: Thing): string => `${NAMES[thing]}.${OFFICE}.svc.cluster.local`

/** What stays while the things come and go: Services, the Resources that name a Group or a network, and a second person. */
export async function applyGround(): Promise<void> {
  const service = { selector: { app: 'tcp' }, ports: [{ port: 9000 }] }
  const allowedNamespaces = [{ from: 'All', addresses: [`*.${OFFICE}.svc.cluster.local`] }]
  const patch = (kind: string, name: string, spec: object) =>
    kube(['patch', kind, name, '-n', NAMESPACE, '--type=merge', '-p', JSON.stringify({ spec })])
  await patch('remotenetwork', 'office', { allowedNamespaces })
  await patch('group', 'developers', { members: [...ADA, 'grace@example.com'] })
  await apply(
    ...THINGS.filter(thing => thing !== 'Relay').map(thing => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: NAMES[thing], namespace: OFFICE },
      spec: service,
    })),
    resource('Group', NAMESPACE, 'office', 'crew'),
    resource('RemoteNetwork', NAMESPACE, 'branch', 'developers'),
  )
  // Statuses come after rows.
  for (const thing of ['Group', 'RemoteNetwork'] as const) {
    const lacks = ['wait', '--for=condition=ResolvedRefs=False', `sres/${NAMES[thing]}`, '-n', NAMESPACE]
    await kube([...lacks, '--timeout=120s'])
  }
}

/** The things, Ready, and a stream of each. */
export class Things {
  readonly streams: Record<Thing, LiveStream>
  /** Rows of each thing, as {@link rows} has them. */
  readonly rows: Record<Thing, string[]>

  private constructor(streams: Record<Thing, LiveStream>, rows: Record<Thing, string[]>) {
    this.streams = streams
    this.rows = rows
  }

  /** Makes them beside what has the rows `ground`. The Relay is for `visitor` alone. */
  static async make(ada: Person, visitor: Person, ground: string[]): Promise<Things> {
    await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMES.namespace } })
    await apply(
      resource('Resource', NAMESPACE, 'office', 'developers'),
      declared('Group', NAMES.Group, NAMESPACE, { members: ADA }),
      declared('RemoteNetwork', NAMES.RemoteNetwork, NAMESPACE, { connectors: { replicas: 2, drainSeconds: 5 } }),
      resource('namespace', NAMES.namespace, 'office', 'team'),
      declared('Group', NAMES.namespace, NAMES.namespace, { members: ADA }),
    )
    await allReady()
    const hers = {
      Resource: await stream(ada, 'Resource'),
      Group: await stream(ada, 'Group'),
      RemoteNetwork: await stream(ada, 'RemoteNetwork'),
      namespace: await stream(ada, 'namespace'),
    }
    // After those, so that none of them runs through it.
    await apply(
      declared('Relay', NAMES.Relay, NAMESPACE, {
        replicas: 1,
        address: { fromService: true },
        service: { type: 'NodePort' },
      }),
    )
    await allReady()
    const streams = { ...hers, Relay: await openStreamThrough(visitor, NAMES.Relay) }
    return new Things(streams, await rowsByThing(ground))
  }

  /** Deletes all of them; gives when each was gone, cut and forgotten, and the same without waiting for the Controller. */
  async remove(): Promise<{ objects: Promise<unknown>; all: Promise<Record<Thing, Cell>> }> {
    const fromMs = performance.now()
    const since = () => ((performance.now() - fromMs) / 1000).toFixed(1)
    const gone = (thing: Thing) => eventually(`${thing} to go`, () => isGone(thing), EVERY).then(since)
    const cells = THINGS.map(thing => {
      const cut = this.streams[thing].ended.then(since)
      const row = eventually(`the rows of ${thing} to go`, () => this.#hasNoRow(thing), EVERY).then(since)
      return { thing, cut, row, gone: gone(thing) }
    })
    const objects = Promise.all(cells.map(cell => cell.gone))
    const all = Promise.all(
      cells.map(async ({ thing, ...cell }) => {
        return [thing, { gone: await cell.gone, cut: await cell.cut, row: await cell.row }] as const
      }),
    ).then(entries => Object.fromEntries(entries) as Record<Thing, Cell>)
    // A failure is the caller's to hear, when it waits.
    for (const one of [objects, all]) one.catch(() => undefined)
    const at = (thing: Thing) => (thing === 'namespace' ? [] : ['-n', NAMESPACE])
    await Promise.all(THINGS.map(thing => kube(['delete', kindOf(thing), NAMES[thing], ...at(thing), '--wait=false'])))
    return { objects, all }
  }

  async #hasNoRow(thing: Thing): Promise<boolean> {
    const present = await rows()
    return this.rows[thing].every(row => !present.includes(row))
  }
}

const allReady = () => kube(['wait', '--for=condition=Ready', '-A', '--all', '--timeout=300s', ALL_KINDS])

const kindOf = (thing: Thing) => (thing === 'Resource' ? 'sres' : thing.toLowerCase())

const stream = (ada: Person, thing: Thing) =>
  eventually(`a stream by ${thing}`, () => openStream(ada, hostOf(thing)), { timeoutMs: LONG_MS, everyMs: 100 })

async function isGone(thing: Thing): Promise<boolean> {
  const name = NAMES[thing]
  const { code, stderr } = await kubectl([
    'get',
    kindOf(thing),
    name,
    ...(thing === 'namespace' ? [] : ['-n', NAMESPACE]),
  ])
  if (code === 0 || !stderr.includes('NotFound')) return false
  const label = { RemoteNetwork: 'sallyport.dev/remote-network', Relay: 'sallyport.dev/relay' }[thing as string]
  if (label === undefined) return true
  const children = 'connectors,deployments,pods,services,secrets,poddisruptionbudgets'
  return (await kube(['get', children, '-n', NAMESPACE, '-l', `${label}=${name}`, '-o', 'name'])) === ''
}

/** Rows that are not among `ground`, by the thing to which they belong; those of a Relay are its replicas'. */
async function rowsByThing(ground: string[]): Promise<Record<Thing, string[]>> {
  const made = (await rows()).filter(row => !ground.includes(row))
  const of = async (kinds: string, namespace: string, ...names: string[]) => {
    const { items } = JSON.parse(await kube(['get', kinds, '-n', namespace, '-o', 'json'])) as { items: Item[] }
    const uids = items
      .filter(
        ({ metadata, spec }) => names.length === 0 || names.includes(spec.remoteNetworkRef?.name ?? metadata.name),
      )
      .map(({ metadata }) => metadata.uid)
    return made.filter(row => uids.some(uid => row.endsWith(` ${uid}`)))
  }
  const single = (await find<Item>('sres', NAMES.Resource, NAMESPACE))!.metadata.uid
  const known = {
    Resource: made.filter(row => row.endsWith(` ${single}`)),
    Group: await of('groups', NAMESPACE, NAMES.Group),
    RemoteNetwork: await of('remotenetworks,connectors,resources', NAMESPACE, NAMES.RemoteNetwork),
    namespace: await of('groups,resources', NAMES.namespace),
  }
  const others = Object.values(known).flat()
  return { ...known, Relay: made.filter(row => !others.includes(row)) }
}

type Item = { metadata: { name: string; uid: string }; spec: { remoteNetworkRef?: { name: string } } }

const declared = (kind: Kind, name: string, namespace: string, spec: object) => ({
  apiVersion: 'sallyport.dev/v1alpha1',
  kind,
  metadata: { name, namespace },
  spec,
})

const resource = (thing: Thing, namespace: string, network: string, group: string) =>
  declared('Resource', NAMES[thing], namespace, {
    remoteNetworkRef: { name: network, namespace: NAMESPACE },
    address: hostOf(thing),
    access: [{ group }],
  })
