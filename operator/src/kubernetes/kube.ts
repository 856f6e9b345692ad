import {
  ApiException,
  CustomObjectsApi,
  KubeConfig,
  type KubernetesObject,
  KubernetesObjectApi,
  PatchStrategy,
  type RequestContext,
  setHeaderOptions,
} from '@kubernetes/client-node'
import type { Clock } from '@sallyport/runtime'
import { API_GROUP, API_NAME, API_VERSION, isKind, KIND_TABLE, type Kind } from '@sallyport/schema'
import {
  type AnyKind,
  type Declared,
  FIELD_MANAGER,
  type KubeObject,
  SELECTOR,
  type Statuses,
  versionOf,
} from '../object.ts'
import { isPassing, type ObjectEvent, ProviderError } from '../provider.ts'
import type { Listed } from './adapter.ts'

const PLURALS = {
  Namespace: 'namespaces',
  Node: 'nodes',
  Secret: 'secrets',
  ConfigMap: 'configmaps',
  Service: 'services',
  Deployment: 'deployments',
  PodDisruptionBudget: 'poddisruptionbudgets',
}
const EVENTS = { group: 'events.k8s.io', version: 'v1', plural: 'events' }
const LEASES = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases' }
/** Longest note of an Event. */
const MAX_NOTE = 1024
/** A pod's token ends with its ServiceAccount, and is renewed long after that is there again. */
const UNAUTHORIZED = 'the token is not valid; if the ServiceAccount was deleted, restart the pod'
const APPLY = setHeaderOptions('Content-Type', PatchStrategy.ServerSideApply)

/** Which objects of a kind are listed and watched: by their labels, by their fields. */
export type Selectors = { label?: string | undefined; field?: string | undefined }

export type LeaseSpec = {
  holderIdentity?: string
  leaseDurationSeconds?: number
  acquireTime?: string
  renewTime?: string
  leaseTransitions?: number
}
export type Lease = KubeObject & { spec: LeaseSpec }

/**
 * Gives every call a time after which it has failed: a connection that is open and dead would hold it for minutes. And lets calls share their
 * connections for as long: client-node alone makes a TLS connection for each.
 */
export class BoundedKubeConfig extends KubeConfig {
  readonly #callTimeoutMs: number
  readonly #clock: Clock
  #shared: { dispatcher: ReturnType<RequestContext['getDispatcher']>; untilMs: number } | undefined

  constructor(callTimeoutMs: number, clock: Clock) {
    super()
    this.#callTimeoutMs = callTimeoutMs
    this.#clock = clock
  }

  override async applySecurityAuthentication(context: RequestContext): Promise<void> {
    await super.applySecurityAuthentication(context)
    context.setSignal(AbortSignal.timeout(this.#callTimeoutMs))
    const nowMs = this.#clock.monotonic()
    // The next one has the certificates as they are then; idle connections of the last end by themselves.
    if (this.#shared === undefined || nowMs >= this.#shared.untilMs) {
      this.#shared = { dispatcher: context.getDispatcher(), untilMs: nowMs + this.#callTimeoutMs }
    }
    if (this.#shared.dispatcher !== undefined) context.setDispatcher(this.#shared.dispatcher)
  }
}

/** The calls to the API server that the operator makes. Each throws ProviderError. */
export class Kube {
  readonly #objects: KubernetesObjectApi
  readonly #custom: CustomObjectsApi
  readonly #onWrite: (verb: string, kind: string) => void

  constructor(config: KubeConfig, onWrite: (verb: string, kind: string) => void) {
    this.#objects = KubernetesObjectApi.makeApiClient(config)
    this.#custom = config.makeApiClient(CustomObjectsApi)
    this.#onWrite = onWrite
  }

  /** Objects of a kind in a namespace, or in all. */
  async list(kind: AnyKind, namespace: string | undefined, { label, field }: Selectors = {}): Promise<Listed> {
    return this.#call('list', kind, async () => {
      if (isKind(kind)) return this.#listDeclared(kind, namespace)
      const list = await this.#objects.list(
        versionOf(kind),
        kind,
        namespace,
        ...[undefined, undefined, undefined],
        field,
        label,
      )
      const version = list.metadata?.resourceVersion ?? ''
      const items = list.items.map(item => ({ ...asText(item), apiVersion: versionOf(kind), kind }))
      return { items, resourceVersion: version }
    })
  }

