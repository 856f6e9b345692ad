/** Two ends of a session without a network between them, and the frames that a hostile one would send. */
import type { Budget } from './budget.ts'
import { ClientEnd } from './client-end.ts'
import type { GoawayCode, ResetCode } from './code.ts'
import { ConnectorEnd } from './connector-end.ts'
import { WireError } from './error.ts'
import { decodeFrames, encodeFrame, type Frame, FrameType } from './frame.ts'
import { encodeJson } from './hello.ts'
import { HelloReader } from './hello-reader.ts'
import type { SessionStream } from './stream.ts'

export const REQUEST = {
  resource: '00000000-0000-4000-8000-000000000001',
  host: 'db.internal',
  port: 5432,
  protocol: 'tcp',
} as const
export const HASH = 'h'.repeat(43)
export const INSTANCE = 'instance-of-a-test'
export const HELLO = { version: 1, instance: INSTANCE, received: 0, aclHash: HASH }
export const SESSION = 'session-of-a-test'

export type Watched = { stream: SessionStream; events: string[] }

type PairOptions = {
  acl?: Uint8Array
  acceptAcl?: boolean
  refuseAll?: boolean
  creditBudget?: Budget
  keptBudget?: Budget
}

/** Two ends and a carrier that loses nothing until it is cut. */
export class Pair {
  nowMs = 0
  readonly client: { end: ClientEnd; events: string[] }
  readonly connector: {
    end: ConnectorEnd
    events: string[]
    streams: SessionStream[]
    lastAcl: Uint8Array | undefined
    attachedAtMs: number
  }
  readonly #watched = new Map<SessionStream, string[]>()
  #acl: 'wanted' | 'known' = 'known'
  #reader: HelloReader | undefined = new HelloReader()

  constructor({ acl = text('acl'), acceptAcl = true, refuseAll = false, creditBudget, keptBudget }: PairOptions = {}) {
    const clientEvents: string[] = []
    const end = new ClientEnd({
      instance: INSTANCE,
      acl: { bytes: acl, hash: HASH },
      ...(keptBudget && { keptBudget }),
      handler: {
        wake() {},
        ready: ready => clientEvents.push(`ready ${ready.acl}`),
        goaway: (code: GoawayCode) => clientEvents.push(`goaway ${code}`),
        roundTrip: ms => clientEvents.push(`round trip ${ms}`),
        carrierDead: () => clientEvents.push('dead'),
        closed: (code: ResetCode) => clientEvents.push(`closed ${code}`),
      },
    })
    this.client = { end, events: clientEvents }
    const connectorEvents: string[] = []
    const streams: SessionStream[] = []
    const connectorEnd = new ConnectorEnd({
      session: SESSION,
      ...(creditBudget && { creditBudget }),
      handler: {
        wake() {},
        acl: bytes => {
          connectorEvents.push(`acl ${bytes.length}`)
          this.connector.lastAcl = bytes
          if (acceptAcl) connectorEnd.acceptAcl()
        },
        open: stream => {
          streams.push(stream)
          this.#watch(stream)
          if (refuseAll) stream.reset('denied')
        },
        goaway: code => connectorEvents.push(`goaway ${code}`),
      },
    })
    this.connector = { end: connectorEnd, events: connectorEvents, streams, lastAcl: undefined, attachedAtMs: 0 }
    this.client.end.attach(0)
  }

