import { type Clock, ControllerError, type Log, RuntimeError } from '@sallyport/runtime'
import { type DeclaredKind, isKind, type Kind } from '@sallyport/schema'
import { randomId } from '@sallyport/trust'
import { type ApplyDeps, applyStep } from './apply.ts'
import type { MirrorChange } from './controller/mirror.ts'
import type { OperatorMetrics } from './metrics.ts'
import { type AnyKind, type KubeObject, nameOf } from './object.ts'
import { UnusableAuthority } from './plan/ca.ts'
import { type Hold, isTaking, planRemoval, takenRows } from './plan/removal.ts'
import { type Plan, runnerOf, type Step } from './plan/step.ts'
import { ProviderError } from './provider.ts'
import { Queue } from './queue.ts'
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

const ROW_KINDS: Record<Kind, DeclaredKind> = {
  RemoteNetwork: 'network',
  Connector: 'connector',
  Resource: 'resource',
  Group: 'group',
  Relay: 'relay',
}
/** Interval at which a held removal looks for its confirmation. */
const CONFIRM_POLL_MS = 5_000
/** Time for the first contact with the Controller, after which statuses say that there is none. */
const CONTACT_MS = 5_000
/** Longest time that a status waits for what the Controller says of a row that was just written. */
const ANSWER_MS = 500

