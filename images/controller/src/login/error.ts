import type { EmailProblem } from './identity.ts'

/** What a person can do nothing about in code: each ends a login with a page and a code for the Client. */
export const LOGIN_ERRORS = {
  bad_request: {
    status: 400,
    oauth: 'invalid_request',
    title: 'This login link is not complete',
    advice: 'Start again with `sallyport login`.',
  },
  bad_redirect: {
    status: 400,
    oauth: 'invalid_request',
    title: 'This login link leads elsewhere',
    advice: 'Only a `sallyport login` on this device may ask for a login. Do not follow links that others send you.',
  },
  unknown_provider: {
    status: 400,
    oauth: 'invalid_request',
    title: 'There is no such identity provider',
    advice: 'Start again with `sallyport login` and choose one that is offered.',
  },
  no_provider: {
    status: 503,
    oauth: 'server_error',
    title: 'No identity provider is configured',
    advice: 'Ask your administrator to configure one.',
  },
  provider_down: {
    status: 502,
    oauth: 'temporarily_unavailable',
    title: 'The identity provider does not answer',
    advice: 'Try again in a minute. If it stays so, tell your administrator.',
  },
  provider_refused: {
    status: 403,
    oauth: 'access_denied',
    title: 'The identity provider did not log you in',
    advice: 'Start again with `sallyport login`.',
  },
  bad_state: {
    status: 400,
    oauth: 'invalid_request',
    title: 'This login is over or was never started here',
    advice: 'Start again with `sallyport login`; use one browser from beginning to end.',
  },
  bad_answer: {
    status: 502,
    oauth: 'server_error',
    title: 'The answer of the identity provider does not fit this login',
    advice: 'Start again with `sallyport login`. If it stays so, tell your administrator.',
  },
  not_invited: {
    status: 403,
    oauth: 'access_denied',
    title: 'You are not invited',
    advice: 'Ask an administrator to put your e-mail address, or a group of yours, into a Group.',
  },
  no_email: {
    status: 403,
    oauth: 'access_denied',
    title: 'The identity provider does not tell your e-mail address',
    advice: 'Ask your administrator: the provider has to send the claim `email`.',
  },
  email_not_verified: {
    status: 403,
    oauth: 'access_denied',
    title: 'Your e-mail address is not verified',
    advice: 'Verify it with your identity provider, then log in again.',
  },
  email_domain_not_allowed: {
    status: 403,
    oauth: 'access_denied',
    title: 'This identity provider may not speak for your e-mail address',
    advice: 'Choose the provider of your organisation.',
  },
  email_taken: {
    status: 403,
    oauth: 'access_denied',
    title: 'Your e-mail address belongs to a person known from another identity provider',
    advice: 'Log in with the provider that you used before, or ask your administrator.',
  },
  user_blocked: {
    status: 403,
    oauth: 'access_denied',
    title: 'You are blocked',
    advice: 'Ask your administrator.',
  },
} as const satisfies Record<string, { status: number; oauth: string; title: string; advice: string }> &
  Record<EmailProblem, unknown>
export type LoginErrorCode = keyof typeof LOGIN_ERRORS

/** A login that ends here, for a reason that its page and the Client name. */
export class LoginError extends Error {
  readonly code: LoginErrorCode

  constructor(code: LoginErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'LoginError'
    this.code = code
  }
}

/** Error codes of the token endpoint (RFC 6749, section 5.2; RFC 9449, section 5). */
export type TokenErrorCode =
  | 'invalid_request'
  | 'invalid_grant'
  | 'invalid_client'
  | 'unsupported_grant_type'
  | 'invalid_dpop_proof'

/** A refusal of the token endpoint. */
export class TokenError extends Error {
  readonly code: TokenErrorCode

  constructor(code: TokenErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'TokenError'
    this.code = code
  }
}