  open(): Watched {
    const result = this.client.end.open(REQUEST)
    if (!('stream' in result)) throw new Error(result.refused)
    return { stream: result.stream, events: this.#watch(result.stream) }
  }

  openAccepted(): { near: Watched; far: Watched } {
    const near = this.open()
    this.exchange()
    const stream = this.connector.streams.at(-1)!
    stream.accept()
    this.exchange()
    return { near, far: { stream, events: this.#watched.get(stream)! } }
  }

  toConnector(chunks: Uint8Array[]): void {
    for (const chunk of chunks) {
      const greeted = this.#reader?.push(chunk)
      if (this.#reader === undefined) {
        this.connector.end.receive(chunk, this.nowMs)
      } else if (greeted !== undefined) {
        this.#reader = undefined
        this.connector.attachedAtMs = this.nowMs
        this.connector.end.attach(greeted.hello, this.#acl, this.nowMs)
        this.connector.end.receive(greeted.rest, this.nowMs)
      }
    }
  }

  toClient(chunks: Uint8Array[]): void {
    for (const chunk of chunks) this.client.end.receive(chunk, this.nowMs)
  }

  exchange(): void {
    for (let round = 0; round < 1_000; round++) {
      const there = this.client.end.output(1e6, this.nowMs)
      this.toConnector(there)
      const back = this.connector.end.output(1e6, this.nowMs)
      this.toClient(back)
      if (there.length + back.length === 0) return
    }
    throw new Error('the ends never fall silent')
  }

  settleAcks(): void {
    this.tick()
    this.nowMs += 100
    this.exchange()
  }

  tick(): void {
    this.client.end.tick(this.nowMs)
    this.connector.end.tick(this.nowMs)
  }

  cut(): void {
    this.client.end.detach(this.nowMs)
    this.connector.end.detach(this.nowMs)
  }

  /** Attaches both again; of what the Client then sends again, only so many bytes of the first body arrive. */
  resume({ acl = 'known', bytesOfFirstFrame }: { acl?: 'wanted' | 'known'; bytesOfFirstFrame?: number } = {}): void {
    this.nowMs += 1_000
    this.#acl = acl
    this.#reader = new HelloReader()
    this.client.end.attach(this.nowMs)
    this.toConnector(this.client.end.output(1e6, this.nowMs))
    this.toClient(this.connector.end.output(1e6, this.nowMs))
    if (bytesOfFirstFrame === undefined) return
    const again = concat(this.client.end.output(1e6, this.nowMs))
    if (bytesOfFirstFrame > 0) this.toConnector([again.subarray(0, 8 + bytesOfFirstFrame)])
  }

  #watch(stream: SessionStream): string[] {
    const events: string[] = []
    this.#watched.set(stream, events)
    stream.handler = {
      opened: () => events.push('opened'),
      data: bytes =>
        events.push(bytes.length > 100 ? `data of ${bytes.length}` : `data ${new TextDecoder().decode(bytes)}`),
      fin: () => events.push('fin'),
      reset: code => events.push(`reset ${code}`),
      drained: () => events.push('drained'),
      datagram: bytes => events.push(`datagram ${new TextDecoder().decode(bytes)}`),
    }
    return events
  }
}

export function openPair(): { pair: Pair; near: Watched; far: Watched } {
  const pair = new Pair()
  return { pair, ...pair.openAccepted() }
}

export function framesOf(chunks: Uint8Array[]): Frame[] {
  return decodeFrames(concat(chunks))
}

/** Names of frames in a flight, keep-alive left out. */
export function names(chunks: Uint8Array[]): string[] {
  const byNumber = new Map<number, string>(Object.entries(FrameType).map(([name, number]) => [number, name]))
  return framesOf(chunks).map(({ type }) => byNumber.get(type) ?? '?')
}

export function frame(stream: number, type: FrameType, body: number[] = []): Uint8Array {
  return encodeFrame({ stream, type, body: Uint8Array.from(body) })
}

export function open(stream: number): Uint8Array {
  return frame(stream, FrameType.Open, [...encodeJson(REQUEST)])
}

/** DATA of `length` bytes, in as many frames as it takes. */
export function data(stream: number, length: number): Uint8Array {
  const frames: Uint8Array[] = []
  for (let left = length; left > 0; left -= 65_536) {
    frames.push(encodeFrame({ stream, type: FrameType.Data, body: new Uint8Array(Math.min(left, 65_536)) }))
  }
  return concat(frames)
}

export function credit(stream: number, bytes: number): Uint8Array {
  return frame(stream, FrameType.Credit, [bytes >>> 24, (bytes >>> 16) & 255, (bytes >>> 8) & 255, bytes & 255])
}

export function ack(count: number): Uint8Array {
  return frame(0, FrameType.Ack, [0, 0, 0, 0, 0, 0, 0, count])
}

export function ready(change: object = {}): Uint8Array {
  const body = { version: 1, session: SESSION, received: 0, acl: 'known' as const, limits: { streams: 10 }, ...change }
  return frame(0, FrameType.Ready, [...encodeJson(body)])
}

export function concat(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

export function codeOf(run: () => unknown): string | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    if (error instanceof WireError) return error.code
    throw error
  }
}
