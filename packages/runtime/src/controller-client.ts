import type { IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { ErrorBody, type Parser, parser } from '@sallyport/schema'
import { type Clock, systemClock } from './clock.ts'
import { connectTcp } from './dial.ts'
import { ControllerError, connectionError, RuntimeError } from './error.ts'
import { NO_PROXY, type ProxySettings } from './proxy.ts'

/** Time for an answer, connection included. */
export const REQUEST_TIMEOUT_MS = 15_000
/** Longest answer that is read. */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024
/** Connections at a time; all are kept for the next requests: one that is closed costs a TLS handshake. */
const MAX_CONNECTIONS = 32

export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE'

/** One request. `path` begins with a slash and is appended to the Controller's URL. */
export type ControllerRequest<T> = {
  method: Method
  path: string
  /** Sent as JSON. */
  body?: unknown
  /** Sent as a form (application/x-www-form-urlencoded) instead. */
  form?: Record<string, string>
  headers?: Record<string, string>
  /** What the answer must be; absent: it is not looked at. */
  answer?: Parser<T>
  signal?: AbortSignal
  timeoutMs?: number
}

export type ControllerClientOptions = {
  /** `https:` URL of the Controller. */
  url: string
  /** PEM of the CAs that may vouch for it, asked for at each new connection; the system's when it gives none. */
  ca?: () => string | undefined
  /** Headers of each request, for instance its credential. */
  headers?: (method: Method, url: string) => Promise<Record<string, string>>
  proxy?: ProxySettings
  clock?: Clock
}

/** REST client of the Controller. */
export type ControllerClient = {
  /** Throws ControllerError for an answer of 400 and above, RuntimeError when there is none or it is not what it must be. */
  request<T = undefined>(request: ControllerRequest<T>): Promise<T>
  close(): void
}

const errorBody = parser(ErrorBody)

/** Makes a REST client that keeps its connections. */
export function createControllerClient(options: ControllerClientOptions): ControllerClient {
  const { clock = systemClock } = options
  const agent = new ControllerAgent(options)
  return {
    request: async request => {
      const deadline = new AbortController()
      const timeoutMs = request.timeoutMs ?? REQUEST_TIMEOUT_MS
      const what = `${request.method} ${request.path}`
      const timer = clock.timer(timeoutMs, () =>
        deadline.abort(new RuntimeError('timeout', `${what}: no answer within ${timeoutMs} ms`)),
      )
      const signals = request.signal === undefined ? [deadline.signal] : [deadline.signal, request.signal]
      const signal = AbortSignal.any(signals)
      try {
        return await exchange(options, agent, request, signal)
      } catch (error) {
        if (error instanceof ControllerError) throw error
        if (deadline.signal.aborted) throw deadline.signal.reason
        if (request.signal?.aborted) throw new RuntimeError('aborted', `${what}: the caller gave up`, { cause: error })
        throw connectionError(what, error)
      } finally {
        timer.cancel()
      }
    },
    close: () => agent.destroy(),
  }
}

async function exchange<T>(
  { url, headers }: ControllerClientOptions,
  agent: Agent,
  request: ControllerRequest<T>,
  signal: AbortSignal,
): Promise<T> {
  const target = joinUrl(url, request.path)
  const credential = (await headers?.(request.method, target)) ?? {}
  const { body, type } = encode(request)
  const options: RequestOptions = {
    method: request.method,
    agent,
    signal,
    headers: {
      accept: 'application/json',
      ...(body === undefined ? {} : { 'content-type': type, 'content-length': Buffer.byteLength(body) }),
      ...credential,
      ...request.headers,
    },
  }
  const response = await send(target, options, body)
  const text = await readText(response)
  const status = response.statusCode ?? 0
  if (status >= 400) throw new ControllerError(status, errorOf(status, text))
  // Without a parser T is undefined: nobody asked for the answer.
  if (request.answer === undefined) return undefined as T
  return parseAnswer(request.answer, text)
}

function send(target: string, options: RequestOptions, body: string | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(target, options, resolve)
    request.on('error', error => {
      // A kept connection may have been closed by the other side at the moment of use: nothing was answered, and a new one is sound.
      const stale = request.reusedSocket && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
      if (stale && options.method !== 'POST') return resolve(send(target, { ...options, agent: options.agent! }, body))
      reject(error)
    })
    request.end(body)
  })
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > MAX_ANSWER_BYTES) throw new RuntimeError('bad_answer', `answer of more than ${MAX_ANSWER_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function encode({ body, form }: ControllerRequest<unknown>): { body: string | undefined; type: string } {
  if (form !== undefined) {
    return { body: new URLSearchParams(form).toString(), type: 'application/x-www-form-urlencoded' }
  }
  return { body: body === undefined ? undefined : JSON.stringify(body), type: 'application/json' }
}

function parseAnswer<T>(answer: Parser<T>, text: string): T {
  const value = parseJson(text)
  if (answer.check(value)) return value
  const [problem] = answer.problems(value)
  throw new RuntimeError('bad_answer', `the answer is not what it must be: ${problem?.field} ${problem?.message}`)
}

function errorOf(status: number, text: string): ErrorBody {
  const value = parseJson(text)
  return errorBody.check(value) ? value : { error: 'unexpected_status', message: `the answer has status ${status}` }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const joinUrl = (base: string, path: string) => base.replace(/\/$/, '') + path

type OnSocket = (error: Error | null, socket: Duplex) => void

/** Makes connections through the proxy where there is one, and with the CAs of the moment. */
class ControllerAgent extends Agent {
  readonly #options: ControllerClientOptions

  constructor(options: ControllerClientOptions) {
    super({ keepAlive: true, maxSockets: MAX_CONNECTIONS, maxFreeSockets: MAX_CONNECTIONS })
    this.#options = options
  }

  override createConnection(options: RequestOptions, callback?: OnSocket): undefined {
    const host = String(options.host ?? options.hostname)
    const port = Number(options.port ?? 443)
    const { proxy = NO_PROXY, ca, clock = systemClock } = this.#options
    connectTcp(host, port, { proxy, clock }).then(
      socket =>
        callback?.(
          null,
          connectTls({
            socket,
            host,
            minVersion: 'TLSv1.3',
            ...(/^[0-9.]+$/.test(host) || host.includes(':') ? {} : { servername: host }),
            ...(ca === undefined ? {} : { ca: ca() }),
          }),
        ),
      // Node passes the socket on only when there is no error.
      error => callback?.(error, undefined as never),
    )
  }
}
