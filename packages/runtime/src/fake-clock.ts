import type { Clock, Timer } from './clock.ts'

type Pending = { atMs: number; order: number; run: () => void }

/** A clock that stands still until it is told to advance; for tests. */
export class FakeClock implements Clock {
  #now: number
  #order = 0
  readonly #start: number
  readonly #pending = new Set<Pending>()

  constructor(now = 1_700_000_000_000) {
    this.#now = now
    this.#start = now
  }

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#now - this.#start
  }

  timer(delayMs: number, run: () => void): Timer {
    const pending = { atMs: this.#now + Math.max(0, delayMs), order: this.#order++, run }
    this.#pending.add(pending)
    return { cancel: () => void this.#pending.delete(pending) }
  }

  /** Timers that have not fired. */
  get timers(): number {
    return this.#pending.size
  }

  /** Lets `ms` pass, firing what falls due in order, timers among it that are set meanwhile. */
  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const next = [...this.#pending]
        .filter(({ atMs }) => atMs <= end)
        .sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0]
      if (next === undefined) break
      this.#pending.delete(next)
      this.#now = Math.max(this.#now, next.atMs)
      next.run()
    }
    this.#now = end
  }
}
