import { authorize, type Decision, type Destination, rejudge } from '@sallyport/policy'
import type { ResetCode } from '@sallyport/wire'
import type { AccessState, ClientAcl } from './access-state.ts'

/** What a stream may do, asked of the session's Client ACL and the Connector's own state. `later`: an update on its way may allow it. */
export type Verdict =
  | { kind: 'allow'; decision: Extract<Decision, { allow: true }> }
  | { kind: 'deny'; code: ResetCode }
  | { kind: 'later'; code: ResetCode }

/** A stream that was allowed, from the decision on; also while its Resource is being dialled. */
export type LiveStream = {
  readonly destination: Destination
  /** Exclusive, on the Controller's clock. */
  endMs: number
  /** Ends both sides at once. */
  cut(code: ResetCode): void
}

/** What one device's session may do: its Client ACL and the streams that were allowed by it. All times are the Controller's. */
export class SessionAccess {
  readonly #state: AccessState
  readonly #live = new Set<LiveStream>()
  #acl: ClientAcl
  #firstEndMs = Number.POSITIVE_INFINITY

  constructor(state: AccessState, acl: ClientAcl) {
    this.#state = state
    this.#acl = acl
  }

  get acl(): ClientAcl {
    return this.#acl
  }

  get liveStreams(): number {
    return this.#live.size
  }

  /** Whether a floor stands above the session's ACL: only a newer one helps. */
  get isRevoked(): boolean {
    return this.#state.isRevoked(this.#acl)
  }

  /** Takes a newer ACL of the same device; false when it is not newer. */
  takeAcl(acl: ClientAcl): boolean {
    if (acl.device !== this.#acl.device || acl.rev < this.#acl.rev) return false
    // Renewals carry the same revision and a later end; an old one with the same revision must not shorten a life.
    if (acl.rev === this.#acl.rev && acl.endMs <= this.#acl.endMs) return false
    this.#acl = acl
    return true
  }

  /** Decides about a new stream. */
  judge(destination: Destination, nowMs: number): Verdict {
    const unservable = this.#state.unservable(nowMs)
    if (unservable !== undefined) return { kind: 'deny', code: 'expired' }
    if (this.isRevoked) return { kind: 'later', code: 'revoked' }
    const decision = authorize(this.#lists(), destination, nowMs)
    if (decision.allow) return { kind: 'allow', decision }
    return { kind: decision.reason === 'acl_mismatch' ? 'later' : 'deny', code: decision.reason }
  }

  /** From here on `stream` is judged again at every change. */
  add(stream: LiveStream): void {
    this.#live.add(stream)
    this.#firstEndMs = Math.min(this.#firstEndMs, stream.endMs)
  }

  remove(stream: LiveStream): void {
    this.#live.delete(stream)
  }

  /** Judges all streams again and cuts those that are no longer allowed. Returns how many. */
  rejudge(nowMs: number): number {
    const lists = this.#lists()
    this.#firstEndMs = Number.POSITIVE_INFINITY
    const unservable = this.#state.unservable(nowMs) !== undefined
    const revoked = this.isRevoked
    let cuts = 0
    for (const stream of [...this.#live]) {
      const verdict = rejudge(lists, stream.destination, nowMs)
      if (verdict.allow && !unservable && !revoked) {
        stream.endMs = verdict.endMs
        this.#firstEndMs = Math.min(this.#firstEndMs, verdict.endMs)
        continue
      }
      cuts++
      this.#live.delete(stream)
      stream.cut(verdict.allow ? (revoked ? 'revoked' : 'expired') : verdict.reason)
    }
    return cuts
  }

  /** Cuts every stream. */
  cutAll(code: ResetCode): void {
    for (const stream of [...this.#live]) {
      this.#live.delete(stream)
      stream.cut(code)
    }
  }

  /**
   * When `rejudge` is due by the clock alone: the first end of a stream, of the ACL, or of the Connector's own; earlier where the stream that
   * ended first has gone, and infinite when there is none.
   */
  get nextEndMs(): number {
    if (this.#live.size === 0) return Number.POSITIVE_INFINITY
    return Math.min(this.#firstEndMs, this.#state.aclEndMs ?? Number.POSITIVE_INFINITY)
  }

  #lists() {
    return { grants: this.#acl.grants, aclEndMs: this.#acl.endMs, rules: this.#state.rules }
  }
}
