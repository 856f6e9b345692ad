/** An application on the user's device: reaches services through SOCKS5, HTTP CONNECT or a plain port. */
import { createHash } from 'node:crypto'
import { connect, type Socket } from 'node:net'

/** Longest time that a proxy may take to answer. */
const PROXY_TIMEOUT_MS = 15_000

/** A proxy's "no": the SOCKS reply (RFC 1928, section 6) or HTTP status, and the text that came with it. */
export class ProxyRefusal extends Error {
  readonly code: number
  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

export type Way = (host: string, port: number) => Promise<Socket>

/** Connects to host:port by name through the SOCKS5 proxy on 127.0.0.1:`proxyPort`. Throws {@link ProxyRefusal}. */
export const bySocks =
  (proxyPort: number): Way =>
  async (host, port) => {
    const socket = await byPort(proxyPort)()
    const name = Buffer.from(host)
    socket.write(Buffer.from([5, 1, 0]))
    await take(socket, 2)
    socket.write(Buffer.concat([Buffer.from([5, 1, 0, 3, name.length]), name, Buffer.from([port >> 8, port & 255])]))
    const head = await take(socket, 4)
    await take(socket, (head[3] === 4 ? 16 : head[3] === 3 ? (await take(socket, 1))[0]! : 4) + 2)
    if (head[1] !== 0) {
      socket.destroy()
      throw new ProxyRefusal(head[1]!, `SOCKS reply ${head[1]}`)
    }
    return socket
  }

/** Connects to host:port by name through the HTTP proxy on 127.0.0.1:`proxyPort`. Throws {@link ProxyRefusal}. */
export const byConnect =
  (proxyPort: number): Way =>
  async (host, port) => {
    const socket = await byPort(proxyPort)()
    socket.write(`CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`)
    let head = ''
    while (!head.endsWith('\r\n\r\n')) head += (await take(socket, 1)).toString('latin1')
    const status = Number(head.split(' ')[1])
    if (status === 200) return socket
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
    const body = length > 0 ? (await take(socket, length)).toString() : ''
    socket.destroy()
    throw new ProxyRefusal(status, body.trim())
  }

/** Connects to 127.0.0.1:`port`, whatever is asked for: a forward. */
export const byPort = (port: number) => (): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    socket.setTimeout(PROXY_TIMEOUT_MS, () => socket.destroy(new Error(`no answer from port ${port}`)))
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      socket.setTimeout(0)
      resolve(socket)
    })
  })

/** Reads exactly `length` bytes; throws when the connection ends before. */
export function take(socket: Socket, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const attempt = () => {
      const chunk: Buffer | null = length === 0 ? Buffer.alloc(0) : socket.read(length)
      if (chunk === null) {
        // Its end may have come before anyone listened.
        if (socket.destroyed || socket.readableEnded) fail()
        return
      }
      done()
      if (chunk.length === length) resolve(chunk)
      else reject(new Error(`the connection ended after ${chunk.length} of ${length} bytes`))
    }
    const fail = (error?: Error) => {
      done()
      reject(error ?? new Error('the connection was closed'))
    }
    const ended = () => fail()
    const done = () => {
      socket.off('readable', attempt).off('end', ended).off('close', ended).off('error', fail)
      clearTimeout(timer)
    }
    const timer = setTimeout(() => fail(new Error('no answer')), PROXY_TIMEOUT_MS)
    socket.on('readable', attempt).on('end', ended).on('close', ended).on('error', fail)
    attempt()
  })
}

export type Answer = { status: number; body: Buffer; sha256: string }

/** `GET path` over a connection made by `way`, one request per connection; rejects when it is cut before its end. */
export async function httpGet(
  way: Way,
  host: string,
  port: number,
  path = '/',
  onBytes?: (soFar: number) => void,
): Promise<Answer> {
  const socket = await way(host, port)
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
  let head = ''
  while (!head.endsWith('\r\n\r\n')) head += (await take(socket, 1)).toString('latin1')
  const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
  const hash = createHash('sha256')
  const kept: Buffer[] = []
  let got = 0
  await new Promise<void>((resolve, reject) => {
    socket.on('data', chunk => {
      got += chunk.length
      hash.update(chunk)
      if (got <= 1024 * 1024) kept.push(chunk)
      onBytes?.(got)
    })
    socket.on('error', reject)
    socket.on('close', () => (got === length ? resolve() : reject(new Error(`cut after ${got} of ${length} bytes`))))
    if (length === 0) socket.destroy()
  })
  return { status: Number(head.split(' ')[1]), body: Buffer.concat(kept), sha256: hash.digest('hex') }
}
