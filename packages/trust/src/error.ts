/** Every way in which a key, certificate or token of someone else can be wrong. */
export const trustErrorCodes = {
  malformed: 'It is not a compact JWS, PEM text or key of the form wanted here.',
  wrong_algorithm: 'It names another signature algorithm than the one wanted.',
  wrong_type: 'It is a token of another type.',
  unknown_key: 'No trusted key has its key id.',
  bad_signature: 'The signature does not fit.',
  wrong_issuer: 'It was issued by someone else.',
  wrong_audience: 'It was issued for someone else.',
  wrong_subject: 'It speaks of another subject.',
  bad_claims: 'A required claim is missing, or one has another form than its type has.',
  expired: 'It has expired.',
  clock_skew: 'It was issued in the future: one of the two clocks is wrong.',
  wrong_key: 'It is bound to another key than the one that was proved.',
  wrong_nonce: 'It answers another challenge.',
  wrong_connection: 'It was made for another TLS connection.',
  wrong_request: 'It was made for another HTTP method or URL, or for another access token.',
  wrong_certificate: 'It is not a certificate of a Connector or device of the tenant wanted.',
  cannot_open: 'It was sealed with another key or for another purpose, or was changed.',
} as const

export type TrustErrorCode = keyof typeof trustErrorCodes

/** The one error that hostile input can cause in this package. Messages never contain what was verified. */
export class TrustError extends Error {
  override readonly name = 'TrustError'
  readonly code: TrustErrorCode

  constructor(code: TrustErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
