import { type Clock, ControllerError, type Log, RuntimeError } from '@sallyport/runtime'
import { isKind, type Kind } from '@sallyport/schema'
import { type ApplyDeps, applyStep } from './apply.ts'
import type { MirrorChange } from './controller/mirror.ts'
import type { OperatorMetrics } from './metrics.ts'
import type { AnyKind, KubeObject } from './object.ts'
import { UnusableAuthority } from './plan/ca.ts'
import { isTold, type Plan, runnerOf, type Step } from './plan/step.ts'
import { ProviderError } from './provider.ts'
import { Queue } from './queue.ts'
import { RemovalGuard } from './removal-guard.ts'
import type { Change } from './store.ts'
import type { World } from './world.ts'

export type ReconcilerDeps = ApplyDeps & {
  world: World
  clock: Clock
  log: Log
  metrics: OperatorMetrics
  removalWaitSeconds: number
  resyncSeconds: number
}

/** Time for the first contact with the Controller, after which statuses say that there is none. */
const CONTACT_MS = 5_000
/** Longest time that a status waits for what the Controller says of a row that was just written. */
const ANSWER_MS = 500

/** Brings everything to rest: an event only puts keys into the queue, a key is gathered, planned and applied. */
export class Reconciler {
  readonly #deps: ReconcilerDeps
  readonly #queue: Queue
  readonly #guard: RemovalGuard
  #relistedAtMs: number | undefined
  #failed: AnyKind[] = []
  #listing: Promise<AnyKind[]> | undefined
  #listed = false
  #begun = false

