import { createServer, type ListenOptions, type Server } from 'node:net'

/**
 * Below the ports that Linux gives to outgoing connections (32768 and up), of which none can take one before it is listened on, and below those that
 * hack/kube takes (16000 and up).
 */
const [LOWEST, HIGHEST] = [10_240, 15_999]

/** Finds `count` ports of 127.0.0.1 that nobody listens on. No other process on Linux finds them for as long as this one runs. */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = []
  while (servers.length < count) {
    const server = createServer()
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST + 1))
    if ((await reserves(port)) && (await listens(server, { port, host: '127.0.0.1' }))) servers.push(server)
  }
  const ports = servers.map(server => {
    const address = server.address()
    if (address === null || typeof address === 'string') throw new TypeError('a TCP server has an address')
    return address.port
  })
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

/** Holds a name for the port: one in the abstract namespace of Linux goes with the process that holds it. */
async function reserves(port: number): Promise<boolean> {
  if (process.platform !== 'linux') return true
  return listens(createServer().unref(), { path: `\0sallyport-port-${port}` })
}

function listens(server: Server, where: ListenOptions): Promise<boolean> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(false) : reject(error),
    )
    server.listen(where, () => resolve(true))
  })
}
