import type { DeclaredKind, DeclaredRow } from '@sallyport/schema'

/** Removals up to this many are never held. */
const HARMLESS = 20

/** A removal that waits. */
export type Hold = { sinceMs: number; code: string }

export type RemovalWorld = {
  rows: readonly DeclaredRow[]
  /** UIDs that objects declare. */
  declared: ReadonlySet<string>
  /** Kinds of which the last list failed. */
  failed: readonly DeclaredKind[]
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
  | { kind: 'hold'; hold: Hold; count: number; of: number; isNew: boolean; wakeAtMs: number }

/** Decides about rows that no object declares. More than half of all and more than 20 wait, and go on waiting while the lists are broken. */
export function planRemoval(world: RemovalWorld): Removal {
  const { rows, declared, failed, hold, confirmed, nowMs, waitMs, code } = world
  // Of a kind that could not be listed nothing is known.
  const orphans = rows.filter(({ uid, kind }) => !declared.has(uid) && !failed.includes(kind))
  const isMany = orphans.length > HARMLESS && orphans.length * 2 > rows.length
  if (!isMany || (hold !== undefined && confirmed === hold.code)) return { kind: 'remove', rows: orphans }
  const held = hold ?? { sinceMs: nowMs, code }
  const isOver = nowMs - held.sinceMs >= waitMs
  if (isOver && !isBroken(rows, declared, failed)) return { kind: 'remove', rows: orphans }
  return {
    kind: 'hold',
    hold: held,
    count: orphans.length,
    of: rows.length,
    isNew: hold === undefined,
    wakeAtMs: isOver ? nowMs + waitMs : held.sinceMs + waitMs,
  }
}

/** A list has failed, or a kind that has rows has no object at all. */
function isBroken(
  rows: readonly DeclaredRow[],
  declared: ReadonlySet<string>,
  failed: readonly DeclaredKind[],
): boolean {
  if (failed.length > 0) return true
  const kinds = new Set(rows.map(({ kind }) => kind))
  return [...kinds].some(kind => !rows.some(row => row.kind === kind && declared.has(row.uid)))
}