  constructor(deps: ReconcilerDeps) {
    this.#deps = deps
    const { clock, log, metrics } = deps
    this.#queue = new Queue({
      clock,
      random: Math.random,
      isAwaited: key => this.#isAwaited(key),
      work: key => {
        metrics.reconciles.inc({ kind: key.split('/')[0]! })
        return this.#work(key)
      },
      onError: (key, error) => {
        metrics.failures.inc({ kind: key.split('/')[0]! })
        // What others said or did not say needs no stack.
        const isOutside = [ControllerError, RuntimeError, ProviderError, UnusableAuthority].some(
          kind => error instanceof kind,
        )
        if (isOutside) log.warn({ key, reason: String(error) }, 'work failed; it is tried again')
        else log.error({ key, err: error }, 'work failed; it is tried again')
      },
    })
    this.#guard = new RemovalGuard({
      ...deps,
      add: key => this.#queue.add(key),
      step: step => this.#step(step),
      list: () => this.#list(),
      failed: () => this.#failed,
      isListing: () => this.#listing !== undefined,
      isClosed: () => this.#queue.isClosed,
    })
  }

  /** Begins, once the provider has listed everything: with the CA, and with the rest when the Controller's rows are known. */
  begin(failed: AnyKind[]): void {
    const { clock, resyncSeconds, mirror } = this.#deps
    this.#took(failed)
    this.#listed = true
    this.#queue.add('authority')
    this.#queue.addAt('resync', clock.now() + resyncSeconds * 1000)
    this.#queue.addAt('all', clock.now() + (mirror.known ? 0 : CONTACT_MS))
  }

  objectChanged(change: Change): void {
    const { world } = this.#deps
    if (change.missing) {
      if (this.#begun) this.#guard.decideSoon()
      return
    }
    const concerned = world.concerned(change)
    if (change.gone !== undefined) this.#forgetRefusals(refusalsOf(change, world))
    if (!this.#listed) return
    for (const key of concerned) if (this.#begun || key === 'authority') this.#queue.add(key)
    if (change.gone !== 'told' || !isKind(change.kind)) return
    this.#guard.forget(change.kind, change.object)
  }

  controllerChanged(change: MirrorChange): void {
    const isFirst = !this.#begun && this.#deps.mirror.known
    if (!this.#listed || !(this.#begun || isFirst)) return
    if (isFirst || !('rows' in change)) {
      this.#queue.add('all')
      return
    }
    for (const { uid } of change.rows) for (const key of this.#deps.world.concernedByRow(uid)) this.#queue.add(key)
    // A row that was being written when its object was deleted comes after it.
    const { world, mirror } = this.#deps
    const isStray = change.rows.some(({ uid }) => !world.declares(uid) && mirror.row(uid) !== undefined)
    if (change.rows.length > 1 || isStray) this.#queue.add('removal')
  }

  get isIdle(): boolean {
    return this.#queue.isIdle
  }

  get queueLength(): number {
    return this.#queue.length
  }

  /** Whether a removal of many rows waits. */
  get isHolding(): boolean {
    return this.#guard.isHolding
  }

  /** When every kind was listed last. */
  get relistedAtMs(): number | undefined {
    return this.#relistedAtMs
  }

  close(): Promise<void> {
    return this.#queue.close()
  }

  /** Kinds of which a list has failed just now. */
  #took(failed: AnyKind[]): void {
    this.#failed = failed
    if (failed.length === 0) this.#relistedAtMs = this.#deps.clock.now()
  }

  #all(): undefined {
    const keys = this.#deps.world.allKeys()
    if (!this.#begun) this.#guard.begin(keys)
    this.#begun = true
    for (const key of keys) this.#queue.add(key)
    this.#guard.goOnWith(keys)
  }

  /** Lists everything again, one round at a time. */
  async #list(): Promise<void> {
    this.#listing ??= this.#deps.provider.resync().finally(() => {
      this.#listing = undefined
    })
    this.#took(await this.#listing)
  }

  /** What all rests on, what someone has changed and no status answers yet, and what has to be taken from people, goes first. */
  #isAwaited(key: string): boolean {
    const [kind, namespace, name] = key.split('/') as [string, string, string]
    if (!isKind(kind)) return ['authority', 'gone', 'names', 'sought'].includes(kind)
    const { metadata, status } = this.#deps.provider.store.get(kind, namespace, name) ?? {}
    return metadata !== undefined && status?.observedGeneration !== metadata.generation
  }

  async #work(key: string): Promise<number | undefined> {
    const [kind, namespace, name] = key.split('/') as [string, string, string]
    if (kind === 'authority') return this.#apply(this.#deps.world.planAuthority(this.#deps.now()))
    if (kind === 'names') return this.#names()
    if (kind === 'gone') return this.#guard.remove(key)
    if (kind === 'sought') return this.#guard.seek()
    if (kind === 'removal') return this.#guard.decide()
    if (kind === 'resync') return this.#resync()
    if (kind === 'all') return this.#all()
    if (!isKind(kind) && kind !== 'Service') return undefined
    return this.#guard.judge(
      key,
      () => this.#plan(kind, namespace, name),
      plan => this.#settle(key, plan),
    )
  }

  /** Undefined where there is nothing to plan for, or it is missing: then it stays as it is. */
  #plan(kind: Kind | 'Service', namespace: string, name: string): Plan | undefined {
    const { world, provider, now } = this.#deps
    if (provider.store.isMissing(kind, namespace, name)) return undefined
    return isKind(kind) ? world.plan(kind, namespace, name, now()) : world.planExposure(namespace, name, now())
  }

  async #settle(key: string, plan: Plan): Promise<number | undefined> {
    const [kind, namespace, name] = key.split('/') as [Kind | 'Service', string, string]
    const againAtMs = await this.#apply(plan)
    // Of whatever kind it is: only what all objects have is read.
    const object: KubeObject | undefined = this.#deps.provider.store.get(kind as 'Service', namespace, name)
    // What was refused and is no longer wanted, or has gone through, is told no more.
    if (object !== undefined && this.#forgetRefusals(this.#deps.world.writtenWith(kind, object))) this.#queue.add(key)
    return againAtMs
  }

  /** Forgets what was refused. Answers whether something was. */
  #forgetRefusals(uids: readonly string[]): boolean {
    const { mirror } = this.#deps
    const refused = uids.filter(uid => mirror.refusal(uid) !== undefined)
    for (const uid of refused) mirror.refused(uid, undefined)
    return refused.length > 0
  }

  async #apply({ steps, wakeAtMs }: Plan): Promise<number | undefined> {
    const states = steps.filter(isTold)
    try {
      for (const step of steps) if (!isTold(step)) await this.#step(step)
    } catch (error) {
      // People hear of it even where the work itself is stuck.
      for (const step of states) await this.#step(step)
      throw error
    }
    // The Controller answers a row with how far it is: one status then says both, where it answers in time.
    if (steps.some(step => step.do === 'putRow'))
      return Math.min(wakeAtMs ?? Number.POSITIVE_INFINITY, this.#deps.now() + ANSWER_MS)
    for (const step of states) await this.#step(step)
    return wakeAtMs
  }

  #names(): undefined {
    for (const key of this.#deps.world.renamed()) this.#queue.add(key)
  }

  /** Another may lead already when this one has been closed: what it has planned is done no more. */
  async #step(step: Step): Promise<void> {
    if (!this.#queue.isClosed) await applyStep(step, this.#deps)
  }

  async #resync(): Promise<number> {
    const { resyncSeconds, now } = this.#deps
    await this.#list()
    this.#all()
    this.#deps.metrics.resyncs.inc()
    return now() + resyncSeconds * 1000
  }
}

/** UIDs for which something may have been refused of an object that has gone. */
const refusalsOf = ({ kind, object }: Change, world: World) => [
  ...world.writtenWith(kind, object),
  runnerOf(object.metadata.uid ?? ''),
]
