/** Every way in which bytes of a peer can be wrong. */
export const wireErrorCodes = {
  unknown_type: 'A frame has a type below 128 that this version does not know.',
  frame_too_long: 'The body of a frame is longer than its type allows.',
  bad_length: 'The body of a frame has another length than its type has.',
  bad_stream: 'A frame stands on a stream where its type is not allowed.',
  bad_json: 'HELLO, READY or OPEN is not the JSON that it must be.',
  bad_number: 'A number in a frame is outside its range.',
  unexpected_frame: 'A frame came in a state, or from a side, in which it is not allowed.',
  unsupported_version: 'The peer speaks no version of the protocol that is spoken here.',
  id_not_rising: 'OPEN names a stream id that is not above all earlier ones.',
  unknown_stream: 'A frame names a stream that was never opened.',
  credit_overrun: 'DATA exceeds the credit of its stream.',
  credit_overflow: 'CREDIT raises the credit of a stream above its limit.',
  data_after_fin: 'DATA or FIN came after FIN.',
  data_before_opened: 'DATA or FIN came before the stream was opened.',
  ack_beyond_sent: 'The peer acknowledges frames that were never sent.',
  ack_backwards: 'The peer acknowledges fewer frames than it did before.',
  ack_overdue: 'The peer does not acknowledge and too much waits for it.',
  acl_too_large: 'A Client ACL exceeds its limit.',
  acl_piece: 'A piece of a Client ACL does not continue the one before.',
  open_flood: 'Too many streams were opened and abandoned before their answer.',
  ping_flood: 'Too many PINGs wait for their PONG.',
  resume_mismatch: 'A retransmitted frame is not the one that was interrupted, or the session is another.',
  resume_too_soon: 'The session was resumed less than a second ago.',
  bad_capability: 'Bytes or text are not a capability.',
  bad_server_name: 'A server name is empty, too long or has characters that names do not have.',
} as const

export type WireErrorCode = keyof typeof wireErrorCodes

/** The one error that input of a peer can cause in this package. */
export class WireError extends Error {
  override readonly name = 'WireError'
  readonly code: WireErrorCode

  constructor(code: WireErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