/** Brings everything to rest: an event only puts keys into the queue, a key is gathered, planned and applied. */
export class Reconciler {
  readonly #deps: ReconcilerDeps
  readonly #queue: Queue
  readonly #removals = new Map<string, { kind: DeclaredKind; uid: string }[]>()
  /** Keys of what a list lacks and may go, unless it is there by its name. */
  readonly #sought = new Set<string>()
  #relistedAtMs: number | undefined
  #failed: AnyKind[] = []
  #listing: Promise<AnyKind[]> | undefined
  #hold: Hold | undefined
  /** Keys for which no plan has been carried out since the start. */
  readonly #unjudged = new Set<string>()
  /** Rows that the first plan of a key would have taken: nobody knows yet whether that is for a broken list. */
  readonly #doubted = new Map<string, string[]>()
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
      this.#decideSoon()
      return
    }
    const concerned = world.concerned(change)
    if (change.gone !== undefined) this.#forgetRefusals(refusalsOf(change, world))
    if (!this.#listed) return
    for (const key of concerned) if (this.#begun || key === 'authority') this.#queue.add(key)
    if (change.gone !== 'told' || !isKind(change.kind)) return
    this.#forget(change.object.metadata.uid ?? '', world.rowsOf(change.kind, change.object))
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
    return this.#hold !== undefined
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

  #forget(uid: string, rows: { kind: DeclaredKind; uid: string }[]): void {
    this.#removals.set(`gone/${uid}`, rows)
    this.#queue.add(`gone/${uid}`)
  }

  #all(): undefined {
    const keys = this.#deps.world.allKeys()
    if (!this.#begun) for (const key of keys) if (key !== 'authority') this.#unjudged.add(key)
    this.#begun = true
    // What has gone before the rows were known gets no plan, and its rows go now.
    const there = new Set(keys)
    for (const key of this.#unjudged) if (!there.has(key)) this.#unjudged.delete(key)
    for (const key of [...keys, ...this.#removals.keys()]) this.#queue.add(key)
    this.#queue.add('removal')
  }

  /** Decides about removals once what is being taken in, or planned, at this moment is whole. */
  #decideSoon(): void {
    if (this.#begun) queueMicrotask(() => this.#queue.add('removal'))
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
    if (kind === 'gone') return this.#gone(key)
    if (kind === 'sought') return this.#seek(key)
    if (kind === 'removal') return this.#removal()
    if (kind === 'resync') return this.#resync()
    if (kind === 'all') return this.#all()
    if (!isKind(kind) && kind !== 'Service') return undefined
    // Before the rows are known no plan takes any.
    const isFirst = this.#deps.mirror.known && this.#unjudged.has(key)
    try {
      return await this.#settle(key, kind, [namespace, name], isFirst)
    } finally {
      // What a first plan makes may declare rows: those are counted when it is there.
      if (isFirst && this.#unjudged.delete(key) && this.#unjudged.size === 0) this.#decideSoon()
    }
  }

  async #settle(
    key: string,
    kind: Kind | 'Service',
    [namespace, name]: [string, string],
    isFirst: boolean,
  ): Promise<number | undefined> {
    const plan = this.#plan(key, kind, [namespace, name], isFirst)
    if (plan === undefined) return undefined
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

  /** Undefined where there is nothing to plan for, or it is missing: then it stays as it is. */
  #plan(key: string, kind: Kind | 'Service', [namespace, name]: [string, string], isFirst: boolean): Plan | undefined {
    const { world, provider, mirror, now } = this.#deps
    if (provider.store.isMissing(kind, namespace, name)) return undefined
    const isDoubted = mirror.known && this.#doubted.delete(key)
    const plan = isKind(kind) ? world.plan(kind, namespace, name, now()) : world.planExposure(namespace, name, now())
    const taken = isFirst || isDoubted ? takenRows(plan?.steps ?? [], uid => mirror.row(uid) !== undefined) : []
    if (plan === undefined || taken.length === 0) return plan
    this.#doubted.set(key, taken)
    return { ...plan, steps: plan.steps.filter(step => !isTaking(step) && !isTold(step)) }
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

  async #gone(key: string): Promise<undefined> {
    const { mirror, world } = this.#deps
    if (!mirror.known) return
    for (const row of this.#removals.get(key) ?? []) {
      if (!world.declares(row.uid) && mirror.row(row.uid) !== undefined) {
        await this.#step({ do: 'deleteRow', ...row })
      }
    }
    this.#removals.delete(key)
  }

  async #removal(): Promise<number | undefined> {
    const { mirror, provider, log, removalWaitSeconds, now } = this.#deps
    const hold = this.#hold
    const confirmed = hold === undefined ? undefined : await provider.confirmation()
    if (hold !== undefined && (confirmed === hold.code || now() >= hold.nextMs)) await this.#list()
    // A round that is under way, and the last of the first plans, ask for a decision themselves.
    if (!mirror.known || this.#listing !== undefined || this.#unjudged.size > 0 || this.#queue.isClosed)
      return undefined
    const missing = provider.store
      .missing()
      .filter(one => !this.#failed.includes(one.kind) && !this.#sought.has(soughtKey(one)))
    const decision = planRemoval({
      ...this.#falling(missing),
      rows: mirror.rows(),
      failed: this.#failed.flatMap(kind => (isKind(kind) ? ROW_KINDS[kind] : [])),
      hold,
      confirmed,
      nowMs: now(),
      waitMs: removalWaitSeconds * 1000,
      code: randomId(),
    })
    if (decision.kind === 'remove') return this.#remove(missing, decision.rows)
    this.#hold = decision.hold
    const { count, of, isNew } = decision
    const { code, nextMs } = decision.hold
    if (isNew) {
      const message = `${count} of ${of} rows would be removed, since no object declares them or what they name is missing; this waits. To go on at once, confirm with ${code}`
      log.warn({ count, of, code }, 'a removal of many rows waits')
      await provider.announce({ type: 'Warning', reason: 'RemovalHeld', message })
    }
    return Math.min(nextMs, now() + CONFIRM_POLL_MS)
  }

  /** What is declared without what is missing, and what would fall with that. */
  #falling(missing: readonly Missing[]): { declared: Set<string>; falling: Set<string>; emptied: boolean } {
    const { world, provider } = this.#deps
    const declared = new Set(world.declaredUids())
    for (const { kind, object } of missing)
      if (isKind(kind)) for (const { uid } of world.rowsOf(kind, object)) declared.delete(uid)
    const falling = missing.flatMap(({ kind, object }) => world.rowsFallingWith(kind, object))
    const isEmptied = (kind: AnyKind) => missing.filter(one => one.kind === kind).length === provider.store.count(kind)
    return {
      declared,
      falling: new Set([...falling, ...[...this.#doubted.values()].flat()]),
      emptied: [...new Set(missing.map(({ kind }) => kind))].some(isEmptied),
    }
  }

  async #remove(missing: readonly Missing[], rows: readonly { kind: DeclaredKind; uid: string }[]): Promise<undefined> {
    const { world } = this.#deps
    for (const key of missing.map(soughtKey)) {
      this.#sought.add(key)
      this.#queue.add(key)
    }
    const doubted = [...this.#doubted.keys()]
    this.#doubted.clear()
    for (const key of doubted) this.#queue.add(key)
    for (const { kind, uid } of rows) {
      // An object may have come back while the others were removed.
      if (!world.declares(uid)) await this.#step({ do: 'deleteRow', kind, uid })
    }
    this.#hold = undefined
  }

  /** It may be the list that is broken: only what is not there by its name either has gone. */
  async #seek(key: string): Promise<undefined> {
    const { world, provider } = this.#deps
    const { store } = provider
    const [, kind, namespace, name] = key.split('/') as [string, AnyKind, string, string]
    const object = store.isMissing(kind, namespace, name) ? store.get(kind, namespace, name) : undefined
    if (object !== undefined && !(await provider.seek(kind, object)) && store.letGo(kind, object) && isKind(kind))
      this.#forget(object.metadata.uid ?? '', world.rowsOf(kind, object))
    this.#sought.delete(key)
  }

  async #resync(): Promise<number> {
    const { resyncSeconds, now } = this.#deps
    await this.#list()
    this.#all()
    this.#deps.metrics.resyncs.inc()
    return now() + resyncSeconds * 1000
  }
}

type Missing = { kind: AnyKind; object: KubeObject }

const soughtKey = ({ kind, object }: Missing) => `sought/${kind}/${nameOf(object)}`

/** UIDs for which something may have been refused of an object that has gone. */
const refusalsOf = ({ kind, object }: Change, world: World) => [
  ...world.writtenWith(kind, object),
  runnerOf(object.metadata.uid ?? ''),
]

/** What is told to people comes last, and comes even when the rest has failed. */
const isTold = ({ do: what }: Step) => what === 'status' || what === 'event'
