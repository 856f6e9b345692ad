import {
  type ControllerClient,
  ControllerError,
  createControllerClient,
  type Method,
  type ProxySettings,
} from '@sallyport/runtime'
import { type DeclaredKind, EnrolmentToken, parser, RelayKeys, WriteResult } from '@sallyport/schema'

/** Path of each kind's rows. */
const PATHS: Record<DeclaredKind, string> = {
  network: 'networks',
  connector: 'connectors',
  resource: 'resources',
  group: 'groups',
  relay: 'relays',
}

const writeResult = parser(WriteResult)
const enrolmentToken = parser(EnrolmentToken)
const relayKeys = parser(RelayKeys)

/** The Controller's REST API as an operator uses it. Every call throws ControllerError or RuntimeError. */
export class DeclaredClient {
  readonly #client: ControllerClient
  readonly #onWrite: (method: Method, kind: DeclaredKind) => void

  constructor(
    options: { url: string; ca?: () => string | undefined; token: () => Promise<string>; proxy: ProxySettings },
    onWrite: (method: Method, kind: DeclaredKind) => void,
  ) {
    const { url, ca, token, proxy } = options
    this.#client = createControllerClient({
      url,
      proxy,
      ...(ca === undefined ? {} : { ca }),
      headers: async () => ({ authorization: `Bearer ${await token()}` }),
    })
    this.#onWrite = onWrite
  }

  async put(kind: DeclaredKind, uid: string, body: object): Promise<WriteResult> {
    this.#onWrite('PUT', kind)
    return this.#client.request({ method: 'PUT', path: `/v1/${PATHS[kind]}/${uid}`, body, answer: writeResult })
  }

  /** One that is not there is removed already. */
  async delete(kind: DeclaredKind, uid: string): Promise<void> {
    this.#onWrite('DELETE', kind)
    try {
      await this.#client.request({ method: 'DELETE', path: `/v1/${PATHS[kind]}/${uid}`, answer: writeResult })
    } catch (error) {
      if (!(error instanceof ControllerError && error.code === 'not_found')) throw error
    }
  }

  async issueToken(uid: string): Promise<EnrolmentToken> {
    this.#onWrite('POST', 'connector')
    return this.#client.request({ method: 'POST', path: `/v1/connectors/${uid}/token`, answer: enrolmentToken })
  }

  async relayKeys(uid: string): Promise<RelayKeys> {
    return this.#client.request({ method: 'GET', path: `/v1/relays/${uid}/keys`, answer: relayKeys })
  }

  async acknowledgeKeys(uid: string, keyIds: string[]): Promise<void> {
    this.#onWrite('POST', 'relay')
    await this.#client.request({ method: 'POST', path: `/v1/relays/${uid}/keys`, body: { keyIds } })
  }

  close(): void {
    this.#client.close()
  }
}
