import type { Clock, Log } from '@sallyport/runtime'
import type { Kind } from '@sallyport/schema'
import { randomId } from '@sallyport/trust'
import type { InstallationNames } from '../installation.ts'
import { ALL_KINDS, type AnyKind, type Declared, type KubeObject, type Statuses, versionOf } from '../object.ts'
import {
  type ChangeListener,
  isFormer,
  type ObjectEvent,
  type Provider,
  ProviderError,
  type Told,
} from '../provider.ts'
import { ObjectStore } from '../store.ts'
import { InformerOperator, type Listed, type Source } from './adapter.ts'
import { asText, BoundedKubeConfig, Kube, type Selectors } from './kube.ts'
import { Leader } from './leader.ts'
import { shapeOf, withoutManagers } from './shape.ts'
import { TokenFile } from './token-file.ts'

/** Annotation of the Lease with which a person confirms a removal. */
export const CONFIRM_ANNOTATION = 'sallyport.dev/confirm-removal'

export type KubernetesOptions = {
  kubeconfig?: string
  tokenFile: string
  leaderElection: boolean
  leaseSeconds: number
  staleSeconds: number
  namespace: string
  names: InstallationNames
  /** The Controller's Service, of its own namespace. */
  controllerService: string | undefined
  /** Whether others issue the serving certificates, into Secrets of their own. */
  certificates: 'operator' | 'provided' | 'external'
  managedNamespaces: readonly string[]
  watchNamespaces: readonly string[] | undefined
  identity: string
  clock: Clock
  log: Log
  onChange: ChangeListener
  onWrite: (verb: string, kind: string) => void
  /** Hears the name of a source whose watch has failed. */
  onWatchFailure: (source: string) => void
}

const TLS_TYPE = 'kubernetes.io/tls'
const isIssued = ({ type }: KubeObject) => type === TLS_TYPE

type Named = { kind: 'Secret' | 'Service' | 'ConfigMap'; name: string }

/** Objects in a cluster. */
export class KubernetesProvider implements Provider {
  readonly platform = 'cluster'
  readonly store: ObjectStore
  readonly #options: KubernetesOptions
  readonly #kube: Kube
  readonly #operator: InformerOperator
  readonly #leader: Leader
  readonly #token: TokenFile

