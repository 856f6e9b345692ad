/** Kubernetes' own habits: what is applied reads back as it was, and an account uses the rights that it has. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { API_VERSION, KIND_TABLE, KINDS, type Kind, type Specs } from '@sallyport/schema'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { renderRights } from '../chart/helm.ts'
import { describeKube, eventually } from './cluster.ts'
import { KubeInstallation, NAMESPACE, object } from './installation.ts'
import { needs, type Right, rightsOf } from './right.ts'
import { Way } from './way.ts'
import { WHOLE } from './whole.ts'

const root = join(import.meta.dirname, '../..')
const ACCOUNT = 'sallyport-operator'
const SIDES = [
  ['client-side', []],
  ['server-side', ['--server-side', '--field-manager=argocd-controller', '--force-conflicts']],
] as const

const FLAGS = { 'leader-election': 'true', 'resync-seconds': '2' }

describeKube('on the API server', cluster => {
  let installation: KubeInstallation
  beforeAll(async () => {
    installation = await KubeInstallation.prepare(cluster())
    await installation.startOperator(FLAGS)
    await installation.startController()
  }, 180_000)
  afterAll(() => installation.close())

  describe.each(SIDES)('by %s apply', (side, how) => {
    const namespaced = ['-n', NAMESPACE]
    const settles = async (source: string[], input?: string) => {
      const run = (...args: string[]) => cluster().kubectl([...args, ...source, ...namespaced], input)
      expect(await run('apply', ...how)).toMatchObject({ code: 0, stderr: '' })
      await installation.settled()
      expect(await run('diff', ...how)).toEqual({ code: 0, stdout: '', stderr: '' })
      const before = await asApplied()
      expect(await run('apply', ...how)).toMatchObject({ code: 0, stderr: '' })
      await installation.settled()
      expect(await asApplied()).toEqual(before)
      expect(await run('delete', '--wait=false')).toMatchObject({ code: 0 })
    }
    /** All but what the operator reports, which has its own time. */
    const asApplied = async () => {
      const all = await Promise.all(KINDS.map(kind => installation.list(kind)))
      // Children of what has been deleted are on their way.
      const declared = all.flat().filter(({ metadata }) => metadata.ownerReferences === undefined)
      return declared.map(({ spec, metadata: { resourceVersion: _, managedFields = [], ...metadata } }) => ({
        spec,
        metadata,
        writers: managedFields.filter(({ subresource }) => subresource !== 'status'),
      }))
    }

    it('an object of each kind with every field leaves nothing to differ, and a second apply writes nothing', async () => {
      const items = KINDS.map(kind => whole(kind, `whole-${side}`))
      await settles(['-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }))
    })
    it.each(examples())('%s leaves nothing to differ, and a second apply writes nothing', async (_, source) => {
      await settles(source)
    })
  })

  it('the account of the operator needs all that it may do', async () => {
    const rights = rightsOf(await renderRights(), ACCOUNT, NAMESPACE)
    await everythingOnce(installation)
    const asked = cluster()
      .asked()
      .filter(({ user }) => user === `system:serviceaccount:${NAMESPACE}:${ACCOUNT}`)
    expect(asked.filter(({ code }) => code === 403)).toEqual([])
    const used = asked.flatMap((one): Right[] => [
      one,
      // An apply is a patch, and makes what is not there.
      ...(one.verb === 'patch' && one.code === 201 ? [{ ...one, verb: 'create' }] : []),
    ])
    expect(rights.length).toBeGreaterThan(40)
    expect(rights.filter(right => !used.some(one => needs(one, right)))).toEqual([])
  }, 300_000)
})

