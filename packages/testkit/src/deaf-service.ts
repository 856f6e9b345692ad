import { connect, type Socket } from 'node:net'
import { eventually } from './eventually.ts'
import { run } from './process.ts'

/** Listens with the shortest queue and never accepts: its event loop stands still. */
const LISTENER = `
const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
  require('node:fs').writeSync(1, 'port ' + server.address().port + '\\n')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
})`
/** Connections that may fill the queue of a listener, at most. */
const MAX_FILLERS = 16
/** A loopback connection that has not come about after this time has been dropped. */
const DROPPED_MS = 300

/** A port of 127.0.0.1 that answers no SYN: whoever connects to it runs into a time-out. */
export async function startDeafService(): Promise<{ port: number; close(): Promise<void> }> {
  const listener = run({ name: 'deaf service', args: ['-e', LISTENER] })
  const port = Number((await listener.line(/^port /)).slice(5))
  const fillers: Socket[] = []
  await eventually('the queue of the listener to be full', async () => {
    if (fillers.length >= MAX_FILLERS) throw new Error(`${MAX_FILLERS} connections did not fill it`)
    const socket = connect({ port, host: '127.0.0.1' })
    socket.on('error', () => socket.destroy())
    fillers.push(socket)
    const connected = new Promise<boolean>(resolve => socket.once('connect', () => resolve(true)))
    // A connection that has come about meanwhile is seen first.
    const late = new Promise<boolean>(resolve => setTimeout(() => setImmediate(resolve, false), DROPPED_MS))
    return !(await Promise.race([connected, late]))
  })
  return {
    port,
    close: async () => {
      for (const socket of fillers) socket.destroy()
      await listener.stop('SIGKILL')
    },
  }
}