  constructor(options: KubernetesOptions) {
    this.#options = options
    this.store = new ObjectStore(options.onChange)
    const config = new BoundedKubeConfig(options.staleSeconds * 1000, options.clock)
    if (options.kubeconfig === undefined) config.loadFromDefault()
    else config.loadFromFile(options.kubeconfig)
    this.#kube = new Kube(config, options.onWrite)
    this.#operator = new InformerOperator({
      ...{ config, clock: options.clock, log: options.log, onFailure: options.onWatchFailure },
      staleMs: options.staleSeconds * 1000,
    })
    this.#token = new TokenFile(options.tokenFile, options.clock)
    this.#leader = new Leader({ ...options, lease: options.names.lease, kube: this.#kube })
  }

  async start(): Promise<void> {
    const { certificates, managedNamespaces } = this.#options
    await this.#operator.start()
    const follow = (kind: AnyKind) => this.#namespacesOf(kind).map(namespace => this.#followKind(kind, namespace))
    // Whether a namespace is there at all is known before anything in it is asked for.
    await Promise.all(follow('Namespace'))
    await Promise.all([
      ...ALL_KINDS.filter(kind => kind !== 'Namespace').flatMap(follow),
      ...this.#named().map(named => this.#followNamed(named)),
      ...(certificates === 'external' ? managedNamespaces.map(namespace => this.#followIssued(namespace)) : []),
    ])
  }

  async resync(): Promise<AnyKind[]> {
    const failed = await this.#operator.relist()
    return ALL_KINDS.filter(kind => failed.some(name => name.startsWith(`${kind} `)))
  }

  async seek(kind: AnyKind, object: KubeObject): Promise<boolean> {
    const asked = { ...object, apiVersion: versionOf(kind), kind }
    const live = await this.#kube.read(asked)
    if (live === undefined) return false
    const found = asText(live)
    this.store.put(kind, { ...(this.#isNamed(asked) ? withoutManagers(found) : shapeOf(kind, found)), kind })
    return true
  }

  stale(): string | undefined {
    return this.#operator.stale()
  }

  leaderless(): string | undefined {
    return this.#leader.problem
  }

  async apply(object: KubeObject): Promise<void> {
    await this.makeRoom(object)
    this.#took(object, await this.#kube.apply(object))
  }

  async makeRoom(object: KubeObject): Promise<void> {
    const { kind, metadata } = object
    const known = this.store.get(kind as AnyKind, metadata.namespace ?? '', metadata.name)
    // What is not labelled as the operator's is not followed: it has to be asked for.
    const live = known ?? (await this.#kube.read(object))
    if (live === undefined || !isFormer(object, live as unknown as KubeObject)) return
    await this.#kube.remove(live as unknown as KubeObject)
    this.store.remove(kind as AnyKind, live as unknown as KubeObject, 'told')
  }

  async create(object: KubeObject): Promise<void> {
    this.#took(object, await this.#kube.create(object))
  }

  async remove(object: KubeObject): Promise<void> {
    await this.#kube.remove(object)
  }

  async writeStatus(object: Declared, status: Statuses[Kind]): Promise<void> {
    const written = await this.#kube.writeStatus(object, status)
    if (written !== undefined) this.store.put(object.kind, { ...written, kind: object.kind })
  }

  async event(object: Told, event: ObjectEvent): Promise<void> {
    const { identity, clock } = this.#options
    const id = randomId()
      .toLowerCase()
      .replace(/[^a-z0-9]/g, '')
    await this.#kube.event(object, event, { nowMs: clock.now(), instance: identity, id })
  }

  async announce(event: ObjectEvent): Promise<void> {
    const { identity, clock, namespace, names } = this.#options
    const id = randomId()
      .toLowerCase()
      .replace(/[^a-z0-9]/g, '')
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: names.lease, namespace } }
    await this.#kube.event(lease, event, { nowMs: clock.now(), instance: identity, id })
  }

  async confirmation(): Promise<string | undefined> {
    const { namespace, names } = this.#options
    const lease = await this.#kube.lease(namespace, names.lease)
    return lease?.metadata.annotations?.[CONFIRM_ANNOTATION]
  }

  token(): Promise<string> {
    return this.#token.read()
  }

  async lead(onLost: (reason: string) => void): Promise<void> {
    if (this.#options.leaderElection) await this.#leader.lead(onLost)
  }

  async close(): Promise<void> {
    this.#operator.stop()
    await this.#leader.release()
  }

  /** The answer is in the store before the watch brings it: what is planned next builds on it. */
  #took(object: KubeObject, answer: KubeObject | undefined): void {
    if (answer === undefined) return
    const kind = object.kind as AnyKind
    if (ALL_KINDS.includes(kind)) {
      this.store.put(kind, { ...asText(answer), apiVersion: object.apiVersion, kind })
    }
  }

  #namespacesOf(kind: AnyKind): (string | undefined)[] {
    const { managedNamespaces, watchNamespaces } = this.#options
    if (kind === 'ConfigMap') return []
    if (Kube.selector(kind) !== undefined) return [...managedNamespaces]
    if (watchNamespaces === undefined) return [undefined]
    // Roles give no right to what belongs to no namespace.
    if (kind === 'Namespace' || kind === 'Node') return []
    return [...new Set([...watchNamespaces, ...managedNamespaces])]
  }

  /** Where Namespaces can't be watched, none is known to be absent. */
  #isAbsent(namespace: string): boolean {
    return this.store.count('Namespace') > 0 && this.store.get('Namespace', '', namespace) === undefined
  }

  /** Objects of the installation that are followed by their names: others may have made them, with labels of their own. */
  #named(): Named[] {
    const { names, controllerService } = this.#options
    const secrets = [names.ca, names.controllerTls, names.storeKey].map((name): Named => ({ kind: 'Secret', name }))
    const service: Named[] = controllerService === undefined ? [] : [{ kind: 'Service', name: controllerService }]
    return [...secrets, { kind: 'ConfigMap', name: names.login }, ...service]
  }

  #followNamed({ kind, name }: Named): Promise<void> {
    const { namespace } = this.#options
    const field = `metadata.name=${name}`
    return this.#follow(
      kind,
      { name: `${kind} ${namespace}/${name}`, namespace, field },
      { covers: ({ metadata }) => metadata.name === name && metadata.namespace === namespace, shape: withoutManagers },
    )
  }

  /** Serving certificates that others issue. */
  #followIssued(namespace: string): Promise<void> {
    const where = { name: `Secret ${namespace} of type ${TLS_TYPE}`, namespace, field: `type=${TLS_TYPE}` }
    return this.#follow('Secret', where, {
      covers: object => object.metadata.namespace === namespace && !this.#isNamed(object) && isIssued(object),
      shape: withoutManagers,
    })
  }

  #isNamed({ kind, metadata }: KubeObject): boolean {
    return (
      metadata.namespace === this.#options.namespace &&
      this.#named().some(named => named.kind === kind && named.name === metadata.name)
    )
  }

  #followKind(kind: AnyKind, namespace: string | undefined): Promise<void> {
    const where = { name: `${kind} ${namespace ?? ''}`, namespace, label: Kube.selector(kind) }
    return this.#follow(kind, where, {
      covers: object =>
        (namespace === undefined || object.metadata.namespace === namespace) &&
        !this.#isNamed({ ...object, kind }) &&
        !isIssued(object),
      shape: object => shapeOf(kind, object),
    })
  }

  /** A list without what every cluster has is broken. */
  async #list(kind: AnyKind, namespace: string | undefined, selectors: Selectors): Promise<Listed> {
    const listed = await this.#kube.list(kind, namespace, selectors)
    if (kind === 'Namespace' && listed.items.length === 0) {
      throw new ProviderError('unavailable', 'list Namespace: there is none, and a cluster has some')
    }
    return listed
  }

  /** Follows what it `covers` of a kind. */
  #follow(
    kind: AnyKind,
    { name, namespace, ...selectors }: { name: string; namespace: string | undefined } & Selectors,
    { covers, shape }: { covers: (object: KubeObject) => boolean; shape: Source['shape'] },
  ): Promise<void> {
    return this.#operator.follow({
      name,
      path: Kube.path(kind, namespace),
      labelSelector: selectors.label,
      fieldSelector: selectors.field,
      list: () => this.#list(kind, namespace, selectors),
      isAbsent: () => namespace !== undefined && this.#isAbsent(namespace),
      shape,
      onList: (objects, version) => this.store.replace(kind, objects.filter(covers), covers, version),
      onPut: object => {
        if (covers(object)) this.store.put(kind, { ...object, kind })
      },
      onGone: object => {
        if (covers(object)) this.store.remove(kind, object, 'told')
      },
    })
  }
}
