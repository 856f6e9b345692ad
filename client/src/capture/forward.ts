import type { Socket } from 'node:net'
import { formatHostPort, type HostPort, pump } from '@sallyport/runtime'
import type { Capture, Open } from './capture.ts'
import { listen } from './listener.ts'

/** Takes every connection to `local` to one destination. One that cannot be made is reset. Throws ClientError. */
export async function startForward(local: HostPort, to: HostPort, open: Open): Promise<Capture> {
  const listener = await listen(local, socket => void serve(socket, to, open))
  return {
    status: () => ({ kind: 'forward', listen: [listener.address], to: formatHostPort(to), open: listener.open() }),
    close: () => listener.close(),
  }
}

async function serve(socket: Socket, { host, port }: HostPort, open: Open): Promise<void> {
  const gone = new AbortController()
  const onClose = () => gone.abort()
  socket.once('close', onClose)
  try {
    const stream = await open(host, port, gone.signal)
    socket.off('close', onClose)
    if (gone.signal.aborted) return void stream.destroy()
    pump(socket, stream)
    socket.resume()
  } catch {
    // The access log of the Connector and `sallyport why` name the reason; a TCP peer only learns that there is no connection.
    socket.resetAndDestroy()
  }
}
