import k8sOperator from '@dot-i/k8s-operator'
import {
  type KubeConfig,
  type KubernetesListObject,
  type KubernetesObject,
  ListWatch,
  Watch,
} from '@kubernetes/client-node'
import type { Clock, Log } from '@sallyport/runtime'
import type { KubeObject } from '../object.ts'

/** Wait before a watch that has failed begins again with a list; in a namespace that is not there. */
const [RETRY_MS, ABSENT_RETRY_MS] = [1_000, 10_000]
/** After this much silence client-node begins a watch anew: a quiet one is answered at least that often. */
const WATCH_SILENCE_MS = 30_000

// A CommonJS module with a member `default`: Node gives the module, bundlers and test runners that member.
const Operator = 'default' in k8sOperator ? k8sOperator.default : (k8sOperator as never)

/** A whole list, and the version from which a watch goes on. */
export type Listed = { items: KubeObject[]; resourceVersion: string }

/** One kind, in one namespace or all, as an informer follows it. */
export type Source = {
  name: string
  path: string
  labelSelector?: string | undefined
  fieldSelector?: string | undefined
  list: () => Promise<Listed>
  /** What is kept of an object. */
  shape: (object: KubeObject) => KubeObject
  /** Whether its namespace is known not to be there: then it is refused like everything, and is empty. */
  isAbsent: () => boolean
  /** A whole list, and its version; undefined where nothing is listed because there can be nothing. */
  onList: (objects: KubeObject[], version?: string) => void
  onPut: (object: KubeObject) => void
  onGone: (object: KubeObject) => void
}

export type FollowDeps = {
  config: KubeConfig
  clock: Clock
  log: Log
  /** How long a source may be without list or watch until it counts as out of date. */
  staleMs: number
  onFailure: (source: string) => void
}

/**
 * The base class of @dot-i/k8s-operator with client-node's informers underneath. Of the base class as it ships (1.3.9) nothing watches: it
 * exits on a watch error, loses deletes and swallows what handlers throw.
 */
export class InformerOperator extends Operator {
  readonly #deps: FollowDeps
  readonly #follows = new Map<string, Follow>()

  constructor(deps: FollowDeps) {
    const { log } = deps
    super({
      debug: message => log.debug(message),
      info: message => log.info(message),
      warn: message => log.warn(message),
      error: message => log.error(message),
    })
    this.kubeConfig = deps.config
    this.#deps = deps
  }

  protected override async init(): Promise<void> {}

