import { type RelayRefusal, type ResetCode, refusalOfAlert, relayAlerts, resetCodes } from '@sallyport/wire'

/** Every way in which a tunnel fails to come about. */
export const tunnelErrorCodes = {
  capability_refused: relayAlerts.capability_refused.meaning,
  capability_expired: relayAlerts.capability_expired.meaning,
  connector_unknown: relayAlerts.connector_unknown.meaning,
  no_idle_socket: relayAlerts.no_idle_socket.meaning,
  relay_unreachable: 'No connection to the Relay could be made.',
  timeout: 'The other side did not complete the handshake in time.',
  aborted: 'The caller gave up.',
  connection_lost: 'The connection ended during the handshake.',
  handshake_failed: 'TLS could not agree, or the other side refused this one.',
  no_certificate: 'The other side has shown no certificate.',
  untrusted_certificate: "The certificate of the other side does not come from the tenant's CA.",
  certificate_not_current: 'The certificate of the other side has expired or is not valid yet.',
  wrong_identity: 'The certificate names another tenant, role or id than the one wanted.',
  pin_mismatch: 'The certificate has another key than the pinned one.',
  session_resumed: 'The TLS session was resumed from a ticket, which proves no key.',
  wrong_protocol: 'The other side does not speak this tunnel protocol.',
  too_many_handshakes: 'Too many handshakes are in progress.',
} as const satisfies Record<RelayRefusal | string, string>

export type TunnelErrorCode = keyof typeof tunnelErrorCodes

/** A tunnel that did not come about. Codes that a Relay's alerts cause are hints: unauthenticated, never a reason to forget anything. */
export class TunnelError extends Error {
  override readonly name = 'TunnelError'
  readonly code: TunnelErrorCode

  constructor(code: TunnelErrorCode, message: string = tunnelErrorCodes[code], options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** A stream that was refused or cut; `code` says why, and is what the peer hears when a stream is destroyed with it. */
export class StreamResetError extends Error {
  override readonly name = 'StreamResetError'
  readonly code: ResetCode

  constructor(code: ResetCode, message: string = resetCodes[code].meaning) {
    super(message)
    this.code = code
  }
}

/** Puts what Node says of a failed handshake into one of our codes. */
export function handshakeError(cause: unknown): TunnelError {
  if (cause instanceof TunnelError) return cause
  const message = cause instanceof Error ? cause.message : String(cause)
  const code = codeOf(cause instanceof Error && 'code' in cause ? String(cause.code) : message, message)
  return new TunnelError(code, `${tunnelErrorCodes[code]} (${message.trim()})`, { cause })
}

function codeOf(code: string, message: string): TunnelErrorCode {
  const alert = /SSL alert number (\d+)/.exec(message)?.[1]
  if (alert !== undefined) return refusalOfAlert(Number(alert)) ?? 'handshake_failed'
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') return 'certificate_not_current'
  if (UNTRUSTED.test(code) || UNTRUSTED.test(message)) return 'untrusted_certificate'
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return 'timeout'
  if (/peer did not return a certificate/i.test(message)) return 'no_certificate'
  if (/no application protocol/i.test(message)) return 'wrong_protocol'
  return LOST.has(code) ? 'connection_lost' : 'handshake_failed'
}

/** OpenSSL's verdicts on chains, as Node names them. */
const UNTRUSTED =
  /SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY)|CERT_(SIGNATURE_FAILURE|UNTRUSTED|REJECTED|CHAIN)|INVALID_(CA|PURPOSE)|certificate verify failed/
const LOST = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ERR_STREAM_PREMATURE_CLOSE'])
