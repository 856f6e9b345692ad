/** Size of a buffer that bulk is read into. */
export const RING_BUFFER_BYTES = 256 * 1024
/** Buffers of a ring: one is read into while the others are written. */
export const RING_LENGTH = 3
const MAX_RINGS = 128
const MAX_FREE_RINGS = 8

/** Buffers of one direction of a tunnel, used in turn. */
export type Ring = readonly Buffer[]

/** Lends rings to the directions that carry bulk; memory is bounded, the others do without. */
export class RingPool {
  readonly #free: Ring[] = []
  #lent = 0

  get lent(): number {
    return this.#lent
  }

  borrow(): Ring | undefined {
    if (this.#lent >= MAX_RINGS) return undefined
    this.#lent++
    return this.#free.pop() ?? Array.from({ length: RING_LENGTH }, () => Buffer.allocUnsafeSlow(RING_BUFFER_BYTES))
  }

  /** Takes a ring back of which no byte is being read or written. */
  giveBack(ring: Ring): void {
    this.#lent--
    if (this.#free.length < MAX_FREE_RINGS) this.#free.push(ring)
  }
}
