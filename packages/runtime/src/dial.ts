import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect, type LookupFunction, type Socket } from 'node:net'
import { type Clock, systemClock } from './clock.ts'
import { connectionError, RuntimeError } from './error.ts'
import { formatHostPort } from './host-port.ts'
import { type HttpProxy, NO_PROXY, type ProxySettings, proxyFor } from './proxy.ts'

/** Time for a TCP connection, that of a proxy included. */
export const DIAL_TIMEOUT_MS = 10_000

export type DialOptions = {
  timeoutMs?: number
  proxy?: ProxySettings
  signal?: AbortSignal
  clock?: Clock
  /** Resolves names in place of the system's resolver. */
  lookup?: LookupFunction
}

/**
 * Opens a TCP connection, through the proxy where the settings say so, trying all addresses of a name (RFC 8305). The socket has no delay
 * and no listeners. Throws RuntimeError.
 */
export async function connectTcp(
  host: string,
  port: number,
  { timeoutMs = DIAL_TIMEOUT_MS, proxy: settings = NO_PROXY, signal, clock = systemClock, lookup }: DialOptions = {},
): Promise<Socket> {
  const what = `connection to ${formatHostPort({ host, port })}`
  const deadline = new AbortController()
  const timer = clock.timer(timeoutMs, () =>
    deadline.abort(new RuntimeError('timeout', `${what}: no answer within ${timeoutMs} ms`)),
  )
  const give = () => deadline.abort(new RuntimeError('aborted', `${what}: the caller gave up`))
  signal?.addEventListener('abort', give, { once: true })
  if (signal?.aborted) give()
  try {
    const proxy = proxyFor(settings, host, port)
    const socket =
      proxy === undefined
        ? await connectDirect(host, port, deadline.signal, lookup)
        : await connectByProxy(proxy, host, port, deadline.signal)
    return socket.setNoDelay(true)
  } catch (error) {
    throw connectionError(what, error)
  } finally {
    timer.cancel()
    signal?.removeEventListener('abort', give)
  }
}

function connectDirect(host: string, port: number, signal: AbortSignal, lookup?: LookupFunction): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const socket = connect({
      host,
      port,
      noDelay: true,
      autoSelectFamily: true,
      ...(lookup === undefined ? {} : { lookup }),
    })
    const settle = (act: () => void) => {
      signal.removeEventListener('abort', onAbort)
      socket.removeListener('error', onError)
      socket.removeListener('connect', onConnect)
      act()
    }
    const onAbort = () =>
      settle(() => {
        socket.on('error', () => undefined)
        socket.destroy()
        reject(signal.reason)
      })
    const onError = (error: Error) => settle(() => reject(error))
    const onConnect = () => settle(() => resolve(socket))
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('error', onError).once('connect', onConnect)
  })
}

function connectByProxy(proxy: HttpProxy, host: string, port: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const target = formatHostPort({ host, port })
    const send = proxy.secure ? httpsRequest : httpRequest
    const request = send({
      host: proxy.host,
      port: proxy.port,
      method: 'CONNECT',
      path: target,
      agent: false,
      headers: {
        host: target,
        ...(proxy.authorization === undefined ? {} : { 'proxy-authorization': proxy.authorization.reveal() }),
      },
    })
    const onAbort = () => {
      request.destroy()
      reject(signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    request.once('connect', (response, socket: Socket, head) => {
      signal.removeEventListener('abort', onAbort)
      if (response.statusCode === 200) {
        if (head.length > 0) socket.unshift(head)
        return resolve(socket)
      }
      socket.destroy()
      const seen = `${response.statusCode} ${response.statusMessage ?? ''}`.trim()
      reject(new RuntimeError('proxy_failed', `the proxy ${proxy.host}:${proxy.port} answered ${seen}`))
    })
    request.on('error', cause => {
      signal.removeEventListener('abort', onAbort)
      reject(new RuntimeError('proxy_failed', `the proxy ${proxy.host}:${proxy.port}: ${cause.message}`, { cause }))
    })
    request.end()
  })
}
