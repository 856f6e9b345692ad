// Codes of RESET and GOAWAY: u16 on the wire, stable for ever; a number is never used for another meaning.

type Code = { readonly number: number; readonly meaning: string }

/** Why a stream was refused or ended other than by FIN. */
export const resetCodes = {
  denied: { number: 1, meaning: 'The lists of Client and Connector do not both allow this destination.' },
  acl_mismatch: { number: 2, meaning: "The Connector does not know the rule that the Client's list names." },
  revoked: { number: 3, meaning: 'Access was taken away while the stream was open.' },
  expired: { number: 4, meaning: 'The grant or the list that allowed the stream has ended.' },
  name_not_found: { number: 5, meaning: 'The resolver of the Connector does not know the name.' },
  refused: { number: 6, meaning: 'The Resource refused the connection.' },
  timeout: { number: 7, meaning: 'The Resource did not answer in time.' },
  guarded_address: { number: 8, meaning: 'The name leads to an address that the destination guard keeps closed.' },
  draining: {
    number: 9,
    meaning: 'The Connector, or the Relay on the way to it, is shutting down and takes no new streams.',
  },
  connector_lost: { number: 10, meaning: 'The session ended because its Connector or every way to it was lost.' },
  not_granted: {
    number: 11,
    meaning: 'The Resource is not in the list of the Client or not in that of the Connector.',
  },
  port_not_granted: { number: 12, meaning: 'The Resource is granted, but not this port or protocol.' },
  unreachable: { number: 13, meaning: 'The network of the Connector has no way to the Resource.' },
  protocol_error: { number: 14, meaning: 'The peer broke the rules of the protocol.' },
  flow_control: { number: 15, meaning: 'More bytes were sent than were granted.' },
  closed: { number: 16, meaning: 'The application or the Resource cut its connection.' },
  internal: { number: 17, meaning: 'A fault that is nobody else’s.' },
  too_many_streams: { number: 18, meaning: 'The session has as many streams as it may have.' },
  cancelled: { number: 19, meaning: 'The opener gave up before there was an answer.' },
  login_required: { number: 20, meaning: 'The login is older than the Resource allows.' },
  controller_lost: { number: 21, meaning: 'The Connector has lost its Controller for longer than its network allows.' },
} as const satisfies Record<string, Code>

export type ResetCode = keyof typeof resetCodes

/** Why a session takes no new streams or ends. */
export const goawayCodes = {
  draining: {
    number: 1,
    meaning:
      'The Connector, or the Relay on the way to it, is shutting down; open streams may go on until it ends them.',
  },
  revoked: { number: 2, meaning: 'The device or its access was revoked.' },
  expired: { number: 3, meaning: 'The Client ACL has expired.' },
  session_unknown: { number: 4, meaning: 'The session to be resumed is not here or belongs to another key.' },
  acl_refused: { number: 5, meaning: 'The Client ACL is not valid here.' },
  too_many_sessions: { number: 6, meaning: 'The device has as many sessions as it may have.' },
  protocol_error: { number: 7, meaning: 'The peer broke the rules of the protocol.' },
  ids_exhausted: { number: 8, meaning: 'All stream ids of the session are used.' },
  unsupported_version: { number: 9, meaning: 'The peer speaks no version of the protocol that is spoken here.' },
  replaced: { number: 10, meaning: 'The same instance has begun another session.' },
  closed: { number: 11, meaning: 'The peer has no further use for the session.' },
} as const satisfies Record<string, Code>

export type GoawayCode = keyof typeof goawayCodes

const resetByNumber = byNumber(resetCodes)
const goawayByNumber = byNumber(goawayCodes)

/** Names the number of a RESET; one that this version does not know reads as `closed`. */
export function resetCodeOf(number: number): ResetCode {
  return resetByNumber.get(number) ?? 'closed'
}

/** Names the number of a GOAWAY; one that this version does not know reads as `closed`. */
export function goawayCodeOf(number: number): GoawayCode {
  return goawayByNumber.get(number) ?? 'closed'
}

function byNumber<T extends Record<string, Code>>(codes: T): Map<number, keyof T> {
  return new Map(Object.entries(codes).map(([name, { number }]) => [number, name as keyof T]))
}