  /** Path at which a kind is watched. */
  static path(kind: AnyKind, namespace: string | undefined): string {
    const version = versionOf(kind)
    const base = version.includes('/') ? `/apis/${version}` : `/api/${version}`
    const plural = isKind(kind) ? KIND_TABLE[kind].plural : PLURALS[kind]
    return namespace === undefined ? `${base}/${plural}` : `${base}/namespaces/${namespace}/${plural}`
  }

  /** Selector of the kinds of which only the operator's own objects matter. */
  static selector(kind: AnyKind): string | undefined {
    return kind === 'Secret' || kind === 'Deployment' || kind === 'PodDisruptionBudget' ? SELECTOR : undefined
  }

  /** The object as it is; undefined when there is none. */
  async read({ apiVersion, kind, metadata: { name, namespace = '' } }: KubeObject): Promise<KubeObject | undefined> {
    try {
      return await this.#call('get', kind, () =>
        this.#objects.read({ apiVersion, kind, metadata: { name, namespace } }),
      )
    } catch (error) {
      if (error instanceof ProviderError && error.code === 'not_found') return undefined
      throw error
    }
  }

  async apply(object: KubeObject, manager: string = FIELD_MANAGER): Promise<KubeObject> {
    return this.#write('apply', object.kind, () =>
      this.#objects.patch(typed(object), ...[undefined, undefined], manager, true, PatchStrategy.ServerSideApply),
    )
  }

  /** Undefined when there is one already. */
  async create(object: KubeObject): Promise<KubeObject | undefined> {
    try {
      return await this.#write('create', object.kind, () =>
        this.#objects.create(typed(object), ...[undefined, undefined], FIELD_MANAGER),
      )
    } catch (error) {
      if (error instanceof ProviderError && error.code === 'conflict') return undefined
      throw error
    }
  }

  async remove({ apiVersion, kind, metadata }: KubeObject): Promise<void> {
    const { name, namespace, uid } = metadata
    const object = { apiVersion, kind, metadata: { name, ...(namespace === undefined ? {} : { namespace }) } }
    try {
      await this.#write('delete', kind, () =>
        this.#objects.delete(object, undefined, undefined, undefined, undefined, 'Background', {
          ...(uid === undefined ? {} : { preconditions: { uid } }),
        }),
      )
    } catch (error) {
      // Another of the same name stands there, or none: in both cases ours is gone.
      const isGone = error instanceof ProviderError && (error.code === 'not_found' || error.code === 'conflict')
      if (!isGone) throw error
    }
  }

  /** Undefined when the object is gone. */
  async writeStatus({ kind, metadata }: Declared, status: Statuses[Kind]): Promise<KubeObject | undefined> {
    const { name, namespace, uid } = metadata
    const body = { apiVersion: API_VERSION, kind, metadata: { name, namespace, uid }, status }
    const { plural } = KIND_TABLE[kind]
    const where = { group: API_GROUP, version: API_NAME, plural, namespace, name }
    try {
      return await this.#write('apply', `${kind}/status`, () =>
        this.#custom.patchNamespacedCustomObjectStatus(
          { ...where, body, fieldManager: FIELD_MANAGER, force: true },
          APPLY,
        ),
      )
    } catch (error) {
      if (error instanceof ProviderError && (error.code === 'not_found' || error.code === 'conflict')) return undefined
      throw error
    }
  }

  async event(
    { apiVersion, kind, metadata }: Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'>,
    { type, reason, message }: ObjectEvent,
    { nowMs, instance, id }: { nowMs: number; instance: string; id: string },
  ): Promise<void> {
    const { name, namespace, uid } = metadata
    const body = {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: `${name}.${id}`, namespace },
      eventTime: microTime(nowMs),
      type,
      reason,
      note: message.slice(0, MAX_NOTE),
      action: 'Reconcile',
      reportingController: 'sallyport.dev/operator',
      reportingInstance: instance.slice(0, 128),
      regarding: { apiVersion, kind, name, namespace, uid },
    }
    await this.#write('create', 'Event', () =>
      this.#custom.createNamespacedCustomObject({ ...EVENTS, namespace: namespace ?? 'default', body }),
    )
  }

  async lease(namespace: string, name: string): Promise<Lease | undefined> {
    try {
      return await this.#call('get', 'Lease', () =>
        this.#custom.getNamespacedCustomObject({ ...LEASES, namespace, name }),
      )
    } catch (error) {
      if (error instanceof ProviderError && error.code === 'not_found') return undefined
      throw error
    }
  }

  /** Writes a Lease if nobody has meanwhile: else throws `conflict`. */
  async writeLease(lease: Lease): Promise<Lease> {
    const { name, namespace = 'default', resourceVersion } = lease.metadata
    return this.#write('update', 'Lease', () =>
      resourceVersion === undefined
        ? this.#custom.createNamespacedCustomObject({ ...LEASES, namespace, body: lease })
        : this.#custom.replaceNamespacedCustomObject({ ...LEASES, namespace, name, body: lease }),
    )
  }

  async #listDeclared(kind: Kind, namespace: string | undefined): Promise<Listed> {
    const where = { group: API_GROUP, version: API_NAME, plural: KIND_TABLE[kind].plural }
    const list: { items: KubeObject[]; metadata: { resourceVersion: string } } =
      namespace === undefined
        ? await this.#custom.listClusterCustomObject(where)
        : await this.#custom.listNamespacedCustomObject({ ...where, namespace })
    const items = list.items.map(item => ({ ...item, apiVersion: API_VERSION, kind }))
    return { items, resourceVersion: list.metadata.resourceVersion }
  }

  async #write<T>(verb: string, kind: string, call: () => Promise<unknown>): Promise<T> {
    this.#onWrite(verb, kind)
    return this.#call(verb, kind, call)
  }

  async #call<T>(verb: string, kind: string, call: () => Promise<unknown>): Promise<T> {
    try {
      // The API server answers with what the call names.
      return (await call()) as T
    } catch (cause) {
      throw providerError(verb, kind, cause)
    }
  }
}

