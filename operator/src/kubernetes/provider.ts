import { readFile } from 'node:fs/promises'
import { KubeConfig } from '@kubernetes/client-node'
import type { Clock, Log } from '@sallyport/runtime'
import type { Kind } from '@sallyport/schema'
import { randomId } from '@sallyport/trust'
import { ALL_KINDS, type AnyKind, type Declared, type KubeObject, type Statuses } from '../object.ts'
import { type ChangeListener, isFormer, type ObjectEvent, type Provider, type Told } from '../provider.ts'
import { ObjectStore } from '../store.ts'
import { InformerOperator, type Source } from './adapter.ts'
import { Kube } from './kube.ts'
import { LEASE_NAME, Leader } from './leader.ts'
import { shapeOf } from './shape.ts'

/** Annotation of the Lease with which a person confirms a removal. */
export const CONFIRM_ANNOTATION = 'sallyport.dev/confirm-removal'

export type KubernetesOptions = {
  kubeconfig?: string
  tokenFile: string
  leaderElection: boolean
  namespace: string
  managedNamespaces: readonly string[]
  watchNamespaces: readonly string[] | undefined
  identity: string
  clock: Clock
  log: Log
  onChange: ChangeListener
  onWrite: (verb: string, kind: string) => void
}

/** Objects in a cluster. */
export class KubernetesProvider implements Provider {
  readonly platform = 'cluster'
  readonly store: ObjectStore
  readonly #options: KubernetesOptions
  readonly #kube: Kube
  readonly #operator: InformerOperator
  readonly #leader: Leader

  constructor(options: KubernetesOptions) {
    this.#options = options
    this.store = new ObjectStore(options.onChange)
    const config = new KubeConfig()
    if (options.kubeconfig === undefined) config.loadFromDefault()
    else config.loadFromFile(options.kubeconfig)
    this.#kube = new Kube(config, options.onWrite)
    this.#operator = new InformerOperator(config, options)
    this.#leader = new Leader({ ...options, kube: this.#kube })
  }

  async start(): Promise<void> {
    await this.#operator.start()
    await Promise.all(
      ALL_KINDS.flatMap(kind => this.#namespacesOf(kind).map(namespace => this.#follow(kind, namespace))),
    )
  }

  async resync(): Promise<AnyKind[]> {
    const failed = await this.#operator.relist()
    return ALL_KINDS.filter(kind => failed.some(name => name.startsWith(`${kind} `)))
  }

  stale(): string | undefined {
    return this.#operator.stale()
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
    const { identity, clock, namespace } = this.#options
    const id = randomId()
      .toLowerCase()
      .replace(/[^a-z0-9]/g, '')
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: LEASE_NAME, namespace } }
    await this.#kube.event(lease, event, { nowMs: clock.now(), instance: identity, id })
  }

  async confirmation(): Promise<string | undefined> {
    const lease = await this.#kube.lease(this.#options.namespace, LEASE_NAME)
    return lease?.metadata.annotations?.[CONFIRM_ANNOTATION]
  }

  async token(): Promise<string> {
    return (await readFile(this.#options.tokenFile, 'utf8')).trim()
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
      this.store.put(kind, { ...JSON.parse(JSON.stringify(answer)), apiVersion: object.apiVersion, kind })
    }
  }

  #namespacesOf(kind: AnyKind): (string | undefined)[] {
    const { managedNamespaces, watchNamespaces } = this.#options
    if (Kube.selector(kind) !== undefined) return [...managedNamespaces]
    if (watchNamespaces === undefined) return [undefined]
    // Roles give no right to what belongs to no namespace.
    if (kind === 'Namespace' || kind === 'Node') return []
    return [...new Set([...watchNamespaces, ...managedNamespaces])]
  }

  #follow(kind: AnyKind, namespace: string | undefined): Promise<void> {
    const labelSelector = Kube.selector(kind)
    const source: Source = {
      name: `${kind} ${namespace ?? ''}`,
      path: Kube.path(kind, namespace),
      ...(labelSelector === undefined ? {} : { labelSelector }),
      list: () => this.#kube.list(kind, namespace, labelSelector),
      shape: object => shapeOf(kind, object),
      onList: objects =>
        this.store.replace(
          kind,
          objects,
          ({ metadata }) => namespace === undefined || metadata.namespace === namespace,
        ),
      onPut: object => this.store.put(kind, { ...object, kind }),
      onGone: object => this.store.remove(kind, object, 'told'),
    }
    return this.#operator.follow(source)
  }
}
