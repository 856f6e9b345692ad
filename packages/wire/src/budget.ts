/** Bytes that many sessions share: what is used may exceed the limit, and who asks `available` then holds back. */
export class Budget {
  readonly limit: number
  #used = 0

  constructor(limit: number) {
    this.limit = limit
  }

  get used(): number {
    return this.#used
  }

  get available(): number {
    return Math.max(0, this.limit - this.#used)
  }

  take(bytes: number): void {
    this.#used += bytes
  }

  giveBack(bytes: number): void {
    this.#used -= bytes
  }
}
