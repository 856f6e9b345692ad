import type { Log } from '@sallyport/runtime'
import { type DeclaredKind, type DeclaredRow, isKind, type Kind } from '@sallyport/schema'
import { randomId } from '@sallyport/trust'
import { type AnyKind, type KubeObject, nameOf } from './object.ts'
import { type Hold, isTaking, planRemoval, takenRows } from './plan/removal.ts'
import { type ControllerView, isTold, type Plan, type Step } from './plan/step.ts'
import type { Provider } from './provider.ts'
import type { World } from './world.ts'

export type RemovalDeps = {
  provider: Pick<Provider, 'store' | 'seek' | 'confirmation' | 'announce'>
  world: World
  mirror: Pick<ControllerView, 'known' | 'row'> & { rows(): DeclaredRow[] }
  log: Log
  removalWaitSeconds: number
  now: () => number
  /** Asks for work on a key: `removal` for {@link RemovalGuard.decide}, `gone/…` for `remove`, `sought/…` for `seek`, others for a plan. */
  add: (key: string) => void
  step: (step: Step) => Promise<void>
  /** Lists everything again. */
  list: () => Promise<void>
  /** Kinds of which the last list failed. */
  failed: () => readonly AnyKind[]
  /** Whether lists are under way, after which there is a decision anyway, or all has ended. */
  isLate: () => boolean
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

/** Sees to it that rows go when their objects have gone, and that a broken list takes none. */
export class RemovalGuard {
  readonly #deps: RemovalDeps
  /** Rows of what is known to have gone. */
  readonly #gone = new Map<string, { kind: DeclaredKind; uid: string }[]>()
  /** Keys of what a list lacks and may go, unless it is there by its name. */
  readonly #sought = new Set<string>()
  /** Keys for which no plan has been carried out since the start. */
  readonly #unjudged = new Set<string>()
  /** Rows that the first plan of a key would have taken: nobody knows yet whether that is for a broken list. */
  readonly #doubted = new Map<string, string[]>()
  #hold: Hold | undefined

  constructor(deps: RemovalDeps) {
    this.#deps = deps
  }

  /** Whether a removal of many rows waits. */
  get isHolding(): boolean {
    return this.#hold !== undefined
  }

  /** Decides nothing until a plan has been carried out for each of these keys. */
  begin(keys: readonly string[]): void {
    for (const key of keys) if (key !== 'authority') this.#unjudged.add(key)
  }

  /** Looks at everything again. What has gone before the rows were known gets no plan, and its rows go now. */
  lookAgain(keys: readonly string[]): void {
    const there = new Set(keys)
    for (const key of this.#unjudged) if (!there.has(key)) this.#unjudged.delete(key)
    for (const key of [...this.#gone.keys(), 'removal']) this.#deps.add(key)
  }

  /** Decides once what is being taken in, or planned, at this moment is whole. */
  decideSoon(): void {
    queueMicrotask(() => this.#deps.add('removal'))
  }

  /** Takes note that an object has gone. */
  forget(kind: Kind, object: KubeObject): void {
    const key = `gone/${object.metadata.uid}`
    this.#gone.set(key, this.#deps.world.rowsOf(kind, object))
    this.#deps.add(key)
  }

  /** Lets a plan be carried out; of a first one only what takes no row, until it is decided about that. */
  async judge(
    key: string,
    plan: Plan | undefined,
    carryOut: (plan: Plan) => Promise<number | undefined>,
  ): Promise<number | undefined> {
    const { mirror } = this.#deps
    // Before the rows are known no plan takes any.
    const isFirst = mirror.known && this.#unjudged.has(key)
    const isDoubted = mirror.known && plan !== undefined && this.#doubted.delete(key)
    try {
      if (plan === undefined) return undefined
      return await carryOut(isFirst || isDoubted ? this.#doubt(key, plan) : plan)
    } finally {
      // What a first plan makes may declare rows: those are counted when it is there.
      if (isFirst && this.#unjudged.delete(key) && this.#unjudged.size === 0) this.decideSoon()
    }
  }

  /** Removes the rows of what has gone. */
  async remove(key: string): Promise<undefined> {
    const { mirror, world, step } = this.#deps
    if (!mirror.known) return
    for (const row of this.#gone.get(key) ?? [])
      if (!world.declares(row.uid) && mirror.row(row.uid) !== undefined) await step({ do: 'deleteRow', ...row })
    this.#gone.delete(key)
  }

  /** It may be the list that is broken: only what is not there by its name either has gone. */
  async seek(key: string): Promise<undefined> {
    const { provider } = this.#deps
    const { store } = provider
    const [, kind, namespace, name] = key.split('/') as [string, AnyKind, string, string]
    const object: KubeObject | undefined = store.isMissing(kind, namespace, name)
      ? store.get(kind, namespace, name)
      : undefined
    if (object !== undefined && !(await provider.seek(kind, object)) && store.letGo(kind, object) && isKind(kind))
      this.forget(kind, object)
    this.#sought.delete(key)
  }

  /** Decides about rows that no object declares, and objects that lists lack. Answers when to look again while that waits. */
  async decide(): Promise<number | undefined> {
    const { mirror, provider, log, removalWaitSeconds, now, list, isLate } = this.#deps
    const hold = this.#hold
    const confirmed = hold === undefined ? undefined : await provider.confirmation()
    if (hold !== undefined && (confirmed === hold.code || now() >= hold.nextMs)) await list()
    // The last of the first plans asks for a decision itself.
    if (!mirror.known || isLate() || this.#unjudged.size > 0) return undefined
    const failed = this.#deps.failed()
    const missing = provider.store
      .missing()
      .filter(one => !failed.includes(one.kind) && !this.#sought.has(soughtKey(one)))
    const decision = planRemoval({
      ...this.#falling(missing),
      rows: mirror.rows(),
      failed: failed.flatMap(kind => (isKind(kind) ? ROW_KINDS[kind] : [])),
      hold,
      confirmed,
      nowMs: now(),
      waitMs: removalWaitSeconds * 1000,
      code: randomId(),
    })
    if (decision.kind === 'remove') return this.#goOn(missing, decision.rows)
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

  #doubt(key: string, plan: Plan): Plan {
    const taken = takenRows(plan.steps, uid => this.#deps.mirror.row(uid) !== undefined)
    if (taken.length === 0) return plan
    this.#doubted.set(key, taken)
    return { ...plan, steps: plan.steps.filter(step => !isTaking(step) && !isTold(step)) }
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

  async #goOn(missing: readonly Missing[], rows: readonly { kind: DeclaredKind; uid: string }[]): Promise<undefined> {
    const { world, add, step } = this.#deps
    for (const key of missing.map(soughtKey)) {
      this.#sought.add(key)
      add(key)
    }
    const doubted = [...this.#doubted.keys()]
    this.#doubted.clear()
    for (const key of doubted) add(key)
    for (const { kind, uid } of rows) {
      // An object may have come back while the others were removed.
      if (!world.declares(uid)) await step({ do: 'deleteRow', kind, uid })
    }
    this.#hold = undefined
  }
}

type Missing = { kind: AnyKind; object: KubeObject }

const soughtKey = ({ kind, object }: Missing) => `sought/${kind}/${nameOf(object)}`
