import type { Clock, Timer } from '@sallyport/runtime'
import type { DeclaredRow } from '@sallyport/schema'

/** Longest time that Connectors are waited for: the longest back-off of their control channels is 30 s, and an attempt may take 20 s. */
const RETURN_MS = 60_000

/** Connectors that have enrolled and have not told the Controller of a Relay since it was reached: they may serve all the same. */
export class Homecoming {
  readonly #clock: Clock
  readonly #onOver: () => void
  readonly #awaited = new Set<string>()
  #timer: Timer | undefined

  /** `onOver` hears that nobody is waited for any more. */
  constructor(clock: Clock, onOver: () => void) {
    this.#clock = clock
    this.#onOver = onOver
  }

  /** Whether some are still waited for. */
  get isOver(): boolean {
    return this.#awaited.size === 0
  }

  /** Begins anew, with all rows as the Controller has them when it is reached. */
  begin(rows: Iterable<DeclaredRow>): void {
    this.close()
    for (const row of rows) if (isAway(row)) this.#awaited.add(row.uid)
    if (!this.isOver) this.#timer = this.#clock.timer(RETURN_MS, () => this.#end())
  }

  /** Takes note of a row that has changed. */
  changed(row: DeclaredRow): void {
    if (!isAway(row)) this.gone(row.uid)
  }

  gone(uid: string): void {
    if (this.#awaited.delete(uid) && this.isOver) this.#end()
  }

  close(): void {
    this.#timer?.cancel()
    this.#awaited.clear()
  }

  #end(): void {
    this.close()
    this.#onOver()
  }
}

/** A Connector is connected before it has told anything. One that drains is on its way out. */
const isAway = ({ slot }: DeclaredRow): boolean =>
  slot?.connectorId !== undefined && !slot.draining && !(slot.connected && slot.registered)
