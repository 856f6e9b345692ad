/** What of a release can be deleted by hand, and how to see that it has come back. */
import { parseAllDocuments } from 'yaml'
import { helm, kube, kubectl } from './cluster.ts'
import { ALL_KINDS, isReady, NAMESPACE, type Pod, RELEASE } from './release.ts'

type Owner = { apiVersion: string; kind: string; name: string; uid: string }
export type Live = {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; uid: string; generation?: number; ownerReferences?: Owner[] }
  spec?: { replicas?: number; address?: object }
  status?: {
    observedGeneration?: number
    conditions?: { type: string; status: string; message: string; observedGeneration?: number }[]
    [count: string]: unknown
  }
}

/** One object, or a pod of a Deployment; `resource` is what kubectl calls its kind. */
export type Target = { kind: string; resource: string; name: string }

/**
 * Kinds of the chart that nobody deletes and has back: the volume and its claim. Kubernetes keeps both, in Terminating, for as long as a pod uses
 * them, and lets them go with the pod's end: then the database is another. CRDs are in no manifest: Helm keeps them, for with a CRD goes all
 * that is declared.
 */
const KEPT = ['PersistentVolume', 'PersistentVolumeClaim']
const CHILD_KINDS = 'secrets,configmaps,services,deployments,poddisruptionbudgets,connectors.sallyport.dev'
const CHILDREN = ['-l', 'app.kubernetes.io/managed-by=sallyport-operator']

/** Lists objects of the release's namespace. */
export async function list<T = Live>(resources: string, ...more: string[]): Promise<T[]> {
  const { items } = JSON.parse(await kube(['get', resources, '-n', NAMESPACE, '-o', 'json', ...more]))
  return items
}

/** The chart's objects, the operator's children, its Lease, and a pod of each Deployment. */
export async function targets(): Promise<Target[]> {
  const manifest = await helm(['get', 'manifest', RELEASE, '-n', NAMESPACE])
  const charted = parseAllDocuments(manifest)
    .map(document => document.toJS() as Live | null)
    .filter(object => object !== null)
    .filter(({ kind }) => !KEPT.includes(kind))
  const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: `${RELEASE}-operator` } }
  const objects = [...charted, ...(await list(CHILD_KINDS, ...CHILDREN)), lease]
  const deployments = await list('deployments')
  return [
    ...objects.map(({ apiVersion, kind, metadata: { name } }) => ({
      kind,
      resource: resourceOf(apiVersion, kind),
      name,
    })),
    ...deployments.map(({ metadata: { name } }) => ({ kind: 'Pod', resource: 'pod', name })),
  ]
}

/** kubectl's name of a kind, which is another's too for some. */
function resourceOf(apiVersion: string, kind: string): string {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : []
  return group === undefined ? kind : `${kind}.${version}.${group}`
}

/** Deletes it; gives what tells whether it, or a pod in its place, is there again. */
export async function remove({ kind, resource, name }: Target): Promise<() => Promise<boolean>> {
  const deletion = (what: string) => kube(['delete', resource, what, '-n', NAMESPACE, '--wait=false'])
  if (kind === 'Pod') {
    const former = await podsOf(name)
    await deletion(former[0]!.metadata.name)
    const isNew = ({ metadata }: Pod) => former.every(({ metadata: { uid } }) => uid !== metadata.uid)
    return async () => (await podsOf(name)).some(pod => isNew(pod) && isReady(pod))
  }
  const uidNow = async () => {
    const { code, stdout } = await kubectl(['get', resource, name, '-n', NAMESPACE, '-o', 'jsonpath={.metadata.uid}'])
    return code === 0 ? stdout : undefined
  }
  const former = await uidNow()
  if (former === undefined) throw new Error(`there is no ${resource} ${name} to delete`)
  await deletion(name)
  return async () => ![undefined, former].includes(await uidNow())
}

async function podsOf(deployment: string): Promise<Pod[]> {
  const { spec } = JSON.parse(await kube(['get', 'deployment', deployment, '-n', NAMESPACE, '-o', 'json']))
  const labels: Record<string, string> = spec.selector.matchLabels
  const selector = Object.entries(labels).map(pair => pair.join('='))
  const pods = await list<Pod>('pods', '-l', selector.join(','))
  return pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
}

/** What is not as it should be: an object that is not Ready, a Deployment without all of its pods. */
export async function unready(): Promise<string[]> {
  const declared = (await list(ALL_KINDS)).flatMap(({ kind, metadata, status }) => {
    const { name, generation } = metadata
    const ready = status?.conditions?.find(({ type }) => type === 'Ready')
    const working = status?.conditions?.find(({ type, status }) => type === 'Progressing' && status === 'True')
    const isNow = ready?.status === 'True' && (ready.observedGeneration ?? generation) === generation
    return isNow && working === undefined ? [] : [`${kind} ${name}: ${(working ?? ready)?.message ?? 'no condition'}`]
  })
  const running = (await list('deployments')).flatMap(({ metadata, spec, status = {} }) => {
    const counts = [status.replicas, status.updatedReplicas, status.availableReplicas]
    const isNow = status.observedGeneration === metadata.generation && counts.every(count => count === spec?.replicas)
    return isNow ? [] : [`Deployment ${metadata.name}: ${counts.map(count => count ?? 0)} of ${spec?.replicas}`]
  })
  return [...declared, ...running]
}

/** Children in the namespace whose owner is gone. */
export async function orphans(): Promise<string[]> {
  const owners = new Set((await list(ALL_KINDS)).map(({ metadata }) => metadata.uid))
  const children = await list(`${CHILD_KINDS},pods`)
  return children.flatMap(({ kind, metadata: { name, ownerReferences = [] } }) => {
    const ours = ownerReferences.filter(({ apiVersion }) => apiVersion.startsWith('sallyport.dev/'))
    return ours.every(({ uid }) => owners.has(uid)) ? [] : [`${kind} ${name}`]
  })
}