/** What an operator does in its life: each kind declared, a Service annotated, all scaled down, a removal told of. */
async function everythingOnce(installation: KubeInstallation): Promise<void> {
  const { cluster } = installation
  const children = ['Deployment', 'Service', 'Secret'].map(kind => [kind, 'edge-0'] as const)
  const budgets = ['life-connectors', 'edge-relays'].map(name => ['PodDisruptionBudget', name] as const)
  const life = (replicas: number) => [
    object('RemoteNetwork', 'life', { connectors: { replicas } }),
    object('Relay', 'edge', { replicas, address: { template: 'edge-{index}.example.com:443' } }),
  ]
  const exposed = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: 'exposed',
      namespace: NAMESPACE,
      annotations: { 'sallyport.dev/expose': `${NAMESPACE}/life`, 'sallyport.dev/groups': 'life' },
    },
    spec: { selector: { app: 'exposed' }, ports: [{ port: 80 }] },
  }
  await installation.apply(
    object('Group', 'life', {}),
    object('Resource', 'life', { remoteNetworkRef: { name: 'life' }, address: 'life.internal' }),
    ...life(2),
    exposed,
  )
  await installation.condition('Group', 'life', { type: 'Ready', status: 'True' })
  await installation.condition('Resource', 'life', { type: 'Accepted', status: 'True' })
  await installation.condition('Resource', 'exposed', { type: 'Accepted', status: 'True' })
  await eventually('Connector life-1', () => installation.find('Connector', 'life-1'))
  for (const [kind, name] of [...children, ...budgets]) {
    await eventually(`${kind} ${name}`, () => installation.find(kind, name))
  }
  await seekEverything(installation)
  await cluster.kube(['annotate', 'service', 'exposed', '-n', NAMESPACE, 'sallyport.dev/expose-'])
  await installation.apply(...life(0))
  for (const [kind, name] of [...children, ...budgets, ['Resource', 'exposed'], ['Connector', 'life-1']] as const) {
    const gone = async () => ((await installation.find(kind, name)) === undefined ? true : undefined)
    await eventually(`${kind} ${name} to go`, gone)
  }
  // One by one they would go as they come.
  await installation.stopOperator()
  const client = installation.rest()
  const metadata = { namespace: NAMESPACE, name: 'orphan', createdAt: '2030-01-01T00:00:00Z', generation: 1 }
  for (let index = 0; index < 60; index++) {
    const uid = `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`
    await client.request({ method: 'PUT', path: `/v1/groups/${uid}`, body: { metadata, spec: {} } })
  }
  client.close()
  await installation.startOperator(FLAGS)
  await eventually('the Event of the removal', async () => {
    const events = await cluster.kube(['get', 'events', '-n', NAMESPACE, '-o', 'json'])
    return events.includes('RemovalHeld') ? true : undefined
  })
}

/** Lets lists lack all that rows rest on: it is asked for by its name. */
async function seekEverything(installation: KubeInstallation): Promise<void> {
  const { cluster, dir } = installation
  const kubeconfig = join(dir, 'kubeconfig-way')
  const way = await Way.open(join(dir, 'kubeconfig'), kubeconfig)
  await installation.stopOperator()
  const { leading } = await installation.startOperator({ ...FLAGS, kubeconfig })
  await leading
  await installation.settled()
  const before = cluster.asked().length
  const declared = KINDS.map(kind => KIND_TABLE[kind].plural)
  way.hide(...declared, 'services', `namespaces/${NAMESPACE}`)
  await eventually('a look at each', async () => {
    const gets = cluster
      .asked()
      .slice(before)
      .filter(({ verb, user }) => verb === 'get' && user === `system:serviceaccount:${NAMESPACE}:${ACCOUNT}`)
    return [...declared, 'services', 'namespaces'].every(plural => gets.some(({ resource }) => resource === plural))
      ? true
      : undefined
  })
  await installation.stopOperator()
  way.close()
  await installation.startOperator(FLAGS)
}

function whole(kind: Kind, name: string): object {
  return object(kind, name, WHOLE[kind][0]!.spec as Specs[Kind])
}

/** Every kustomization of the examples that goes into any namespace, and every file of objects that stands in none. */
function examples(): [string, string[]][] {
  const all = readdirSync(join(root, 'examples'), { recursive: true, encoding: 'utf8' }).map(path =>
    join(root, 'examples', path),
  )
  const isFolder = (path: string) => existsSync(join(path, 'kustomization.yaml'))
  const folders = all.filter(path => isFolder(path) && isOfObjects(path))
  const files = all.filter(path => /\.ya?ml$/.test(path) && !isFolder(join(path, '..')) && areObjects(path))
  const named =
    (flag: string) =>
    (path: string): [string, string[]] => [relative(root, path), [flag, path]]
  return [...folders.map(named('-k')), ...files.map(named('-f'))]
}

/** Whether a kustomization has nothing but objects of our kinds in the files below it and in those that it names. */
function isOfObjects(folder: string): boolean {
  const { resources } = parse(readFileSync(join(folder, 'kustomization.yaml'), 'utf8')) as { resources: string[] }
  return resources
    .map(name => join(folder, name))
    .every(path => (existsSync(join(path, 'kustomization.yaml')) ? isOfObjects(path) : areObjects(path)))
}

const areObjects = (path: string) =>
  parseAllDocuments(readFileSync(path, 'utf8')).every(document => document.toJS()?.apiVersion === API_VERSION)
