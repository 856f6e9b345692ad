import type { Log } from '@sallyport/runtime'
import { type DeclaredKind, type DeclaredRow, isKind, type Kind } from '@sallyport/schema'
import { randomId } from '@sallyport/trust'
import { type AnyKind, type KubeObject, nameOf } from './object.ts'
import { HARMLESS, type Hold, isTaking, planRemoval, takenRows } from './plan/removal.ts'
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
  /** Asks for work on a key: `removal` for {@link RemovalGuard.decide}, `gone/…` for `remove`, `sought` for `seek`, others for a plan. */
  add: (key: string) => void
  step: (step: Step) => Promise<void>
  /** Lists everything again. */
  list: () => Promise<void>
  /** Kinds of which the last list failed. */
  failed: () => readonly AnyKind[]
  /** Whether lists are under way, after which there is a decision anyway. */
  isListing: () => boolean
  isClosed: () => boolean
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
/** Objects that are asked for at the same time. */
const SEEKS_AT_ONCE = 4

/** Sees to it that rows go when their objects have gone, and that a broken list takes none. */
export class RemovalGuard {
  readonly #deps: RemovalDeps
  /** Rows of what is known to have gone. */
  readonly #gone = new Map<string, { kind: DeclaredKind; uid: string }[]>()
  /** What a list lacks and may go, unless it is there by its name. */
  readonly #sought = new Map<string, Missing>()
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

  /** Goes on with these keys. What has gone before the rows were known is among them no more and gets no plan; its rows go now. */
  goOnWith(keys: readonly string[]): void {
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

  /** Makes a plan and lets it be carried out; of a first one only what takes no row, until it is decided about that. */
  async judge(
    key: string,
    makePlan: () => Plan | undefined,
    carryOut: (plan: Plan) => Promise<number | undefined>,
  ): Promise<number | undefined> {
    const { mirror } = this.#deps
    // Before the rows are known no plan takes any.
    const isFirst = mirror.known && this.#unjudged.has(key)
    if (isFirst) this.#doubted.set(key, [])
    try {
      const plan = makePlan()
      if (plan === undefined) return undefined
      const isDoubted = mirror.known && this.#doubted.delete(key)
      return await carryOut(isDoubted ? this.#doubt(key, plan) : plan)
    } finally {
      // What a first plan makes may declare rows: those are counted when it is there, or cannot be made.
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

  /** It may be the list that is broken: only what is not there by its name either has gone. Rejects for what cannot be asked for yet. */
  async seek(): Promise<undefined> {
    const waiting = [...this.#sought]
    const found: string[] = []
    const failures: unknown[] = []
    const seekSome = async () => {
      for (let next = waiting.shift(); next !== undefined && !this.#deps.isClosed(); next = waiting.shift()) {
        const [name, missing] = next
        await this.#isThere(missing).then(
          isThere => {
            this.#sought.delete(name)
            if (isThere) found.push(name)
            // Another may have taken its name, and be missing as well.
            else if (this.#isMissing(missing)) this.#deps.add('removal')
          },
          error => failures.push(error),
        )
      }
    }
    await Promise.all(Array.from({ length: SEEKS_AT_ONCE }, seekSome))
    if (found.length > 0)
      this.#deps.log.warn({ count: found.length, first: found[0] }, 'a list lacked what is there: it stays as it is')
    if (failures.length > 0) throw failures[0]
  }

  /** Decides about rows that no object declares, and objects that lists lack. Answers when to look again while that waits. */
  async decide(): Promise<number | undefined> {
    const { mirror, world, provider, log, removalWaitSeconds, now, list, isListing, isClosed } = this.#deps
    const hold = this.#hold
    const confirmed = hold === undefined ? undefined : await provider.confirmation()
    if (hold !== undefined && (confirmed === hold.code || now() >= hold.nextMs)) await list()
    // The last of the first plans asks for a decision itself.
    if (!mirror.known || isListing() || isClosed() || this.#unjudged.size > 0) return undefined
    const failed = this.#deps.failed()
    const lacking = provider.store.missing().filter(({ kind }) => !failed.includes(kind))
    // Of a few it is found out whether they have gone: then it is as if word had come, whatever rests on them.
    const fresh = lacking.filter(one => !this.#sought.has(textOf(one)))
    if (fresh.length <= HARMLESS) this.#ask(fresh)
    const missing = fresh.length <= HARMLESS ? [] : fresh
    // Rows of what is known to have gone are on their way out.
    const going = new Set([...this.#gone.values()].flatMap(rows => rows.map(({ uid }) => uid)))
    const decision = planRemoval({
      ...this.#falling(missing),
      rows: mirror.rows().filter(({ uid }) => world.declares(uid) || !going.has(uid)),
      emptied: this.#isEmptied(lacking),
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

  /** Whether an object that is still missing is there by its name; one that is not is let go. */
  async #isThere({ kind, object }: Missing): Promise<boolean> {
    const { provider } = this.#deps
    if (!this.#isMissing({ kind, object })) return false
    if (await provider.seek(kind, object)) return true
    if (provider.store.letGo(kind, object) && isKind(kind)) this.forget(kind, object)
    return false
  }

  #ask(missing: readonly Missing[]): void {
    for (const one of missing) this.#sought.set(textOf(one), one)
    if (missing.length > 0) this.#deps.add('sought')
  }

  #isMissing({ kind, object: { metadata } }: Missing): boolean {
    return this.#deps.provider.store.isMissing(kind, metadata.namespace ?? '', metadata.name)
  }

  #isEmptied(lacking: readonly Missing[]): boolean {
    const { store } = this.#deps.provider
    const kinds = lacking.map(({ kind }) => kind)
    return [...new Set(kinds)].some(kind => kinds.filter(one => one === kind).length === store.count(kind))
  }

  /** What is declared without what is missing, and what would fall with that. */
  #falling(missing: readonly Missing[]): { declared: Set<string>; falling: Set<string> } {
    const { world } = this.#deps
    const declared = new Set(world.declaredUids())
    for (const { kind, object } of missing)
      if (isKind(kind)) for (const { uid } of world.rowsOf(kind, object)) declared.delete(uid)
    const falling = missing.flatMap(({ kind, object }) => world.rowsFallingWith(kind, object))
    return { declared, falling: new Set([...falling, ...[...this.#doubted.values()].flat()]) }
  }

  async #goOn(missing: readonly Missing[], rows: readonly { kind: DeclaredKind; uid: string }[]): Promise<undefined> {
    const { world, mirror, add, step } = this.#deps
    this.#ask(missing)
    const doubted = [...this.#doubted.keys()]
    this.#doubted.clear()
    for (const key of doubted) add(key)
    for (const { kind, uid } of rows) {
      // What is missing declares its rows until it has been asked for; what is not may have come back meanwhile.
      if (!world.declares(uid) && mirror.row(uid) !== undefined) await step({ do: 'deleteRow', kind, uid })
    }
    this.#hold = undefined
  }
}

type Missing = { kind: AnyKind; object: KubeObject }

const textOf = ({ kind, object }: Missing) => `${kind} ${nameOf(object)}`
