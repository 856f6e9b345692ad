import { MAX_KEPT_SOCKETS, MAX_WAITING_CLIENTS } from './limit.ts'

/** Gets the socket that was waited for, or undefined when none will come. */
export type Waiter<S> = (socket: S | undefined) => void

/** Idle sockets of one Connector, and the Clients that wait for one. */
export class SocketQueue<S> {
  readonly #idle = new Set<S>()
  readonly #waiting = new Set<Waiter<S>>()
  #closed = false

  get idle(): number {
    return this.#idle.size
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** Hands `socket` to whoever has waited longest, or keeps it unless there are too many. */
  offer(socket: S): 'taken' | 'kept' | 'refused' {
    if (this.#closed) return 'refused'
    const [first] = this.#waiting
    if (first !== undefined) {
      this.#waiting.delete(first)
      first(socket)
      return 'taken'
    }
    if (this.#idle.size >= MAX_KEPT_SOCKETS) return 'refused'
    this.#idle.add(socket)
    return 'kept'
  }

  /** Takes the socket that came last: the least likely to have been forgotten on the way. */
  take(): S | undefined {
    const last = [...this.#idle].at(-1)
    if (last !== undefined) this.#idle.delete(last)
    return last
  }

  /** Waits for a socket; false when too many do. */
  wait(waiter: Waiter<S>): boolean {
    if (this.#closed || this.#waiting.size >= MAX_WAITING_CLIENTS) return false
    this.#waiting.add(waiter)
    return true
  }

  cancel(waiter: Waiter<S>): void {
    this.#waiting.delete(waiter)
  }

  /** A socket is gone. */
  remove(socket: S): void {
    this.#idle.delete(socket)
  }

  /** Ends the waiting and gives back the idle sockets. */
  close(): S[] {
    this.#closed = true
    const idle = [...this.#idle]
    this.#idle.clear()
    for (const waiter of this.#waiting) waiter(undefined)
    this.#waiting.clear()
    return idle
  }
}
