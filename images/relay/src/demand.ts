import { MAX_IDLE_SOCKETS, MIN_IDLE_SOCKETS } from '@sallyport/wire'
import { DEMAND_LIFE_MS } from './limit.ts'

/** Share of the wanted sockets that must be idle, else more are wanted. */
const LOW_WATER = 1 / 4

/** How many idle sockets a Relay would like to have of a Connector: doubled when they run short, halved when they do not for a minute. */
export class Demand {
  #want = MIN_IDLE_SOCKETS
  #changedAtMs = 0

  get want(): number {
    return this.#want
  }

  /** A socket was taken and `idle` are left; true when more are wanted than before. */
  taken(idle: number, nowMs: number): boolean {
    if (idle >= this.#want * LOW_WATER) return false
    this.#changedAtMs = nowMs
    if (this.#want === MAX_IDLE_SOCKETS) return false
    this.#want = Math.min(MAX_IDLE_SOCKETS, this.#want * 2)
    return true
  }

  /** Time has passed; true when fewer are wanted than before. */
  sweep(nowMs: number): boolean {
    if (this.#want === MIN_IDLE_SOCKETS || nowMs - this.#changedAtMs < DEMAND_LIFE_MS) return false
    this.#changedAtMs = nowMs
    this.#want = Math.max(MIN_IDLE_SOCKETS, this.#want / 2)
    return true
  }
}
