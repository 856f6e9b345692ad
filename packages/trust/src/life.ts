/** When a token or certificate begins, and for how long it is good. */
export type Life = { nowMs: number; lifeSeconds: number }

/** `iat` and `exp` of a token, in whole seconds. */
export function timesOf({ nowMs, lifeSeconds }: Life): { iat: number; exp: number } {
  const iat = Math.floor(nowMs / 1000)
  return { iat, exp: iat + lifeSeconds }
}
