import type {
  DeclaredKind,
  DeclaredRow,
  EventReason,
  Kind,
  OperatorTrust,
  Reason,
  RelaySecret,
  SlotState,
} from '@sallyport/schema'
import type { InstallationNames } from '../installation.ts'
import type { Declared, KubeObject, Secret, Statuses } from '../object.ts'

/** One thing to do. Steps are done in order; the first that fails ends the work on the key until it is tried again. */
export type Step =
  | { do: 'putRow'; kind: DeclaredKind; uid: string; digest: string; body: object }
  | { do: 'deleteRow'; kind: DeclaredKind; uid: string }
  /** Server-side apply of exactly these fields. */
  | { do: 'apply'; object: KubeObject }
  /** Made only when it is not there: never overwrites. */
  | { do: 'create'; object: KubeObject }
  | { do: 'remove'; object: KubeObject }
  /** Issues an enrolment token for a slot and writes it into `secret`, which is whole but for the token. */
  | { do: 'issueToken'; uid: string; secret: Secret }
  /** Writes a Relay's Secret with what is missing: its keys fetched, its certificate issued. */
  | { do: 'relaySecret'; uid: string; secret: Secret; want: RelaySecretWant }
  | { do: 'acknowledgeKeys'; uid: string; keyIds: string[] }
  /** Makes or renews the installation CA, or issues the Controller's serving certificate, or makes the store key. */
  | { do: 'makeCa'; secret: Secret; previous: Secret | undefined }
  | { do: 'makeControllerCertificate'; secret: Secret; names: ServingNames }
  | { do: 'makeStoreKey'; secret: Secret }
  /** Makes a Secret again as it was when someone deleted it, and says so. */
  | { do: 'restore'; secret: Secret }
  | { do: 'status'; object: Declared; status: Statuses[Kind] }
  /** A Warning about an object that has no status of ours; the same words once. */
  | { do: 'tell'; object: KubeObject; reason: EventReason; message: string }
  /** Nothing can be done: it counts as a failure, and is tried again. */
  | { do: 'fail'; error: Error }
  | { do: 'event'; object: Declared; type: 'Normal' | 'Warning'; reason: Reason; message: string }

export type RelaySecretWant = {
  name: string
  passJwks: OperatorTrust['jwks']['relayPass']
  /** Keys that are kept; undefined: they are fetched. */
  keys: RelaySecret['keys'] | undefined
  /** Certificate and key that are kept; undefined: they are issued. */
  certificate: { certificatePem: string; keyPem: string } | undefined
}

export type ServingNames = { dnsNames: string[]; ipAddresses: string[] }

/** What there is to do about one object. Empty steps: it is at rest until `wakeAtMs`. */
export type Plan = { steps: Step[]; wakeAtMs?: number }

/** What the operator knows of the Controller's rows. */
export type ControllerView = {
  /** Whether all rows have been seen since the start; before, nothing is concluded from a row's absence. */
  known: boolean
  /** Whether it can be reached now, so that a pod that starts can enrol. */
  reachable: boolean
  /** Whether it is reached and has heard of all Connectors that may serve, so that what serves nobody can be told from what was not heard of yet. */
  isWhole: boolean
  row(uid: string): DeclaredRow | undefined
  slot(uid: string): SlotState | undefined
  trust: OperatorTrust | undefined
  /** Why the Controller refused an object's last PUT, or the API server one of its children. `uid` may be that of {@link runnerOf}. */
  refusal(uid: string): string | undefined
}

/** Stands for what runs a Connector, where something is refused: that is written with its RemoteNetwork, all else with the Connector. */
export const runnerOf = (connector: string): string => `${connector}/Deployment`

/** The UID for which the refusal of a child counts. */
export function refusalOf({ kind, metadata }: KubeObject): string {
  const [owner] = metadata.ownerReferences ?? []
  const uid = owner?.uid ?? ''
  return kind === 'Deployment' && owner?.kind === 'Connector' ? runnerOf(uid) : uid
}

/** What does not come from objects. */
export type Settings = {
  namespace: string
  /** Names of the installation's own objects. */
  names: InstallationNames
  managedNamespaces: readonly string[]
  clusterDomain: string
  connectorImage: string
  relayImage: string
  imagePullSecrets: readonly string[]
  connectorResolver: string | undefined
  controllerUrl: string
  /** Undefined: derived from `controllerService`. */
  controllerPublicUrl: string | undefined
  /** Whether what people type to log in pins the CA. */
  pinsLogin: boolean
  controllerService: string | undefined
  /** PEM of the CAs that vouch for a Controller that is not of this installation. */
  controllerCa: string | undefined
  controllerNames: readonly string[]
  /** Whether it may read what belongs to no namespace: Namespaces with their labels, and Nodes. */
  readsCluster: boolean
  /** Who issues serving certificates: the operator, with a CA of its own or one that is waited for, or others. */
  certificates: 'operator' | 'provided' | 'external'
  /** Pods of a cluster, or processes of this machine. */
  platform: 'cluster' | 'host'
}

/** What a plan is made with; `publicUrl` is the Controller's, derived or configured. */
export type Context = { nowMs: number; settings: Settings; publicUrl: string; controller: ControllerView }

/** Puts plans together; the earliest time counts. */
export function joinPlans(...plans: Plan[]): Plan {
  const times = plans.flatMap(({ wakeAtMs }) => wakeAtMs ?? [])
  const steps = plans.flatMap(plan => plan.steps)
  return times.length === 0 ? { steps } : { steps, wakeAtMs: Math.min(...times) }
}

/** What is told to people comes last, and comes even when the rest has failed. */
export const isTold = ({ do: what }: Step): boolean => what === 'status' || what === 'event'
