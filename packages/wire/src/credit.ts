import type { Budget } from './budget.ts'
import { FIRST_WINDOW, FLOOR_CREDIT, MAX_FIRST_CREDIT, MAX_SESSION_CREDIT, MAX_WINDOW } from './limit.ts'

/** Credit of one stream towards the peer, as its receiver counts it. */
export class ReceiveCredit {
  /** Bytes that the peer may still send. */
  granted = FLOOR_CREDIT
  /** Bytes received and not consumed. */
  unconsumed = 0
  window = FIRST_WINDOW
  consumedInEpoch = 0
  epochAtMs = 0

  /** Bytes that may yet have to be held here. */
  get outstanding(): number {
    return this.granted + this.unconsumed
  }
}

/** Outstanding credit of all streams of a session, within the session's limit and the budget of the process. */
export class SessionCredit {
  readonly #budget: Budget
  #outstanding = 0

  constructor(budget: Budget) {
    this.#budget = budget
  }

  get outstanding(): number {
    return this.#outstanding
  }

  /** Counts the floor that a new stream has. */
  begin(credit: ReceiveCredit): void {
    this.#take(credit.outstanding)
  }

  /** Grants the rest of the first window, as far as there is room. Returns the bytes for CREDIT, or 0. */
  grantFirst(credit: ReceiveCredit, nowMs: number): number {
    credit.epochAtMs = nowMs
    const room = Math.min(MAX_FIRST_CREDIT - this.#outstanding, this.#budget.available)
    return this.#grant(credit, Math.min(FIRST_WINDOW - FLOOR_CREDIT, room))
  }

  /** Counts consumed bytes. Returns whether a CREDIT is due. */
  consume(credit: ReceiveCredit, bytes: number): boolean {
    credit.unconsumed -= bytes
    credit.consumedInEpoch += bytes
    this.#giveBack(bytes)
    return credit.outstanding <= credit.window / 2
  }

  /**
   * Grants up to the window, which doubles when half of it went within four round trips' share: then the window,
   * not the path or the reader, was the limit. Returns the bytes for CREDIT, or 0.
   */
  grant(credit: ReceiveCredit, nowMs: number, roundTripMs: number | undefined): number {
    this.#grow(credit, nowMs, roundTripMs)
    const room = Math.min(MAX_SESSION_CREDIT - this.#outstanding, this.#budget.available)
    const floor = FLOOR_CREDIT - credit.outstanding
    return this.#grant(credit, Math.max(floor, Math.min(credit.window - credit.outstanding, room)))
  }

  /** Gives back all that a stream has. */
  release(credit: ReceiveCredit): void {
    this.#giveBack(credit.outstanding)
    credit.granted = 0
    credit.unconsumed = 0
  }

  /** Gives back what the peer of a stream can no longer use after its FIN. */
  releaseGranted(credit: ReceiveCredit): void {
    this.#giveBack(credit.granted)
    credit.granted = 0
  }

  #grow(credit: ReceiveCredit, nowMs: number, roundTripMs: number | undefined): void {
    const elapsedMs = nowMs - credit.epochAtMs
    const share = credit.consumedInEpoch / credit.window
    if (roundTripMs !== undefined && share >= 0.5 && elapsedMs < 4 * share * roundTripMs) {
      credit.window = Math.min(credit.window * 2, MAX_WINDOW)
    }
    credit.consumedInEpoch = 0
    credit.epochAtMs = nowMs
  }

  #grant(credit: ReceiveCredit, wanted: number): number {
    if (wanted < MIN_GRANT && credit.outstanding > 0) return 0
    const bytes = Math.max(0, wanted)
    credit.granted += bytes
    this.#take(bytes)
    return bytes
  }

  #take(bytes: number): void {
    this.#outstanding += bytes
    this.#budget.take(bytes)
  }

  #giveBack(bytes: number): void {
    this.#outstanding -= bytes
    this.#budget.giveBack(bytes)
  }
}

/** Smaller grants are not worth a frame while the peer still has credit. */
const MIN_GRANT = FLOOR_CREDIT / 4
