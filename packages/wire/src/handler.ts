import type { GoawayCode, ResetCode } from './code.ts'
import type { Ready } from './hello.ts'
import type { SessionStream } from './stream.ts'

/** What a session tells its owner. Calls come from within `receive`, `attach`, `tick`, `output` and `close`. */
export type SessionHandler = {
  /** There is something to `output` where there was nothing. */
  wake(): void
  /** Client: the Connector has accepted the carrier; streams of an earlier carrier go on. */
  ready?(ready: Ready): void
  /** Connector: a whole Client ACL has arrived, the first one or a renewal. */
  acl?(bytes: Uint8Array): void
  /** Connector: a stream is asked for; answer with `accept` or `reset`, at once or later. Never called before `acceptAcl`. */
  open?(stream: SessionStream): void
  /** The peer takes no new streams, or ends the session. */
  goaway?(code: GoawayCode): void
  /** The last stream is over: all of its bytes have been handed to the carrier, or one side has given them up. */
  idle?(): void
  /** A PONG has come. */
  roundTrip?(ms: number): void
  /** The carrier has been silent for too long; the owner detaches it. */
  carrierDead?(): void
  /** The session is over; every stream has had its `reset`. */
  closed?(code: ResetCode): void
}

/** What a stream tells its owner. Calls come as those of SessionHandler do. */
export type StreamHandler = {
  /** Client: the Connector has connected. */
  opened?(): void
  /** Bytes of the peer; the owner says `consumed` as it has dealt with them. */
  data(bytes: Uint8Array): void
  /** The peer has sent its last byte. */
  fin(): void
  /** The stream is over, by the peer's RESET or because the session is. Not called after the owner's own `reset`. */
  reset(code: ResetCode): void
  /** Bytes waiting to be sent have fallen to half of the high-water mark after `write` said no. */
  drained(): void
  datagram?(bytes: Uint8Array): void
}
