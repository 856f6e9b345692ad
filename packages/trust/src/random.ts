import { randomBytes } from 'node:crypto'
import { toBase64Url } from './bytes.ts'

/** Source of unpredictable bytes; replaced in tests. */
export type RandomBytes = (length: number) => Uint8Array

export const systemRandom: RandomBytes = length => randomBytes(length)

/** An id that nobody guesses: 128 bit, base64url. */
export function randomId(random: RandomBytes = systemRandom): string {
  return toBase64Url(random(16))
}

/** A secret of 256 bit, base64url. */
export function randomSecret(random: RandomBytes = systemRandom): string {
  return toBase64Url(random(32))
}
