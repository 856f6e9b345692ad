import { readFile } from 'node:fs/promises'
import type { IdentityProvider } from '@sallyport/schema'
import * as oidc from 'openid-client'
import { LoginError } from './error.ts'
import type { ProviderClaims } from './identity.ts'

/** Longest wait for one answer of a provider, in seconds. */
const PROVIDER_TIMEOUT = 10
/** Signature algorithms of ID tokens, the wanted one first. */
const ID_TOKEN_ALGORITHMS = ['RS256', 'ES256', 'PS256', 'EdDSA']

/** What is kept between the way to the provider and the way back. */
export type ProviderSecrets = { state: string; nonce: string; codeVerifier: string }

/** An identity provider as a relying party sees it. */
export type ProviderClient = {
  /** URL of the provider that the browser goes to. Throws {@link LoginError}. */
  begin(redirectUri: string, secrets: ProviderSecrets): Promise<string>
  /** Trades the provider's answer, the query of `callback`, for what it says about the person. Throws {@link LoginError}. */
  finish(callback: URL, secrets: ProviderSecrets): Promise<ProviderClaims>
}

/** How to reach a provider that is not on the network. */
export type ProviderAccess = {
  issuer: string
  clientId: string
  clientSecret?: string
  fetch?: oidc.CustomFetch
  /** Asks the provider not to go on with an account chosen before. */
  prompt?: string
}

/** Relying party for an OpenID Connect provider; its metadata is fetched at the first login and again after a failure. */
export function createProviderClient(provider: IdentityProvider, access?: ProviderAccess): ProviderClient {
  let discovered: Promise<oidc.Configuration> | undefined
  const configuration = () => {
    discovered ??= discover(provider, access).catch(error => {
      discovered = undefined
      throw error
    })
    return discovered
  }
  const scope = ['openid', ...(provider.scopes ?? ['email', 'profile'])].join(' ')

  return {
    begin: (redirectUri, { state, nonce, codeVerifier }) =>
      naming(async () => {
        const config = await configuration()
        const url = oidc.buildAuthorizationUrl(config, {
          redirect_uri: redirectUri,
          scope: access === undefined ? scope : `${scope} groups`,
          state,
          nonce,
          code_challenge: await oidc.calculatePKCECodeChallenge(codeVerifier),
          code_challenge_method: 'S256',
          ...(access?.prompt === undefined ? {} : { prompt: access.prompt }),
        })
        return url.href
      }),
    finish: (callback, { state, nonce, codeVerifier }) =>
      naming(async () => {
        const config = await configuration()
        const tokens = await oidc.authorizationCodeGrant(config, callback, {
          pkceCodeVerifier: codeVerifier,
          expectedState: state,
          expectedNonce: nonce,
          idTokenExpected: true,
        })
        const claims = tokens.claims()
        if (claims === undefined) throw new LoginError('bad_answer', 'the provider sent no ID token')
        const complete = claims.email !== undefined && claims[provider.groupsClaim ?? 'groups'] !== undefined
        if (complete || config.serverMetadata().userinfo_endpoint === undefined) return { ...claims }
        const more = await oidc.fetchUserInfo(config, tokens.access_token, claims.sub)
        return { ...more, ...claims }
      }),
  }
}

async function discover(provider: IdentityProvider, access?: ProviderAccess): Promise<oidc.Configuration> {
  const issuer = access?.issuer ?? provider.issuer
  const clientId = access?.clientId ?? provider.clientId
  if (issuer === undefined || clientId === undefined)
    throw new Error(`provider "${provider.name}" names no issuer or client`)
  const secret =
    access?.clientSecret ??
    (provider.clientSecretFile === undefined ? undefined : (await readFile(provider.clientSecretFile, 'utf8')).trim())
  const server = new URL(issuer)
  const found = await oidc.discovery(server, clientId, undefined, oidc.None(), {
    timeout: PROVIDER_TIMEOUT,
    execute: server.protocol === 'http:' ? [oidc.allowInsecureRequests] : [],
    ...(access?.fetch === undefined ? {} : { [oidc.customFetch]: access.fetch }),
  })
  const metadata = found.serverMetadata()
  const methods = metadata.token_endpoint_auth_methods_supported ?? ['client_secret_basic']
  const authentication =
    secret === undefined
      ? oidc.None()
      : methods.includes('client_secret_basic')
        ? oidc.ClientSecretBasic(secret)
        : oidc.ClientSecretPost(secret)
  const algorithms = metadata.id_token_signing_alg_values_supported ?? ['RS256']
  const algorithm = ID_TOKEN_ALGORITHMS.find(name => algorithms.includes(name)) ?? 'RS256'
  const config = new oidc.Configuration(metadata, clientId, { id_token_signed_response_alg: algorithm }, authentication)
  config.timeout = PROVIDER_TIMEOUT
  if (server.protocol === 'http:') oidc.allowInsecureRequests(config)
  if (access?.fetch !== undefined) config[oidc.customFetch] = access.fetch
  return config
}

async function naming<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw named(error)
  }
}

function named(error: unknown): LoginError {
  if (error instanceof LoginError) return error
  if (error instanceof oidc.AuthorizationResponseError) {
    return new LoginError('provider_refused', `the provider answered ${error.error}`, { cause: error })
  }
  if (error instanceof oidc.ResponseBodyError && error.status < 500) {
    return new LoginError('bad_answer', `the provider answered ${error.error}`, { cause: error })
  }
  const code = error instanceof oidc.ClientError ? error.code : undefined
  const status = error instanceof oidc.ClientError && error.cause instanceof Response ? error.cause.status : 0
  const fits = error instanceof oidc.ClientError && code !== 'OAUTH_TIMEOUT' && code !== 'OAUTH_ABORT' && status < 500
  if (fits) return new LoginError('bad_answer', `${code ?? 'the answer'} does not hold`, { cause: error })
  return new LoginError('provider_down', 'no usable answer from the provider', { cause: error })
}
