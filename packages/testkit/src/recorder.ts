import { connect, createServer, type Socket } from 'node:net'

/** Most bytes kept per direction. */
const MAX_RECORDED_BYTES = 64 * 1024 * 1024

export type Recorder = {
  port: number
  /** All bytes that went through, both directions, one entry per chunk. */
  chunks: Buffer[]
  /** Connections made through it so far. */
  connections: number
  close(): Promise<void>
}

/** A TCP splice on 127.0.0.1 in front of `target` that keeps what goes through it. */
export async function startRecorder(target: { host: string; port: number }, listenPort = 0): Promise<Recorder> {
  const sockets = new Set<Socket>()
  const recorder: Recorder = { port: 0, chunks: [], connections: 0, close: async () => {} }
  let kept = 0
  const keep = (chunk: Buffer) => {
    kept += chunk.length
    if (kept <= 2 * MAX_RECORDED_BYTES) recorder.chunks.push(Buffer.from(chunk))
  }
  const server = createServer({ allowHalfOpen: true, noDelay: true }, near => {
    recorder.connections++
    const far = connect({ ...target, allowHalfOpen: true, noDelay: true })
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('data', keep)
      from.pipe(to)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(listenPort, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server has an address')
  recorder.port = address.port
  recorder.close = () =>
    new Promise(resolve => {
      server.close(() => resolve())
      for (const socket of sockets) socket.destroy()
    })
  return recorder
}
