import { type Clock, ControllerError, type Log, RuntimeError } from '@sallyport/runtime'
import { type DeclaredKind, isKind, type Kind } from '@sallyport/schema'
import { randomId } from '@sallyport/trust'
import { type ApplyDeps, applyStep } from './apply.ts'
import type { Mirror, MirrorChange } from './controller/mirror.ts'
import type { OperatorMetrics } from './metrics.ts'
import type { AnyKind } from './object.ts'
import { type Hold, planRemoval } from './plan/removal.ts'
import type { Plan, Step } from './plan/step.ts'
import { type Provider, ProviderError } from './provider.ts'
import { Queue } from './queue.ts'
import type { Change } from './store.ts'
import type { World } from './world.ts'

export type ReconcilerDeps = ApplyDeps & {
  world: World
  provider: Provider
  mirror: Mirror
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

/** Brings everything to rest: an event only puts keys into the queue, a key is gathered, planned and applied. */
export class Reconciler {
  readonly #deps: ReconcilerDeps
  readonly #queue: Queue
  readonly #removals = new Map<string, { kind: DeclaredKind; uid: string }[]>()
  #relistedAtMs: number | undefined
  #failed: AnyKind[] = []
  #hold: Hold | undefined
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
        const isOutside = [ControllerError, RuntimeError, ProviderError].some(kind => error instanceof kind)
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
    const concerned = world.concerned(change)
    if (!this.#listed) return
    for (const key of concerned) if (this.#begun || key === 'authority') this.#queue.add(key)
    if (change.gone === undefined || !isKind(change.kind)) return
    if (change.gone === 'listed') this.#queue.add('removal')
    else this.#forget(change.object.metadata.uid ?? '', world.rowsOf(change.kind, change.object))
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
    this.#begun = true
    for (const key of this.#deps.world.allKeys()) this.#queue.add(key)
    this.#queue.add('removal')
  }

  /** What all rests on, what someone has changed and no status answers yet, and what has to be taken from people, goes first. */
  #isAwaited(key: string): boolean {
    const [kind, namespace, name] = key.split('/') as [string, string, string]
    if (!isKind(kind)) return ['authority', 'gone', 'names'].includes(kind)
    const { metadata, status } = this.#deps.provider.store.get(kind, namespace, name) ?? {}
    return metadata !== undefined && status?.observedGeneration !== metadata.generation
  }

  async #work(key: string): Promise<number | undefined> {
    const [kind, namespace, name] = key.split('/') as [string, string, string]
    if (kind === 'authority') return this.#apply(this.#deps.world.planAuthority(this.#deps.now()))
    if (kind === 'names') return this.#names()
    if (kind === 'gone') return this.#gone(key)
    if (kind === 'removal') return this.#removal()
    if (kind === 'resync') return this.#resync()
    if (kind === 'all') return this.#all()
    if (!isKind(kind) && kind !== 'Service') return undefined
    const { world, now } = this.#deps
    const plan = isKind(kind) ? world.plan(kind, namespace, name, now()) : world.planExposure(namespace, name, now())
    if (plan === undefined) return undefined
    const againAtMs = await this.#apply(plan)
    const { mirror } = this.#deps
    const refused = world.writtenWith(kind, namespace, name).filter(uid => mirror.refusal(uid) !== undefined)
    // What was refused and is no longer wanted, or has gone through, is told no more.
    for (const uid of refused) mirror.refused(uid, undefined)
    if (refused.length > 0) this.#queue.add(key)
    return againAtMs
  }

  async #apply({ steps, wakeAtMs }: Plan): Promise<number | undefined> {
    const states = steps.filter(isTold)
    try {
      for (const step of steps) if (!isTold(step)) await applyStep(step, this.#deps)
    } catch (error) {
      // People hear of it even where the work itself is stuck.
      for (const step of states) await applyStep(step, this.#deps)
      throw error
    }
    for (const step of states) await applyStep(step, this.#deps)
    return wakeAtMs
  }

  #names(): undefined {
    for (const key of this.#deps.world.renamed()) this.#queue.add(key)
  }

  async #gone(key: string): Promise<undefined> {
    const { mirror, world } = this.#deps
    if (!mirror.known) return
    for (const row of this.#removals.get(key) ?? []) {
      if (!world.declares(row.uid) && mirror.row(row.uid) !== undefined) {
        await applyStep({ do: 'deleteRow', ...row }, this.#deps)
      }
    }
    this.#removals.delete(key)
  }

  async #removal(): Promise<number | undefined> {
    const { mirror, world, provider, log, removalWaitSeconds, now } = this.#deps
    if (!mirror.known) return undefined
    const hold = this.#hold
    const confirmed = hold === undefined ? undefined : await provider.confirmation()
    const isDue = hold !== undefined && (confirmed === hold.code || now() >= hold.sinceMs + removalWaitSeconds * 1000)
    if (isDue) this.#took(await provider.resync())
    const decision = planRemoval({
      rows: mirror.rows(),
      declared: world.declaredUids(),
      failed: this.#failed.flatMap(kind => (isKind(kind) ? ROW_KINDS[kind] : [])),
      hold,
      confirmed,
      nowMs: now(),
      waitMs: removalWaitSeconds * 1000,
      code: randomId(),
    })
    if (decision.kind === 'hold') {
      this.#hold = decision.hold
      const { count, of, isNew, hold, wakeAtMs } = decision
      if (isNew) {
        const message = `${count} of ${of} rows would be removed, since no object declares them; this waits. To go on at once, confirm with ${hold.code}`
        log.warn({ count, of, code: hold.code }, 'a removal of many rows waits')
        await provider.announce({ type: 'Warning', reason: 'RemovalHeld', message })
      }
      return Math.min(wakeAtMs, now() + CONFIRM_POLL_MS)
    }
    this.#hold = undefined
    for (const { kind, uid } of decision.rows) {
      // An object may have come back while the others were removed.
      if (!world.declares(uid)) await applyStep({ do: 'deleteRow', kind, uid }, this.#deps)
    }
    return undefined
  }

  async #resync(): Promise<number> {
    const { provider, resyncSeconds, now } = this.#deps
    this.#took(await provider.resync())
    this.#all()
    this.#deps.metrics.resyncs.inc()
    return now() + resyncSeconds * 1000
  }
}

/** What is told to people comes last, and comes even when the rest has failed. */
const isTold = ({ do: what }: Step) => what === 'status' || what === 'event'
