/** Something that is replaced with overlap (a signing key, a CA, a relay key): announced as `next`, used as `current`, trusted after its use until `untilMs`. */
export type Rotation<T> = { current: T; next?: T; retired: { item: T; untilMs: number }[] }

/** A rotation that has only begun. */
export function firstOf<T>(current: T): Rotation<T> {
  return { current, retired: [] }
}

/** Announces the successor: everyone learns to trust it before it is used. One announced earlier and not used is replaced. */
export function announce<T>(rotation: Rotation<T>, next: T): Rotation<T> {
  return { ...rotation, next }
}

/** Uses the announced successor from now on; what it replaces stays trusted until `untilMs`. Unchanged when none is announced. */
export function promote<T>({ current, next, retired }: Rotation<T>, untilMs: number): Rotation<T> {
  if (next === undefined) return { current, retired }
  return { current: next, retired: [...retired, { item: current, untilMs }] }
}

/** Leaves out what is no longer trusted at `nowMs`. */
export function prune<T>(rotation: Rotation<T>, nowMs: number): Rotation<T> {
  return { ...rotation, retired: rotation.retired.filter(({ untilMs }) => nowMs < untilMs) }
}

/** All that is trusted: the current one first, then the announced one, then the retired. */
export function trusted<T>({ current, next, retired }: Rotation<T>): T[] {
  return [current, ...(next === undefined ? [] : [next]), ...retired.map(({ item }) => item)]
}
