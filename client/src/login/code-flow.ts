import { createServer, type ServerResponse } from 'node:http'
import { type Clock, type ControllerClient, formatHostPort } from '@sallyport/runtime'
import { parser, Type } from '@sallyport/schema'
import { equalSecrets, type KeyPair, randomSecret, sha256, thumbprintOf, toBase64Url } from '@sallyport/trust'
import { ClientError } from '../error.ts'
import { donePage, failedPage } from './page.ts'
import { CLIENT_ID } from './token-keeper.ts'

/** How long a person may take. */
export const LOGIN_TIMEOUT_MS = 10 * 60_000

const metadataParser = parser(
  Type.Object({
    issuer: Type.String({ maxLength: 2048 }),
    authorization_endpoint: Type.String({ maxLength: 2048, pattern: '^https://' }),
    token_endpoint: Type.String({ maxLength: 2048, pattern: '^https://' }),
  }),
)

/** What the token endpoint wants to see beside the code. */
export type Grant = { code: string; redirect_uri: string; code_verifier: string }

export type CodeFlowOptions = {
  /** Login URL of the tenant. */
  url: string
  rest: ControllerClient
  keys: KeyPair
  clock: Clock
  /** Shows the URL to the person. */
  browse: (url: string) => void
  /** Trades the code; what it throws is shown in the browser. */
  trade: (grant: Grant) => Promise<void>
  signal: AbortSignal
}

/**
 * Logs in with the browser: authorisation code and PKCE on a loopback redirect (RFC 8252, section 7.3), bound to the device key from the
 * first request on (RFC 9449, section 10). Throws ClientError.
 */
export async function logInByBrowser({
  url,
  rest,
  keys,
  clock,
  browse,
  trade,
  signal,
}: CodeFlowOptions): Promise<void> {
  const endpoint = await discover(rest, url)
  const state = randomSecret()
  const verifier = randomSecret()
  const loopback = await waitForCode(state, clock, signal, code =>
    trade({ code, redirect_uri: loopback.redirectUri, code_verifier: verifier }),
  )
  try {
    const query = new URLSearchParams({
      response_type: 'code',
      client_id: CLIENT_ID,
      redirect_uri: loopback.redirectUri,
      state,
      code_challenge: toBase64Url(sha256(verifier)),
      code_challenge_method: 'S256',
      dpop_jkt: thumbprintOf(keys.publicKey),
    })
    browse(`${endpoint}?${query}`)
    await loopback.done
  } finally {
    loopback.close()
  }
}

async function discover(rest: ControllerClient, url: string): Promise<string> {
  const path = new URL(url).pathname.replace(/\/+$/, '')
  const metadata = await rest.request({
    method: 'GET',
    path: `${path}/.well-known/oauth-authorization-server`,
    answer: metadataParser,
  })
  if (metadata.issuer !== url) {
    throw new ClientError('login_failed', `the Controller at ${url} calls itself ${metadata.issuer}`, {
      hint: `Run \`sallyport login ${metadata.issuer}\`, with the same pin if you have one.`,
    })
  }
  return metadata.authorization_endpoint
}

async function waitForCode(
  state: string,
  clock: Clock,
  signal: AbortSignal,
  complete: (code: string) => Promise<void>,
): Promise<{ redirectUri: string; done: Promise<void>; close(): void }> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  promise.catch(() => undefined)
  let answered = false
  const server = createServer((request, response) => {
    const asked = new URL(request.url ?? '/', 'http://127.0.0.1')
    const code = answered ? undefined : codeOf(asked, state)
    if (asked.pathname !== '/callback' || request.method !== 'GET' || code === undefined) {
      return show(response, 404, failedPage('There is no login for this answer.'))
    }
    answered = true
    const finish = code instanceof ClientError ? Promise.reject(code) : complete(code)
    finish.then(
      () => {
        show(response, 200, donePage())
        resolve()
      },
      (error: Error) => {
        show(response, 400, failedPage(error.message))
        reject(error)
      },
    )
  })
  await new Promise<void>((bound, failed) => server.once('error', failed).listen(0, '127.0.0.1', bound))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server has an address')
  const timer = clock.timer(LOGIN_TIMEOUT_MS, () =>
    reject(new ClientError('login_cancelled', 'nobody logged in within ten minutes')),
  )
  const onAbort = () => reject(new ClientError('login_cancelled', 'the login was given up'))
  signal.addEventListener('abort', onAbort, { once: true })
  return {
    redirectUri: `http://${formatHostPort({ host: '127.0.0.1', port: address.port })}/callback`,
    done: promise,
    close: () => {
      timer.cancel()
      signal.removeEventListener('abort', onAbort)
      server.close()
      server.closeIdleConnections()
    },
  }
}

/** The code, or the error that came in its place; undefined for what is not the answer to this login. */
function codeOf({ searchParams }: URL, state: string): string | ClientError | undefined {
  const given = searchParams.get('state')
  if (given === null || !equalSecrets(given, state)) return undefined
  const code = searchParams.get('code')
  if (code !== null) return code
  const error = searchParams.get('error')
  if (error === null) return undefined
  return new ClientError('login_failed', (searchParams.get('error_description') ?? error).slice(0, 500))
}

function show(response: ServerResponse, status: number, page: string): void {
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
    connection: 'close',
  })
  response.end(page)
}