  /** Follows a source; resolves when it has been listed once. */
  follow(source: Source): Promise<void> {
    const follow = new Follow(source, this.#deps)
    this.#follows.set(source.name, follow)
    return follow.start()
  }

  /** Lists every source again. Answers the names of those that failed. */
  async relist(): Promise<string[]> {
    const results = await Promise.all(
      [...this.#follows].map(async ([name, follow]) => ((await follow.relist()) ? [] : [name])),
    )
    return results.flat()
  }

  /** The first source that is out of date, and why. */
  stale(): string | undefined {
    for (const follow of this.#follows.values()) {
      const reason = follow.stale()
      if (reason !== undefined) return reason
    }
    return undefined
  }

  override stop(): void {
    super.stop()
    for (const follow of this.#follows.values()) follow.stop()
  }
}

/** A watch (after 30 s of silence it begins anew) that does not begin once it has been closed: an informer may be about to begin one when it is stopped. */
class ClosableWatch extends Watch {
  closed = false
  readonly #shape: Source['shape']
  readonly #onAnswer: () => void
  readonly #onGone: Source['onGone']

  constructor(config: KubeConfig, { shape, onGone }: Source, onAnswer: () => void) {
    super(config)
    this.#shape = shape
    this.#onGone = onGone
    this.#onAnswer = onAnswer
  }

  /** The informer keeps every object that it is handed, so that it is handed no more than is kept. */
  override async watch(...[path, query, callback, done]: Parameters<Watch['watch']>): Promise<AbortController> {
    const shaped: typeof callback = (phase, object, event) => {
      if (!this.closed) this.#onAnswer()
      const kept = phase === 'ERROR' || phase === 'BOOKMARK' ? object : this.#shape(object)
      // The informer says "delete" of what a list lacks as well.
      if (phase === 'DELETED' && !this.closed) this.#onGone(kept)
      callback(phase, kept, event)
    }
    let failed = false
    const ended: typeof done = error => {
      failed ||= error !== null && error !== undefined
      done(error)
    }
    const begin = async () => {
      try {
        return await super.watch(path, query, shaped, ended)
      } catch (error) {
        // Nobody hears what is thrown here when the informer begins a watch anew.
        ended(error)
        return new AbortController()
      }
    }
    const controller = this.closed ? new AbortController() : await begin()
    if (this.closed) controller.abort()
    else if (!failed) this.#onAnswer()
    return controller
  }
}

class Follow {
  readonly #source: Source
  readonly #deps: FollowDeps
  #informer: ListWatch<KubernetesObject> | undefined
  #watch: ClosableWatch | undefined
  #failedAtMs: number | undefined
  #answeredAtMs: number
  #reason = ''
  #stopped = false

  constructor(source: Source, deps: FollowDeps) {
    this.#source = source
    this.#deps = deps
    this.#answeredAtMs = deps.clock.monotonic()
  }

  async start(): Promise<void> {
    await new Promise<void>(resolve =>
      this.#begin(resolve, () => {
        if (this.#stopped) resolve()
      }),
    )
  }

  /** A fresh list, and a fresh watch from there. */
  relist(): Promise<boolean> {
    return new Promise(resolve => {
      this.#end()
      this.#begin(
        () => resolve(true),
        () => resolve(false),
      )
    })
  }

  stale(): string | undefined {
    const { clock, staleMs } = this.#deps
    const nowMs = clock.monotonic()
    if (this.#failedAtMs !== undefined && nowMs - this.#failedAtMs >= staleMs)
      return `${this.#source.name}: ${this.#reason}`
    const silentMs = nowMs - this.#answeredAtMs
    // A watch that is never answered does not fail either: it is begun anew, time and again.
    if (silentMs < WATCH_SILENCE_MS + staleMs) return undefined
    return `${this.#source.name}: no word from the API server for ${Math.round(silentMs / 1000)} s`
  }

  stop(): void {
    this.#stopped = true
    this.#end()
  }

  /** `onFailed` hears as well of a list that was overtaken by another before it failed. */
  #begin(onListed: () => void, onFailed: () => void): void {
    if (this.#stopped) {
      onListed()
      return
    }
    const { path, labelSelector, fieldSelector, shape, onPut } = this.#source
    const watch = new ClosableWatch(this.#deps.config, this.#source, () => this.#answered())
    const list = async (): Promise<KubernetesListObject<KubernetesObject>> => {
      const { items: whole, resourceVersion } = await this.#source.list()
      const items = whole.map(shape)
      if (!watch.closed) this.#source.onList(items, resourceVersion)
      this.#failedAtMs = undefined
      this.#answered()
      onListed()
      // The typed client has dates where JSON has texts.
      const typed = items as unknown as KubernetesObject[]
      return { apiVersion: 'v1', kind: 'List', metadata: { resourceVersion }, items: typed }
    }
    const informer = new ListWatch<KubernetesObject>(path, watch, list, false, labelSelector, fieldSelector)
    const put = (object: KubernetesObject) => {
      if (!watch.closed) onPut(object as unknown as KubeObject)
    }
    const fail = (error: unknown) => {
      if (watch.closed) {
        // stop() aborts the request, which arrives here.
        onFailed()
        return
      }
      const isAbsent = this.#source.isAbsent()
      if (isAbsent) {
        this.#source.onList([])
        this.#failedAtMs = undefined
        this.#answered()
        onListed()
      } else {
        this.#failed(error)
        onFailed()
      }
      this.#end()
      this.#deps.clock.timer(isAbsent ? ABSENT_RETRY_MS : RETRY_MS, () => {
        if (this.#informer === undefined) this.#begin(onListed, onFailed)
      })
    }
    informer.on('add', put)
    informer.on('update', put)
    informer.on('error', fail)
    this.#informer = informer
    this.#watch = watch
    informer.start().catch(fail)
  }

  #answered(): void {
    this.#answeredAtMs = this.#deps.clock.monotonic()
  }

  #failed(error: unknown): void {
    this.#reason = error instanceof Error ? error.message : String(error)
    const { clock, log, onFailure } = this.#deps
    this.#failedAtMs ??= clock.monotonic()
    onFailure(this.#source.name)
    log.warn({ source: this.#source.name, reason: this.#reason }, 'a watch failed; it begins again with a list')
  }

  #end(): void {
    const [informer, watch] = [this.#informer, this.#watch]
    this.#informer = undefined
    if (watch !== undefined) watch.closed = true
    informer?.stop().catch(() => undefined)
  }
}
