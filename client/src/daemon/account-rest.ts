import { type Clock, type ControllerClient, createControllerClient, type ProxySettings } from '@sallyport/runtime'
import { type Parser, parser, WhyAnswer } from '@sallyport/schema'
import type { TokenKeeper } from '../login/token-keeper.ts'
import { restFailure } from './rest-failure.ts'

/** `ca`: PEM of the CA that is trusted; absent: the public ones. */
type Reach = { ca?: () => string; proxy: ProxySettings; clock: Clock }

const whyAnswer = parser(WhyAnswer)

/** The Controller's REST API with the credential of a login. */
export class AccountRest {
  readonly #client: ControllerClient

  constructor(reach: Reach, keeper: TokenKeeper) {
    this.#client = restOf(reach, keeper.profile.controllerUrl, (method, url) => keeper.headers(method, url))
  }

  /** Throws ClientError. */
  async request<T>(method: 'GET' | 'POST' | 'DELETE', path: string, answer: Parser<T>): Promise<T> {
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

/** REST client for a URL of the Controller. */
export function restOf(
  { ca, proxy, clock }: Reach,
  url: string,
  headers?: (method: string, url: string) => Promise<Record<string, string>>,
): ControllerClient {
  return createControllerClient({
    url,
    proxy,
    clock,
    ...(ca === undefined ? {} : { ca }),
    ...(headers === undefined ? {} : { headers }),
  })
}
