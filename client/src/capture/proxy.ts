import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type HostPort, pump } from '@sallyport/runtime'
import { ClientError } from '../error.ts'
import type { Capture, Open } from './capture.ts'
import { CONNECT_OK, encodeRefusal, type ProxyRequest, readProxyRequest } from './http-proxy.ts'
import { Intake } from './intake.ts'
import { type Listener, listen } from './listener.ts'
import { proxyOutcome } from './outcome.ts'
import {
  encodeSocksReply,
  readSocksGreeting,
  readSocksRequest,
  SOCKS_METHOD,
  SOCKS_NO_METHOD,
  SocksReply,
} from './socks.ts'

/** How long an application may take to say where it wants to go. */
const REQUEST_TIMEOUT_MS = 30_000
/** First byte of a SOCKS 5 greeting. */
const SOCKS5 = 5

/** Serves SOCKS 5 and HTTP CONNECT on every one of `addresses`; the first byte tells which. Throws ClientError. */
export async function startProxy(addresses: HostPort[], open: Open): Promise<Capture> {
  const listeners: Listener[] = []
  const close = async () => void (await Promise.all(listeners.map(listener => listener.close())))
  try {
    for (const address of addresses) {
      listeners.push(await listen(address, socket => void serve(socket, open).catch(() => socket.destroy())))
    }
  } catch (error) {
    await close()
    throw error
  }
  return {
    status: () => ({
      kind: 'proxy',
      listen: listeners.map(({ address }) => address),
      open: listeners.reduce((sum, listener) => sum + listener.open(), 0),
    }),
    close,
  }
}

async function serve(socket: Socket, open: Open): Promise<void> {
  const intake = new Intake(socket, REQUEST_TIMEOUT_MS)
  socket.resume()
  const first = await intake.until(bytes => bytes[0])
  if (first === undefined) return void socket.destroy()
  return first === SOCKS5 ? serveSocks(intake, open) : serveHttp(intake, open)
}

async function serveSocks(intake: Intake, open: Open): Promise<void> {
  const { socket } = intake
  const greeting = await intake.until(bytes => settled(readSocksGreeting(bytes)))
  if (greeting?.kind !== 'done') return void socket.destroy()
  intake.take(greeting.length)
  if (!greeting.accepted) return void socket.end(SOCKS_NO_METHOD)
  socket.write(SOCKS_METHOD)
  const request = await intake.until(bytes => settled(readSocksRequest(bytes)))
  if (request === undefined) return void socket.destroy()
  if (request.kind === 'malformed') return void socket.end(encodeSocksReply(request.reply ?? SocksReply.failure))
  intake.take(request.length)
  const stream = await connect(intake, open, request.host, request.port, ({ code }) =>
    socket.end(encodeSocksReply(proxyOutcome(code).socks)),
  )
  if (stream === undefined) return
  socket.write(encodeSocksReply(SocksReply.succeeded))
  join(intake, stream)
}

async function serveHttp(intake: Intake, open: Open): Promise<void> {
  const { socket } = intake
  const read = await intake.until(bytes => settled(readProxyRequest(bytes)))
  if (read === undefined) return void socket.destroy()
  if (read.kind === 'malformed') return void socket.end(encodeRefusal(read.status, read.message))
  intake.take(read.length)
  const { request } = read
  const stream = await connect(intake, open, request.host, request.port, error => refuseHttp(socket, request, error))
  if (stream === undefined) return
  if (request.connect) socket.write(CONNECT_OK)
  else stream.write(request.head, 'latin1')
  join(intake, stream)
}

function refuseHttp(socket: Socket, { host, port }: ProxyRequest, { code, message, hint }: ClientError): void {
  socket.end(encodeRefusal(proxyOutcome(code).http, `sallyport: ${host}:${port}: ${code}: ${message}. ${hint}`))
}

/** Opens the way; the application that goes away meanwhile gives it up. */
async function connect(
  intake: Intake,
  open: Open,
  host: string,
  port: number,
  refuse: (error: ClientError) => void,
): Promise<Duplex | undefined> {
  const { socket } = intake
  intake.pause()
  const gone = new AbortController()
  const onClose = () => gone.abort()
  socket.once('close', onClose)
  try {
    const stream = await open(host, port, gone.signal)
    if (!gone.signal.aborted) return stream
    stream.destroy()
  } catch (error) {
    const failure = error instanceof ClientError ? error : new ClientError('failed', String(error), { cause: error })
    if (!gone.signal.aborted) refuse(failure)
  } finally {
    socket.off('close', onClose)
  }
  return undefined
}

function join(intake: Intake, stream: Duplex): void {
  const early = intake.release()
  if (early.length > 0) stream.write(early)
  const { socket } = intake
  // How either side ended is told by the other side's end.
  pump(socket, stream)
  if (socket.readableEnded) stream.end()
  else socket.resume()
}

/** Undefined while there are too few bytes. */
function settled<T extends { kind: string }>(read: T | { kind: 'more' }): Exclude<T, { kind: 'more' }> | undefined {
  return read.kind === 'more' ? undefined : (read as Exclude<T, { kind: 'more' }>)
}
