import type { Socket } from 'node:net'
import { type ClientHelloFault, readClientHello } from '@sallyport/wire'

/** What stood at the beginning of a connection. `bytes` is all that was read, `length` how much of it is the ClientHello. */
export type Peeked =
  | { kind: 'hello'; serverName: string | undefined; bytes: Buffer; length: number }
  | { kind: 'malformed'; code: ClientHelloFault | 'truncated' }

/** Reads the ClientHello of `socket` and leaves it paused. `done` is not called when the socket is destroyed before. */
export function peekClientHello(socket: Socket, done: (peeked: Peeked) => void): void {
  let gathered: Buffer | undefined
  const finish = (peeked: Peeked) => {
    socket.off('data', onData).off('end', onEnd).pause()
    done(peeked)
  }
  const onEnd = () => finish({ kind: 'malformed', code: 'truncated' })
  const onData = (chunk: Buffer) => {
    const bytes = gathered === undefined ? chunk : Buffer.concat([gathered, chunk])
    const result = readClientHello(bytes)
    switch (result.kind) {
      case 'more':
        gathered = bytes
        return
      case 'malformed':
        return finish(result)
      case 'hello':
        return finish({ ...result, bytes })
    }
  }
  socket.on('data', onData).on('end', onEnd)
}
