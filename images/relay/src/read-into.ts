import { Socket } from 'node:net'

/** Where the next bytes of a socket go, and who takes them; false from `take` stops the reading until `resume()`. */
export type Reader = {
  next: () => Buffer
  take: (length: number, buffer: Buffer) => boolean
}

type Handle = { useUserBuffer: (buffer: Buffer) => void }
type Slots = { buffer: symbol; generate: symbol; callback: symbol }

const slots = findSlots()

/** Whether this Node lets an accepted socket read into buffers of ours. */
export const canReadInto = slots !== undefined

/**
 * Makes `socket` read into buffers of `reader`, as the option `onread` of `new net.Socket` does, which `net.Server` does not
 * offer for the sockets it accepts. Nothing may wait in the socket's own buffer. False when it cannot be done. A second call replaces the
 * first; Node keeps a few dozen bytes of the old one until the socket is closed.
 */
export function readInto(socket: Socket, reader: Reader): boolean {
  const handle = handleOf(socket)
  if (slots === undefined || handle === undefined || socket.readableLength > 0) return false
  const buffer = reader.next()
  Object.assign(socket, { [slots.generate]: reader.next, [slots.callback]: reader.take, [slots.buffer]: buffer })
  handle.useUserBuffer(buffer)
  return true
}

/** The properties in which a socket keeps `onread`, found by what a socket that was made with it has in them. */
function findSlots(): Slots | undefined {
  const generate = () => Buffer.alloc(0)
  const callback = () => true
  const probe = new Socket({ onread: { buffer: generate as unknown as Buffer, callback } })
  const find = (name: string, value: unknown) =>
    Object.getOwnPropertySymbols(probe).find(
      symbol => symbol.description === name && Reflect.get(probe, symbol) === value,
    )
  const found = {
    buffer: find('kBuffer', true),
    generate: find('kBufferGen', generate),
    callback: find('kBufferCb', callback),
  }
  probe.destroy()
  const { buffer, generate: generator, callback: taker } = found
  return buffer === undefined || generator === undefined || taker === undefined
    ? undefined
    : { buffer, generate: generator, callback: taker }
}

function handleOf(socket: Socket): Handle | undefined {
  const handle: unknown = Reflect.get(socket, '_handle')
  return typeof handle === 'object' && handle !== null && typeof Reflect.get(handle, 'useUserBuffer') === 'function'
    ? (handle as Handle) // Checked in the line above.
    : undefined
}
