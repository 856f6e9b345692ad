/** The load, the same for both chains: each function talks to `port` of 127.0.0.1, which leads to the target. */
import { connect, type Socket } from 'node:net'

/** Longest time that one measurement may take. */
const MEASUREMENT_TIMEOUT_MS = 120_000

const block = Buffer.alloc(256 * 1024, 'sallyport')

function dial(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    socket.setTimeout(MEASUREMENT_TIMEOUT_MS, () => socket.destroy(new Error('the chain does not answer')))
    socket.once('error', reject)
    socket.once('connect', () => resolve(socket))
  })
}

/** Downloads `bytes` over each of `streams` connections; bytes per second over all. */
export async function download(port: number, streams: number, bytes: number): Promise<number> {
  const started = performance.now()
  await Promise.all(
    Array.from({ length: streams }, async () => {
      const socket = await dial(port)
      let got = 0
      socket.on('data', chunk => {
        got += chunk.length
      })
      socket.write(`D ${bytes}\n`)
      await new Promise((resolve, reject) => socket.once('error', reject).once('close', resolve))
      if (got !== bytes) throw new Error(`${got} of ${bytes} bytes came`)
    }),
  )
  return (streams * bytes) / ((performance.now() - started) / 1000)
}

/** Uploads `bytes` over each of `streams` connections; bytes per second over all. */
export async function upload(port: number, streams: number, bytes: number): Promise<number> {
  const started = performance.now()
  await Promise.all(
    Array.from({ length: streams }, async () => {
      const socket = await dial(port)
      socket.write(`U ${bytes}\n`)
      let left = bytes
      const more = () => {
        while (left > 0) {
          const chunk = left < block.length ? block.subarray(0, left) : block
          left -= chunk.length
          if (!socket.write(chunk)) return void socket.once('drain', more)
        }
      }
      more()
      await new Promise((resolve, reject) => socket.once('error', reject).once('data', resolve))
      socket.destroy()
    }),
  )
  return (streams * bytes) / ((performance.now() - started) / 1000)
}

/** Opens `count` connections, `parallel` at a time, each with one byte there and back; connections per second. */
export async function newStreams(port: number, count: number, parallel: number): Promise<number> {
  const started = performance.now()
  let left = count
  await Promise.all(
    Array.from({ length: parallel }, async () => {
      while (left-- > 0) {
        const socket = await dial(port)
        socket.write('E\nx')
        await new Promise((resolve, reject) => socket.once('error', reject).once('data', resolve))
        socket.destroy()
      }
    }),
  )
  return count / ((performance.now() - started) / 1000)
}

/** Sends one byte `count` times over one open connection; median round trip in microseconds. */
export async function roundTrip(port: number, count: number): Promise<number> {
  const socket = await dial(port)
  socket.write('E\n')
  socket.on('error', error => {
    throw error
  })
  const times: number[] = []
  for (let i = 0; i < count; i++) {
    const started = performance.now()
    socket.write('x')
    await new Promise(resolve => socket.once('data', resolve))
    times.push((performance.now() - started) * 1000)
  }
  socket.destroy()
  return median(times)
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}
