import type { DeclaredKind, DeclaredRow } from '@sallyport/schema'
import type { Step } from './step.ts'

/** Removals up to this many are never held. */
export const HARMLESS = 20

/** A removal that waits, and when it is looked at again unless it is confirmed before. */
export type Hold = { sinceMs: number; nextMs: number; code: string }

export type RemovalWorld = {
  rows: readonly DeclaredRow[]
  /** UIDs that objects declare which no list lacks. */
  declared: ReadonlySet<string>
  /** UIDs that objects declare which would lose their row, or a Group in it, with an object that a list lacks. */
  falling: ReadonlySet<string>
  /** Kinds of which the last list failed. */
  failed: readonly DeclaredKind[]
  /** Whether the lists lack all that was known of a kind. */
  emptied: boolean
  hold: Hold | undefined
  /** Code with which a person has confirmed. */
  confirmed: string | undefined
  nowMs: number
  waitMs: number
  /** A code for a new hold. */
  code: string
}

export type Removal =
  | { kind: 'remove'; rows: DeclaredRow[] }
  | { kind: 'hold'; hold: Hold; count: number; of: number; isNew: boolean }

/**
 * Decides about rows that no object declares, and with them about those that would fall because an object that they name is missing. More than half
 * of all and more than 20 wait, and go on waiting while the lists are broken. Rows that fall are counted here and removed by the plans of their own
 * objects.
 */
export function planRemoval(world: RemovalWorld): Removal {
  const { rows, declared, falling, failed, hold, confirmed, nowMs, waitMs, code } = world
  // Of a kind that could not be listed nothing is known.
  const orphans = rows.filter(({ uid, kind }) => !declared.has(uid) && !failed.includes(kind))
  const count = orphans.length + rows.filter(({ uid }) => declared.has(uid) && falling.has(uid)).length
  const isMany = count > HARMLESS && count * 2 > rows.length
  if (!isMany || (hold !== undefined && confirmed === hold.code)) return { kind: 'remove', rows: orphans }
  const held = hold ?? { sinceMs: nowMs, nextMs: nowMs + waitMs, code }
  const isOver = nowMs - held.sinceMs >= waitMs
  if (isOver && !isBroken(world)) return { kind: 'remove', rows: orphans }
  const nextMs = nowMs < held.nextMs ? held.nextMs : nowMs + waitMs
  return { kind: 'hold', hold: { ...held, nextMs }, count, of: rows.length, isNew: hold === undefined }
}

/** UIDs of the rows that a plan would remove, or write again without one of their Groups. */
export function takenRows(steps: readonly Step[], hasRow: (uid: string) => boolean): string[] {
  return steps.flatMap(step => (isTaking(step) && hasRow(step.uid) ? [step.uid] : []))
}

/** Whether a step removes a row, or writes one without a Group that it names. */
export function isTaking(step: Step): step is Extract<Step, { do: 'deleteRow' | 'putRow' }> {
  if (step.do === 'deleteRow') return true
  return (
    step.do === 'putRow' && 'groups' in step.body && Array.isArray(step.body.groups) && step.body.groups.includes(null)
  )
}

/** A list has failed, or lacks a kind as a whole, or a kind that has rows has no object at all. */
function isBroken({ rows, declared, failed, emptied }: RemovalWorld): boolean {
  if (failed.length > 0 || emptied) return true
  const kinds = new Set(rows.map(({ kind }) => kind))
  return [...kinds].some(kind => !rows.some(row => row.kind === kind && declared.has(row.uid)))
}