/** A time as the API's MicroTime has it. */
export const microTime = (nowMs: number): string => new Date(nowMs).toISOString().replace('Z', '000Z')

function providerError(verb: string, kind: string, cause: unknown): ProviderError {
  if (!(cause instanceof ApiException)) {
    const detail = cause instanceof Error ? cause.message : String(cause)
    return new ProviderError('unavailable', `${verb} ${kind}: ${detail}`, { cause })
  }
  const text = typeof cause.body === 'string' ? cause.body : JSON.stringify(cause.body)
  const said = statusOf(text)
  // That answer comes without a body.
  const reason = cause.code === 401 ? UNAUTHORIZED : String(said.message ?? text).slice(0, 500)
  return new ProviderError(codeOf(cause.code, said), `${verb} ${kind}: ${reason} (${cause.code})`)
}

/** What the API server says of a failure; of which object it lacks only where that is what failed. */
type Status = { message?: string; details?: { name?: string } }

function codeOf(status: number, { details }: Status): ProviderError['code'] {
  // A path that is not served, or that something in between does not know, says nothing about an object.
  if (status === 404) return details?.name === undefined ? 'unavailable' : 'not_found'
  if (status === 409) return 'conflict'
  return isPassing(status) ? 'unavailable' : 'refused'
}

function statusOf(text = ''): Status {
  try {
    return Object(JSON.parse(text))
  } catch {
    return {}
  }
}

/** An object as a watch brings it: the typed client has made dates of its times, which are whole seconds. */
export function asText(object: object): KubeObject {
  return JSON.parse(
    JSON.stringify(object, function (this: Record<string, unknown>, key, value) {
      return this[key] instanceof Date ? value.replace('.000Z', 'Z') : value
    }),
  )
}

/** The typed client has dates where JSON, and what we hold, has texts. */
const typed = (object: KubeObject) => object as unknown as KubernetesObject
