/** Remembers ids that may be used once (`jti`), each until it is void anyway, at most `capacity` of them. */
export class ReplayGuard {
  readonly #untilMs = new Map<string, number>()
  readonly #capacity: number

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** True at the first use of `id`. False at any later one until `untilMs`, and for new ids while too many are remembered. */
  first(id: string, untilMs: number, nowMs: number): boolean {
    const known = this.#untilMs.get(id)
    if (known !== undefined && nowMs < known) return false
    this.#untilMs.delete(id)
    if (this.#untilMs.size >= this.#capacity) this.#forget(nowMs)
    if (this.#untilMs.size >= this.#capacity) return false
    this.#untilMs.set(id, untilMs)
    return true
  }

  /** Whether `id` has been used and is not void yet. */
  used(id: string, nowMs: number): boolean {
    return nowMs < (this.#untilMs.get(id) ?? Number.NEGATIVE_INFINITY)
  }

  #forget(nowMs: number): void {
    for (const [id, untilMs] of this.#untilMs) if (nowMs >= untilMs) this.#untilMs.delete(id)
  }
}
