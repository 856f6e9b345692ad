const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const
const SHAPE = /^([0-9]{1,9})([smhd])$/

/** Seconds of a duration such as `30m` or `12h`. Throws TypeError for anything else: schemas refuse it before. */
export function durationSeconds(text: string): number {
  const [, count, unit] = SHAPE.exec(text) ?? []
  if (count === undefined || unit === undefined) throw new TypeError(`"${text}" is not a duration`)
  return Number(count) * SECONDS[unit as keyof typeof SECONDS] // The pattern admits no other unit.
}
