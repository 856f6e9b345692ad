/** Connections that have proved nothing yet, oldest first, overall and for each source address. */
export class StrangerLimit<S> {
  readonly #all = new Map<S, string>()
  readonly #byAddress = new Map<string, Set<S>>()
  readonly #max: number
  readonly #maxPerAddress: number

  constructor({ max, maxPerAddress }: { max: number; maxPerAddress: number }) {
    this.#max = max
    this.#maxPerAddress = maxPerAddress
  }

  get size(): number {
    return this.#all.size
  }

  /** Counts `stranger` in; returns the one that must go for it, the oldest of its address or of all. */
  add(stranger: S, address: string): S | undefined {
    const own = this.#byAddress.get(address) ?? new Set()
    this.#byAddress.set(address, own)
    own.add(stranger)
    this.#all.set(stranger, address)
    const [oldestOfAddress] = own
    if (own.size > this.#maxPerAddress) return this.#evict(oldestOfAddress!)
    const [oldest] = this.#all.keys()
    return this.#all.size > this.#max ? this.#evict(oldest!) : undefined
  }

  /** `stranger` is gone, or is none any more. */
  delete(stranger: S): void {
    const address = this.#all.get(stranger)
    if (address === undefined) return
    this.#all.delete(stranger)
    const own = this.#byAddress.get(address)!
    own.delete(stranger)
    if (own.size === 0) this.#byAddress.delete(address)
  }

  *[Symbol.iterator](): Iterator<S> {
    yield* this.#all.keys()
  }

  #evict(stranger: S): S {
    this.delete(stranger)
    return stranger
  }
}
