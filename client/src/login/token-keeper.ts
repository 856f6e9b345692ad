import { type Clock, type ControllerClient, ControllerError } from '@sallyport/runtime'
import { parser, type Static, Type } from '@sallyport/schema'
import { createDpopProof, type KeyPair, randomId } from '@sallyport/trust'
import { ClientError } from '../error.ts'
import type { Profile, ProfileStore } from './profile.ts'

/** `client_id` of every Client. */
export const CLIENT_ID = 'sallyport'
/** Share of an access token's life after which another one is fetched. */
const RENEW_AT = 2 / 3

const TokenAnswer = Type.Object({
  access_token: Type.String({ maxLength: 16_384 }),
  expires_in: Type.Integer({ minimum: 1 }),
  refresh_token: Type.String({ maxLength: 128 }),
  controller_url: Type.String({ maxLength: 2048, pattern: '^https://' }),
})
/** Answer of the token endpoint. */
export type TokenAnswer = Static<typeof TokenAnswer>
const tokenAnswer = parser(TokenAnswer)

export type KeeperOptions = {
  profile: Profile
  store: ProfileStore
  keys: KeyPair
  rest: ControllerClient
  clock: Clock
  /** Controller's time. */
  now: () => number
}

/** Holds the tokens of a login: renews the access token in time and keeps the refresh token on disk before it is needed. */
export class TokenKeeper {
  readonly #options: KeeperOptions
  #profile: Profile
  #access: { token: string; renewAtMs: number } | undefined
  #renewing: Promise<string> | undefined
  #saving: Promise<void> = Promise.resolve()

  constructor(options: KeeperOptions) {
    this.#options = options
    this.#profile = options.profile
  }

  get profile(): Profile {
    return this.#profile
  }

  /** Takes the answer to a code. */
  async accept(answer: TokenAnswer): Promise<void> {
    const { retryKey: _, ...profile } = this.#profile
    this.#profile = { ...profile, controllerUrl: answer.controller_url, refreshToken: answer.refresh_token }
    await this.#save()
    const renewAtMs = this.#options.clock.monotonic() + answer.expires_in * 1000 * RENEW_AT
    this.#access = { token: answer.access_token, renewAtMs }
  }

  /** An access token that is good for a while. Throws ClientError `login_required` when the login is over. */
  async accessToken(): Promise<string> {
    if (this.#access !== undefined && this.#options.clock.monotonic() < this.#access.renewAtMs)
      return this.#access.token
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined
    })
    return this.#renewing
  }

  /** Headers of a request (RFC 9449, section 7). */
  async headers(method: string, url: string): Promise<Record<string, string>> {
    const accessToken = await this.accessToken()
    const dpop = createDpopProof(this.#options.keys, { method, url, accessToken }, this.#options.now())
    return { authorization: `DPoP ${accessToken}`, dpop }
  }

  /** Forgets the access token: the Controller did not accept it. */
  discard(): void {
    this.#access = undefined
  }

  /** Takes a newer certificate of the CA that is trusted. */
  async keepCa(ca: string): Promise<void> {
    this.#profile = { ...this.#profile, ca }
    await this.#save()
  }

  /** Tells the Controller that the login is over. */
  async revoke(): Promise<void> {
    const token = this.#profile.refreshToken
    if (token === undefined) return
    await this.#options.rest.request({
      method: 'POST',
      path: `${loginPath(this.#profile)}/oauth/revoke`,
      form: { token },
    })
  }

  /** One write after the other, each of what holds then: an older one never comes last. */
  #save(): Promise<void> {
    const write = () => this.#options.store.write(this.#profile)
    this.#saving = this.#saving.then(write, write)
    return this.#saving
  }

  async #renew(): Promise<string> {
    const { refreshToken } = this.#profile
    if (refreshToken === undefined) throw new ClientError('login_required', 'there is no login')
    // On disk before it is sent: a crash between answer and write loses nothing.
    this.#profile = { ...this.#profile, retryKey: this.#profile.retryKey ?? randomId() }
    await this.#save()
    const answer = await requestToken(this.#options, this.#profile, {
      grant_type: 'refresh_token',
      refresh_token: refreshToken,
      retry_key: this.#profile.retryKey ?? '',
    }).catch(error => {
      if (isOver(error)) throw new ClientError('login_required', error.message, { cause: error })
      throw error
    })
    await this.accept(answer)
    return answer.access_token
  }
}

/** Asks the token endpoint of the profile's tenant. */
export function requestToken(
  { rest, keys, now }: Pick<KeeperOptions, 'rest' | 'keys' | 'now'>,
  profile: Pick<Profile, 'url' | 'controllerUrl'>,
  form: Record<string, string>,
): Promise<TokenAnswer> {
  const url = `${profile.url}/oauth/token`
  return rest.request({
    method: 'POST',
    path: `${loginPath(profile)}/oauth/token`,
    form: { client_id: CLIENT_ID, ...form },
    headers: { dpop: createDpopProof(keys, { method: 'POST', url }, now()) },
    answer: tokenAnswer,
  })
}

/** Path of the tenant's login below the host that REST requests go to. */
const loginPath = ({ url }: Pick<Profile, 'url'>) => new URL(url).pathname.replace(/\/+$/, '')

const isOver = (error: unknown): error is ControllerError =>
  error instanceof ControllerError && error.status === 400 && error.code === 'invalid_grant'
