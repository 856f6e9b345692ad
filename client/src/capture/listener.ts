import { createServer, type Server, type Socket } from 'node:net'
import { formatHostPort, type HostPort } from '@sallyport/runtime'
import { ClientError } from '../error.ts'

/** Most connections of applications at a time on one listener. */
export const MAX_CONNECTIONS = 16_384

/** A listening socket and the connections that came in by it. */
export type Listener = { address: string; open: () => number; close(): Promise<void> }

/** Listens on a loopback address: whoever can connect here acts as the person who is logged in. Throws ClientError. */
export async function listen({ host, port }: HostPort, onSocket: (socket: Socket) => void): Promise<Listener> {
  if (!isLoopback(host)) {
    throw new ClientError('usage', `${host} is not a loopback address: others on the network would act as you`, {
      hint: 'Listen on 127.0.0.1 or [::1].',
    })
  }
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    onSocket(socket)
  })
  server.maxConnections = MAX_CONNECTIONS
  await bind(server, host, port)
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new TypeError('a TCP server has an address')
  return {
    address: formatHostPort({ host, port: bound.port }),
    open: () => sockets.size,
    close: async () => {
      const closed = new Promise<void>(resolve => server.close(() => resolve()))
      for (const socket of sockets) socket.resetAndDestroy()
      await closed
    },
  }
}

const isLoopback = (host: string) => host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)

function bind(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const at = formatHostPort({ host, port })
      if (error.code === 'EADDRINUSE') reject(new ClientError('address_in_use', `something listens on ${at} already`))
      else reject(new ClientError('failed', `cannot listen on ${at}: ${error.message}`, { cause: error }))
    })
    server.listen(port, host, resolve)
  })
}
