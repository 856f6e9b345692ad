import { createHash } from 'node:crypto'
import {
  API_VERSION,
  type Condition,
  type ConnectorStatus,
  canonicalJson,
  type GroupStatus,
  KINDS,
  type Kind,
  type RelayStatus,
  type RemoteNetworkStatus,
  type ResourceStatus,
  type Specs,
} from '@sallyport/schema'

export type OwnerReference = {
  apiVersion: string
  kind: string
  name: string
  uid: string
  controller?: boolean
  blockOwnerDeletion?: boolean
}

export type Metadata = {
  name: string
  namespace?: string
  uid?: string
  generation?: number
  creationTimestamp?: string
  resourceVersion?: string
  deletionTimestamp?: string
  labels?: Record<string, string>
  annotations?: Record<string, string>
  ownerReferences?: OwnerReference[]
}

/** Any object of Kubernetes, as its API has it. */
export type KubeObject = { apiVersion: string; kind: string; metadata: Metadata; [field: string]: unknown }

export type Statuses = {
  RemoteNetwork: RemoteNetworkStatus
  Connector: ConnectorStatus
  Resource: ResourceStatus
  Group: GroupStatus
  Relay: RelayStatus
}

/** Metadata of an object that someone has declared. */
export type DeclaredMetadata = Metadata & {
  namespace: string
  uid: string
  generation: number
  creationTimestamp: string
}

/** An object of one of our kinds. `spec` may be left out where the kind allows it. */
export type Declared<K extends Kind = Kind> = {
  apiVersion: string
  kind: K
  metadata: DeclaredMetadata
  spec?: Specs[K]
  status?: Statuses[K]
  /** Problems that only a file can have: the API server refuses such an object. */
  invalid?: string
}

/** What can own a child. */
export type Owner = {
  apiVersion: string
  kind: string
  metadata: { namespace: string; name: string; uid: string }
}

export type Secret = KubeObject & { kind: 'Secret'; data?: Record<string, string> }
export type ConfigMap = KubeObject & { kind: 'ConfigMap'; data?: Record<string, string> }

/** Kinds beside our own that the operator looks at. */
export const OTHER_KINDS = [
  'Namespace',
  'Node',
  'Secret',
  'ConfigMap',
  'Service',
  'Deployment',
  'PodDisruptionBudget',
] as const
export type OtherKind = (typeof OTHER_KINDS)[number]
export type AnyKind = Kind | OtherKind
export const ALL_KINDS: readonly AnyKind[] = [...KINDS, ...OTHER_KINDS]

/** API version of the kinds that are not ours. */
export const VERSIONS: Record<OtherKind, string> = {
  Namespace: 'v1',
  Node: 'v1',
  Secret: 'v1',
  ConfigMap: 'v1',
  Service: 'v1',
  Deployment: 'apps/v1',
  PodDisruptionBudget: 'policy/v1',
}
export const versionOf = (kind: AnyKind): string => VERSIONS[kind as OtherKind] ?? API_VERSION

/** `namespace/name`: how objects of one kind are told apart. */
export type ObjectName = string
export const objectName = (namespace: string | undefined, name: string): ObjectName => `${namespace ?? ''}/${name}`
export const nameOf = ({ metadata }: { metadata: Metadata }): ObjectName =>
  objectName(metadata.namespace, metadata.name)

/** Field manager of everything that the operator writes. */
export const FIELD_MANAGER = 'sallyport-operator'
/** Labels of the objects that the operator makes, as Kubernetes recommends them. */
export const MANAGED_BY_LABEL = 'app.kubernetes.io/managed-by'
export const COMPONENT_LABEL = 'app.kubernetes.io/component'
/** Labels of its own, by which the objects of one owner are found. */
export const NETWORK_LABEL = 'sallyport.dev/remote-network'
export const CONNECTOR_LABEL = 'sallyport.dev/connector'
export const RELAY_LABEL = 'sallyport.dev/relay'
export const INDEX_LABEL = 'sallyport.dev/index'
/** Digest of what the operator wanted of a child when it wrote it last. */
export const DIGEST_ANNOTATION = 'sallyport.dev/digest'
export const SELECTOR = `${MANAGED_BY_LABEL}=${FIELD_MANAGER}`

/** Text of one entry of a Secret; undefined when there is none. */
export function secretText(secret: Secret | undefined, entry: string): string | undefined {
  const text = secret?.data?.[entry]
  return text === undefined ? undefined : Buffer.from(text, 'base64').toString()
}

/** Entries of a Secret from their texts. */
export function secretData(entries: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(entries).map(([name, text]) => [name, Buffer.from(text).toString('base64')]))
}

/** Makes an object the owner of another: with it the other goes. */
export function ownerReference({ apiVersion, kind, metadata }: Owner): OwnerReference {
  const { name, uid } = metadata
  return { apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: false }
}

/** Whether `owner` is an owner of an object. */
export function isOwnedBy({ metadata }: { metadata: Metadata }, owner: { metadata: { uid: string } }): boolean {
  return metadata.ownerReferences?.some(({ uid }) => uid === owner.metadata.uid) ?? false
}

/** Whether an object has been deleted, and is there only until its finalizers are done. */
export const isEnding = ({ metadata }: { metadata: Metadata }): boolean => metadata.deletionTimestamp !== undefined

/**
 * Notes in a child what was wanted of it, so that a field is missed that is no longer wanted: comparing what is wanted with what is there shows
 * only what is lacking.
 */
export function stamped(object: KubeObject): KubeObject {
  const digest = createHash('sha256').update(canonicalJson(object)).digest('base64url')
  const annotations = { ...object.metadata.annotations, [DIGEST_ANNOTATION]: digest }
  return { ...object, metadata: { ...object.metadata, annotations } }
}

/**
 * Whose `live` is, which has the name of `wanted`: the operator's to write, that of a former owner of the same name (it is about to be
 * collected), or someone else's.
 */
export function whose(wanted: KubeObject, live: KubeObject): 'ours' | 'former' | 'foreign' {
  if (live.metadata.labels?.[MANAGED_BY_LABEL] !== FIELD_MANAGER) return 'foreign'
  const [owner, liveOwner] = [wanted.metadata.ownerReferences?.[0], live.metadata.ownerReferences?.[0]]
  if (owner?.uid === liveOwner?.uid) return 'ours'
  return owner?.kind === liveOwner?.kind && owner?.name === liveOwner?.name ? 'former' : 'foreign'
}

/** The condition of that type; undefined when it has not been written. */
export function conditionOf(object: Declared, type: string): Condition | undefined {
  return object.status?.conditions?.find(condition => condition.type === type)
}
