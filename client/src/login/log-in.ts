import { type Clock, createControllerClient, fetchPinnedCa, type ProxySettings, RuntimeError } from '@sallyport/runtime'
import type { KeyPair } from '@sallyport/trust'
import { restFailure } from '../daemon/rest-failure.ts'
import { ClientError } from '../error.ts'
import { VERSION } from '../version.ts'
import { logInByBrowser } from './code-flow.ts'
import { type LoginTarget, parseLoginUrl } from './login-url.ts'
import type { Profile, ProfileStore } from './profile.ts'
import { requestToken, type TokenAnswer } from './token-keeper.ts'

export type LogInOptions = {
  /** As the person typed it, with its pin. */
  url: string
  store: ProfileStore
  clock: Clock
  proxy: ProxySettings
  host: string
  platform: string
  browse: (url: string) => void
  /** Called before the new login takes the place of one that is there. */
  beforeTrade: () => Promise<void>
  signal: AbortSignal
}

/** Logs in: establishes trust in the Controller, then sends the person to the browser. Throws ClientError. */
export async function logIn(options: LogInOptions): Promise<{ profile: Profile; keys: KeyPair; answer: TokenAnswer }> {
  const { store, clock, proxy, browse, signal } = options
  const target = parseLoginUrl(options.url)
  const [ca, keys] = await Promise.all([trustedCa(target, options), store.deviceKey()])
  const rest = createControllerClient({
    url: new URL(target.url).origin,
    proxy,
    clock,
    ...(ca === undefined ? {} : { ca: () => ca }),
  })
  const now = () => clock.now()
  let answer: TokenAnswer | undefined
  try {
    await logInByBrowser({
      url: target.url,
      rest,
      keys,
      clock,
      browse,
      signal,
      trade: async grant => {
        await options.beforeTrade()
        answer = await requestToken(
          { rest, keys, now },
          { url: target.url, controllerUrl: target.url },
          {
            grant_type: 'authorization_code',
            ...grant,
            device_host: options.host,
            device_platform: options.platform,
            device_version: VERSION,
          },
        )
      },
    })
  } catch (error) {
    throw failureOf(error, target)
  } finally {
    rest.close()
  }
  if (answer === undefined) throw new ClientError('login_failed', 'there was no answer')
  const profile = { url: target.url, controllerUrl: answer.controller_url, ...(ca === undefined ? {} : { ca }) }
  return { profile, keys, answer }
}

/** The CA that must vouch for the Controller: the pinned one; else the one pinned at an earlier login; else the public ones. */
async function trustedCa({ url, pin }: LoginTarget, { store, proxy, clock, signal }: LogInOptions) {
  const { origin, hostname, port } = new URL(url)
  if (pin === undefined) {
    const known = await store.read()
    return known !== undefined && new URL(known.url).origin === origin ? known.ca : undefined
  }
  try {
    const host = hostname.replace(/^\[(.*)\]$/, '$1')
    return await fetchPinnedCa(host, port === '' ? 443 : Number(port), pin, { proxy, clock, signal })
  } catch (error) {
    throw failureOf(error, { url })
  }
}

function failureOf(error: unknown, { url }: LoginTarget): ClientError {
  if (error instanceof RuntimeError && error.code === 'pin_mismatch') {
    return new ClientError('untrusted_controller', `${url} does not show the pinned CA`, { cause: error })
  }
  if (error instanceof RuntimeError && error.code === 'tls_failed') {
    return new ClientError('untrusted_controller', `${url} did not prove to be who it must be: ${error.message}`, {
      cause: error,
      hint: 'With a private CA, log in with the pin: sallyport login https://…#sha256:<pin>.',
    })
  }
  const failure = restFailure(error)
  return failure.code === 'controller_refused'
    ? new ClientError('login_failed', failure.message, { cause: error })
    : failure
}
