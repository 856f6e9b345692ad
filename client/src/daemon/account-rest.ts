import { type Clock, type ControllerClient, createControllerClient, type ProxySettings } from '@sallyport/runtime'
import { type Parser, parser, WhyAnswer } from '@sallyport/schema'
import type { Profile } from '../login/profile.ts'
import type { TokenKeeper } from '../login/token-keeper.ts'
import { restFailure } from './rest-failure.ts'

type Reach = { profile: Profile; proxy: ProxySettings; clock: Clock }

const whyAnswer = parser(WhyAnswer)

/** The Controller's REST API with the credential of a login. */
export class AccountRest {
  readonly #client: ControllerClient

  constructor(reach: Reach, keeper: TokenKeeper) {
    this.#client = restOf(reach, reach.profile.controllerUrl, (method, url) => keeper.headers(method, url))
  }

  /** Throws ClientError. */
  async request<T>(method: 'GET' | 'POST', path: string, answer: Parser<T>): Promise<T> {
    try {
      return await this.#client.request({ method, path, answer })
    } catch (error) {
      throw restFailure(error)
    }
  }

  /** Asks about a destination outside of the map. Throws ClientError. */
  why(host: string, port: number): Promise<WhyAnswer> {
    const query = new URLSearchParams({ host, port: String(port), protocol: 'tcp' })
    return this.request('GET', `/v1/why?${query}`, whyAnswer)
  }

  close(): void {
    this.#client.close()
  }
}

/** REST client for a URL of the Controller, trusting the CA of the profile. */
export function restOf(
  { profile, proxy, clock }: Reach,
  url: string,
  headers?: (method: string, url: string) => Promise<Record<string, string>>,
): ControllerClient {
  return createControllerClient({
    url,
    proxy,
    clock,
    ...(profile.ca === undefined ? {} : { ca: () => profile.ca ?? '' }),
    ...(headers === undefined ? {} : { headers }),
  })
}
