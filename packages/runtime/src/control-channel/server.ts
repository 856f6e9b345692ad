import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type ErrorBody, MAX_CONTROL_MESSAGE_BYTES } from '@sallyport/schema'
import { WebSocketServer } from 'ws'
import { type Clock, systemClock } from '../clock.ts'
import { Link, type LinkEnd } from './link.ts'
import type { MessageParser } from './message.ts'

/** Server side of a control channel. */
export type ServerChannel<O> = {
  /** Sends `message`; false when the channel has ended or ends because the peer does not read. */
  send(message: O): boolean
  /** Closes in order, after what has been sent. */
  close(reason?: string): void
  /** Cuts the connection at once. */
  terminate(): void
  /** Milliseconds by which the peer's clock is ahead; undefined before it has stated its time. */
  readonly peerOffsetMs: number | undefined
  readonly roundTripMs: number | undefined
  /** Bytes that wait to be sent. */
  readonly queuedBytes: number
  /** Calls `listener` once no more than `bytes` wait to be sent: at once, or as the peer reads; never after the end. */
  whenRoom(bytes: number, listener: () => void): void
}

export type AcceptOptions<I, O> = {
  incoming: MessageParser<I>
  heartbeat: () => O
  onMessage: (message: I) => void
  onUnknown?: (type: string) => void
  /** Called once, whoever ended it. */
  onEnd: (end: LinkEnd) => void
  /** Longest message in bytes. */
  maxMessageBytes?: number
  clock?: Clock
}

const servers = new Map<number, WebSocketServer>()

/**
 * Accepts the upgrade of an HTTP request (event `upgrade` of a Node server, already authenticated and authorised) as a control channel.
 * `onOpen` gets it before any message does. A request that is no WebSocket handshake is answered 400.
 */
export function acceptControlChannel<I extends { type: string }, O extends { type: string }>(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  options: AcceptOptions<I, O>,
  onOpen: (channel: ServerChannel<O>) => void,
): void {
  const { incoming, heartbeat, onMessage, onUnknown, onEnd, clock = systemClock } = options
  serverFor(options.maxMessageBytes ?? MAX_CONTROL_MESSAGE_BYTES).handleUpgrade(request, socket, head, ws => {
    const link = new Link<I, O>(ws, request.socket as Socket, {
      clock,
      incoming,
      heartbeat,
      onMessage,
      ...(onUnknown === undefined ? {} : { onUnknown }),
      onEnd,
    })
    onOpen(link)
  })
}

/** Answers an upgrade request with an HTTP error and closes. */
export function refuseUpgrade(socket: Duplex, status: number, body: ErrorBody): void {
  const text = JSON.stringify(body)
  socket.on('error', () => socket.destroy())
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`,
      'content-type: application/json',
      `content-length: ${Buffer.byteLength(text)}`,
      'connection: close',
      '',
      text,
    ].join('\r\n'),
  )
}

function serverFor(maxPayload: number): WebSocketServer {
  const known = servers.get(maxPayload)
  if (known !== undefined) return known
  const server = new WebSocketServer({ noServer: true, clientTracking: false, perMessageDeflate: false, maxPayload })
  servers.set(maxPayload, server)
  return server
}
