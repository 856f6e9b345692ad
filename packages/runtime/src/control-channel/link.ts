import type { Socket } from 'node:net'
import { HEARTBEAT_MISSES, HEARTBEAT_SECONDS, MAX_CONTROL_MESSAGE_BYTES } from '@sallyport/schema'
import type { RawData, WebSocket } from 'ws'
import type { Clock, Timer } from '../clock.ts'
import type { MessageParser } from './message.ts'
import { PeerClock } from './peer-clock.ts'

/** Bytes that may wait for a peer that does not read. */
export const MAX_QUEUE_BYTES = 2 * MAX_CONTROL_MESSAGE_BYTES
/** Time for the closing handshake. */
const CLOSE_TIMEOUT_MS = 1_000
/** RFC 6455, section 7.4.1. */
const CLOSE_NORMAL = 1000
const CLOSE_POLICY = 1008

/** Why a control channel ended. */
export type LinkEndCode = 'closed' | 'peer_closed' | 'lost' | 'silent' | 'malformed' | 'slow_peer'
export type LinkEnd = { code: LinkEndCode; message: string }

export type LinkOptions<I, O> = {
  clock: Clock
  incoming: MessageParser<I>
  /** Makes the heartbeat that goes out every 5 s. */
  heartbeat: () => O
  onMessage: (message: I) => void
  /** A message of a type that this version does not know. */
  onUnknown?: (type: string) => void
  onEnd: (end: LinkEnd) => void
}

/** One open WebSocket with typed messages, heartbeats and limits; the same at both ends. */
export class Link<I extends { type: string }, O extends { type: string }> {
  readonly #ws: WebSocket
  readonly #socket: Socket
  readonly #options: LinkOptions<I, O>
  readonly #peerClock = new PeerClock()
  #tick: Timer
  #closing: Timer | undefined
  #bytesRead = 0
  #misses = 0
  #waiting: { bytes: number; listener: () => void }[] = []
  #pingAtMs: number | undefined
  #ended = false

  constructor(ws: WebSocket, socket: Socket, options: LinkOptions<I, O>) {
    this.#ws = ws
    this.#socket = socket
    this.#options = options
    ws.on('message', (data, isBinary) => this.#receive(data, isBinary))
    ws.on('pong', () => this.#pong())
    ws.on('error', error => this.#end({ code: 'lost', message: error.message }))
    ws.on('close', (code, reason) => this.#closedByPeer(code, reason.toString()))
    this.#tick = this.#schedule()
    this.#ping()
  }

  /** Milliseconds by which the clock of the other side is ahead; undefined before it has stated its time. */
  get peerOffsetMs(): number | undefined {
    return this.#peerClock.offsetMs
  }

  /** Smallest round trip so far. */
  get roundTripMs(): number | undefined {
    return this.#peerClock.roundTripMs
  }

  /** Bytes that wait to be sent. */
  get queuedBytes(): number {
    return this.#ws.bufferedAmount
  }

  /** Sends `message`; false when the channel has ended or ends because the peer does not read. */
  send(message: O): boolean {
    if (this.#ended || this.#closing !== undefined || this.#ws.readyState !== this.#ws.OPEN) return false
    this.#ws.send(JSON.stringify(message), () => this.#sent())
    if (this.#ws.bufferedAmount <= MAX_QUEUE_BYTES) return true
    this.#end({ code: 'slow_peer', message: `${this.#ws.bufferedAmount} bytes wait for a peer that does not read` })
    return false
  }

  /** Calls `listener` once no more than `bytes` wait to be sent, as soon as the peer has read so much; never after the end. */
  whenRoom(bytes: number, listener: () => void): void {
    this.#waiting.push({ bytes, listener })
    this.#sent()
  }

  #sent(): void {
    if (this.#ended || this.#closing !== undefined || this.#waiting.length === 0) return
    const queued = this.#ws.bufferedAmount
    const ready = this.#waiting.filter(({ bytes }) => queued <= bytes)
    this.#waiting = this.#waiting.filter(({ bytes }) => queued > bytes)
    for (const { listener } of ready) listener()
  }

  /** Closes in order, after what has been sent; `onEnd` follows. */
  close(reason = ''): void {
    if (this.#ended || this.#closing !== undefined) return
    this.#closing = this.#options.clock.timer(CLOSE_TIMEOUT_MS, () =>
      this.#end({ code: 'closed', message: 'closed here' }),
    )
    this.#ws.close(CLOSE_NORMAL, reason.slice(0, 100))
  }

  /** Cuts the connection at once; `onEnd` follows within the call. */
  terminate(message = 'closed here'): void {
    this.#end({ code: 'closed', message })
  }

  #receive(data: RawData, isBinary: boolean) {
    if (this.#ended) return
    if (isBinary) return this.#refuse('a binary message')
    const parsed = this.#options.incoming.parse(textOf(data))
    switch (parsed.kind) {
      case 'malformed':
        return this.#refuse(parsed.problem)
      case 'unknown':
        return this.#options.onUnknown?.(parsed.type)
      case 'message': {
        const { message } = parsed
        if ('nowMs' in message && typeof message.nowMs === 'number') {
          this.#peerClock.sample(message.nowMs, this.#options.clock.now())
        }
        return this.#options.onMessage(message)
      }
    }
  }

  #refuse(problem: string): void {
    this.#ws.close(CLOSE_POLICY, problem.slice(0, 100))
    this.#end({ code: 'malformed', message: `the other side sent ${problem}` })
  }

  #schedule(): Timer {
    return this.#options.clock.timer(HEARTBEAT_SECONDS * 1000, () => {
      this.#tick = this.#schedule()
      this.#beat()
    })
  }

  #beat() {
    const { bytesRead } = this.#socket
    this.#misses = bytesRead === this.#bytesRead ? this.#misses + 1 : 0
    this.#bytesRead = bytesRead
    if (this.#misses >= HEARTBEAT_MISSES) {
      return this.#end({ code: 'silent', message: `silent for ${HEARTBEAT_MISSES * HEARTBEAT_SECONDS} s` })
    }
    this.send(this.#options.heartbeat())
    this.#ping()
  }

  #ping(): void {
    if (this.#ws.readyState !== this.#ws.OPEN) return
    this.#pingAtMs = this.#options.clock.monotonic()
    this.#ws.ping()
  }

  #pong(): void {
    if (this.#pingAtMs === undefined) return
    this.#peerClock.roundTrip(this.#options.clock.monotonic() - this.#pingAtMs)
    this.#pingAtMs = undefined
  }

  #closedByPeer(code: number, reason: string) {
    if (this.#closing !== undefined) return this.#end({ code: 'closed', message: 'closed here' })
    if (code === 1006) return this.#end({ code: 'lost', message: 'the connection was lost' })
    this.#end({
      code: 'peer_closed',
      message: `closed by the other side (${code}${reason === '' ? '' : `: ${reason}`})`,
    })
  }

  #end(end: LinkEnd): void {
    if (this.#ended) return
    this.#ended = true
    this.#tick.cancel()
    this.#closing?.cancel()
    // A refusal's close frame may still go out; anything else is cut.
    if (end.code === 'malformed') this.#options.clock.timer(CLOSE_TIMEOUT_MS, () => this.#ws.terminate())
    else if (this.#ws.readyState !== this.#ws.CLOSED) this.#ws.terminate()
    this.#options.onEnd(end)
  }
}

function textOf(data: RawData): string {
  if (Buffer.isBuffer(data)) return data.toString()
  return Array.isArray(data) ? Buffer.concat(data).toString() : Buffer.from(data).toString()
}
