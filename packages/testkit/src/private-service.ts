import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTcpServer, type Server, type Socket } from 'node:net'

export type PrivateService = {
  port: number /** Connections accepted so far. */
  accepted: () => number /** Connections open at this moment. */
  open: () => number
  close(): Promise<void>
}

const block = Buffer.alloc(64 * 1024)
for (let i = 0; i < block.length; i++) block[i] = (i * 31 + (i >> 8)) & 255

/** SHA-256, in hex, of what `/file?bytes=n` serves. */
export function sha256OfFile(bytes: number): string {
  const hash = createHash('sha256')
  for (let left = bytes; left > 0; left -= block.length)
    hash.update(left < block.length ? block.subarray(0, left) : block)
  return hash.digest('hex')
}

/** A web server on 127.0.0.1: `/` says `greeting`; `/file?bytes=n` a file; `/slow?bytes=n` one that takes its time, for cutting. */
export async function startWebService(greeting: string, port = 0): Promise<PrivateService> {
  const server = createServer((request, response) => serve(request, response, greeting))
  return counted(server, port)
}

function serve(request: IncomingMessage, response: ServerResponse, greeting: string) {
  const url = new URL(request.url ?? '/', 'http://service')
  const bytes = Number(url.searchParams.get('bytes') ?? 0)
  if (url.pathname === '/') return void response.end(`${greeting}\n`)
  if (url.pathname !== '/file' && url.pathname !== '/slow') return void response.writeHead(404).end('no such page\n')
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes })
  let left = bytes
  const more = () => {
    while (left > 0 && !response.destroyed) {
      const chunk = left < block.length ? block.subarray(0, left) : block
      left -= chunk.length
      const room = response.write(chunk)
      if (url.pathname === '/slow') return void setTimeout(more, 10)
      if (!room) return void response.once('drain', more)
    }
    if (left === 0) response.end()
  }
  more()
}

/** A TCP service on 127.0.0.1 that says `greeting` and then answers every line with the same line. */
export async function startEchoService(greeting: string, port = 0): Promise<PrivateService> {
  const server = createTcpServer({ allowHalfOpen: true }, socket => {
    socket.on('error', () => socket.destroy())
    if (greeting !== '') socket.write(`${greeting}\n`)
    socket.pipe(socket)
  })
  return counted(server, port)
}

async function counted(server: Server, port: number): Promise<PrivateService> {
  const sockets = new Set<Socket>()
  let accepted = 0
  server.on('connection', (socket: Socket) => {
    accepted++
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server has an address')
  return {
    port: address.port,
    accepted: () => accepted,
    open: () => sockets.size,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}
