import type { Duplex } from 'node:stream'
import type { OpenRequest, ResetCode } from '@sallyport/wire'
import type { NetworkView } from '../access/knowledge.ts'
import type { Candidate } from './candidate.ts'

/** A session with one Connector, as the pool uses it. */
export type LiveSession = {
  readonly connector: string
  readonly relay: string
  /** False from the moment on at which it takes no new streams. */
  readonly accepting: boolean
  /** Resolves when the Connector has connected. Rejects with {@link OpenRefused}. */
  open(request: OpenRequest, signal: AbortSignal): Promise<Duplex>
  /** Hands over a newer Client ACL of its network. */
  renewAcl(jwt: string): void
  /** Ends it in order. */
  close(): void
  /** Resolves, with the reason, when it has ended. */
  readonly ended: Promise<string>
}

/** A stream that was not opened, with the code of the Connector or of the session's end. */
export class OpenRefused extends Error {
  override readonly name = 'OpenRefused'
  readonly code: ResetCode

  constructor(code: ResetCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Whose fault a failed dial is, as far as can be told. `capability`: a fresh one may do. */
export type DialFault = 'relay' | 'connector' | 'capability' | 'self'

/** A way that did not lead to a session. */
export class DialFailed extends Error {
  override readonly name = 'DialFailed'
  readonly fault: DialFault

  constructor(fault: DialFault, message: string, options?: ErrorOptions) {
    super(message, options)
    this.fault = fault
  }
}

/** Makes a session by one way. Rejects with {@link DialFailed}. */
export type Dial = (
  network: NetworkView,
  candidate: Candidate,
  capability: string,
  signal: AbortSignal,
) => Promise<LiveSession>
