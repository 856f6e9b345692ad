import { parser, Type } from '@sallyport/schema'
import { LoginError } from './error.ts'
import { parseLoopbackRedirect } from './redirect.ts'

/** `client_id` of every Client: a public client (RFC 8252, section 8.4). */
export const CLIENT_ID = 'sallyport'

/** A Client's request for a login, checked. */
export type AuthorizeRequest = {
  redirectUri: string
  state: string
  codeChallenge: string
  /** Thumbprint (RFC 7638) of the device key that the tokens are to be bound to. */
  jkt: string
  /** Provider that the person chose. */
  provider?: string
}

const THUMBPRINT = Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' })
const query = parser(
  Type.Object({
    response_type: Type.Literal('code'),
    client_id: Type.Literal(CLIENT_ID),
    redirect_uri: Type.String({ maxLength: 200 }),
    state: Type.String({ minLength: 16, maxLength: 512, pattern: '^[A-Za-z0-9_.~-]+$' }),
    code_challenge: THUMBPRINT,
    code_challenge_method: Type.Literal('S256'),
    dpop_jkt: THUMBPRINT,
    provider: Type.Optional(Type.String({ minLength: 1, maxLength: 63 })),
  }),
)

/** Parses the query of `/oauth/authorize`. Throws {@link LoginError}. */
export function parseAuthorizeRequest(input: unknown): AuthorizeRequest {
  const redirect = typeof input === 'object' && input !== null ? Reflect.get(input, 'redirect_uri') : undefined
  if (typeof redirect === 'string' && parseLoopbackRedirect(redirect) === undefined) {
    throw new LoginError(
      'bad_redirect',
      'redirect_uri must be http://127.0.0.1:<port>/callback or http://[::1]:<port>/callback',
    )
  }
  if (!query.check(input)) {
    const [problem] = query.problems(input)
    throw new LoginError('bad_request', `${problem?.field ?? 'query'} ${problem?.message ?? 'is not as wanted'}`)
  }
  return {
    redirectUri: input.redirect_uri,
    state: input.state,
    codeChallenge: input.code_challenge,
    jkt: input.dpop_jkt,
    ...(input.provider === undefined ? {} : { provider: input.provider }),
  }
}
