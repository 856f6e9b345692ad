// Frames of a session, in both directions of a tunnel:
//
//   stream u32 | type u8 | length u24 | body (at most 64 KiB), big-endian
//
// A sequenced frame's number is its position, from 1, among the sequenced frames of that direction in the session;
// it is never on the wire. Types from 128 up are skipped by who does not know them.

import { WireError } from './error.ts'
import { FIRST_SKIPPABLE_TYPE, HEADER_BYTES, MAX_BODY_BYTES, MAX_HELLO_BYTES, MAX_OPEN_BYTES } from './limit.ts'

/** Numbers of the frame types. */
export const FrameType = {
  Hello: 1, // stream 0 | JSON
  Ready: 2, // stream 0 | JSON
  Acl: 3, // stream 0 | offset u32 | total u32 | bytes
  Open: 4, // stream n | JSON; sequenced
  Opened: 5, // stream n | empty; sequenced
  Reset: 6, // stream n | code u16; sequenced
  Data: 7, // stream n | bytes; sequenced; empty in place of a body that a RESET made useless
  Fin: 8, // stream n | empty; sequenced
  Credit: 9, // stream n | bytes granted u32; sequenced
  Ack: 10, // stream 0 | sequenced frames received u64
  Ping: 11, // stream 0 | 8 bytes
  Pong: 12, // stream 0 | the 8 bytes of the PING
  Goaway: 13, // stream 0 | code u16
  Datagram: 14, // stream n | one UDP or ICMP payload
} as const

export type FrameType = (typeof FrameType)[keyof typeof FrameType]

type Rule = { name: string; onStream: boolean; sequenced: boolean; min: number; max: number }

const RULES: readonly (Rule | undefined)[] = table({
  [FrameType.Hello]: { name: 'HELLO', onStream: false, sequenced: false, min: 2, max: MAX_HELLO_BYTES },
  [FrameType.Ready]: { name: 'READY', onStream: false, sequenced: false, min: 2, max: MAX_HELLO_BYTES },
  [FrameType.Acl]: { name: 'ACL', onStream: false, sequenced: false, min: 9, max: MAX_BODY_BYTES },
  [FrameType.Open]: { name: 'OPEN', onStream: true, sequenced: true, min: 2, max: MAX_OPEN_BYTES },
  [FrameType.Opened]: { name: 'OPENED', onStream: true, sequenced: true, min: 0, max: 0 },
  [FrameType.Reset]: { name: 'RESET', onStream: true, sequenced: true, min: 2, max: 2 },
  [FrameType.Data]: { name: 'DATA', onStream: true, sequenced: true, min: 0, max: MAX_BODY_BYTES },
  [FrameType.Fin]: { name: 'FIN', onStream: true, sequenced: true, min: 0, max: 0 },
  [FrameType.Credit]: { name: 'CREDIT', onStream: true, sequenced: true, min: 4, max: 4 },
  [FrameType.Ack]: { name: 'ACK', onStream: false, sequenced: false, min: 8, max: 8 },
  [FrameType.Ping]: { name: 'PING', onStream: false, sequenced: false, min: 8, max: 8 },
  [FrameType.Pong]: { name: 'PONG', onStream: false, sequenced: false, min: 8, max: 8 },
  [FrameType.Goaway]: { name: 'GOAWAY', onStream: false, sequenced: false, min: 2, max: 2 },
  [FrameType.Datagram]: { name: 'DATAGRAM', onStream: true, sequenced: false, min: 0, max: MAX_BODY_BYTES },
})

/** One whole frame. */
export type Frame = { stream: number; type: FrameType; body: Uint8Array }

/**
 * Where a decoder puts what it reads. Bytes are views of the decoded chunk. DATA comes in the pieces in which it
 * arrives, between `beginData` and `endData`; every other frame comes whole.
 */
export type FrameSink = {
  frame(type: FrameType, stream: number, body: Uint8Array): void
  beginData(stream: number, length: number): void
  data(piece: Uint8Array): void
  endData(): void
}

/** Whether frames of `type` are counted and kept until acknowledged. */
export function isSequenced(type: FrameType): boolean {
  return RULES[type]!.sequenced
}

/** Writes one frame. Throws TypeError for a body longer than its type allows. */
export function encodeFrame({ stream, type, body }: Frame): Uint8Array {
  if (body.length > RULES[type]!.max) throw new TypeError(`${RULES[type]!.name} of ${body.length} bytes`)
  const bytes = new Uint8Array(HEADER_BYTES + body.length)
  writeHeader(bytes, 0, type, stream, body.length)
  bytes.set(body, HEADER_BYTES)
  return bytes
}

/** Reads whole frames from `bytes`, for tools and tests; the rest that is no whole frame is not an error. Throws WireError. */
export function decodeFrames(bytes: Uint8Array): Frame[] {
  const frames: Frame[] = []
  let stream = 0
  let pieces: Uint8Array[] = []
  const decoder = new FrameDecoder({
    frame: (type, id, body) => frames.push({ stream: id, type, body }),
    beginData: id => {
      stream = id
      pieces = []
    },
    data: piece => pieces.push(piece),
    endData: () => frames.push({ stream, type: FrameType.Data, body: pieces[0] ?? new Uint8Array() }),
  })
  decoder.push(bytes)
  return frames
}

/** Writes the header of a frame at `at`. */
export function writeHeader(bytes: Uint8Array, at: number, type: FrameType, stream: number, length: number): void {
  bytes[at] = stream >>> 24
  bytes[at + 1] = stream >>> 16
  bytes[at + 2] = stream >>> 8
  bytes[at + 3] = stream
  bytes[at + 4] = type
  bytes[at + 5] = length >>> 16
  bytes[at + 6] = length >>> 8
  bytes[at + 7] = length
}

type Mode = 'header' | 'body' | 'data' | 'skip'

/** Reads frames from chunks with any boundaries; holds at most one body that is not DATA. */
export class FrameDecoder {
  readonly #sink: FrameSink
  readonly #header = new Uint8Array(HEADER_BYTES)
  #headerLength = 0
  #mode: Mode = 'header'
  #stream = 0
  #type: FrameType = FrameType.Data
  #left = 0
  #body: Uint8Array | undefined
  #bodyLength = 0
  #stopped = false

  constructor(sink: FrameSink) {
    this.#sink = sink
  }

  /** Ends the `push` that is in progress before its next frame, and all later ones. */
  stop(): void {
    this.#stopped = true
  }

  /** Reads `chunk` and returns how much of it was read: all of it, unless the decoder was stopped. Throws WireError. */
  push(chunk: Uint8Array): number {
    let at = 0
    while (at < chunk.length && !this.#stopped) {
      switch (this.#mode) {
        case 'header':
          at = this.#readHeader(chunk, at)
          break
        case 'body':
          at = this.#readBody(chunk, at)
          break
        case 'data':
          at = this.#readData(chunk, at)
          break
        case 'skip':
          at = this.#skip(chunk, at)
          break
      }
    }
    return at
  }

  #readHeader(chunk: Uint8Array, at: number): number {
    if (this.#headerLength === 0 && chunk.length - at >= HEADER_BYTES) {
      this.#begin(chunk, at)
      return at + HEADER_BYTES
    }
    const end = Math.min(chunk.length, at + HEADER_BYTES - this.#headerLength)
    this.#header.set(chunk.subarray(at, end), this.#headerLength)
    this.#headerLength += end - at
    if (this.#headerLength === HEADER_BYTES) {
      this.#headerLength = 0
      this.#begin(this.#header, 0)
    }
    return end
  }

  #begin(bytes: Uint8Array, at: number): void {
    const stream = ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
    const type = bytes[at + 4]!
    const length = (bytes[at + 5]! << 16) | (bytes[at + 6]! << 8) | bytes[at + 7]!
    if (length > MAX_BODY_BYTES) throw new WireError('frame_too_long', `frame of ${length} bytes`)
    const rule = RULES[type]
    if (rule === undefined) {
      if (type < FIRST_SKIPPABLE_TYPE) throw new WireError('unknown_type', `frame of type ${type}`)
      this.#left = length
      this.#mode = length === 0 ? 'header' : 'skip'
      return
    }
    if (rule.onStream !== stream > 0) throw new WireError('bad_stream', `${rule.name} on stream ${stream}`)
    if (length > rule.max)
      throw new WireError('frame_too_long', `${rule.name} of ${length} bytes, want at most ${rule.max}`)
    if (length < rule.min)
      throw new WireError('bad_length', `${rule.name} of ${length} bytes, want at least ${rule.min}`)
    this.#start(type as FrameType, stream, length)
  }

  #start(type: FrameType, stream: number, length: number): void {
    this.#type = type
    this.#stream = stream
    this.#left = length
    if (type === FrameType.Data) {
      this.#sink.beginData(stream, length)
      if (length === 0) this.#sink.endData()
      else this.#mode = 'data'
    } else if (length === 0) {
      this.#sink.frame(type, stream, EMPTY)
    } else {
      this.#mode = 'body'
    }
  }

  #readBody(chunk: Uint8Array, at: number): number {
    if (this.#body === undefined && chunk.length - at >= this.#left) {
      const end = at + this.#left
      this.#mode = 'header'
      this.#sink.frame(this.#type, this.#stream, chunk.subarray(at, end))
      return end
    }
    this.#body ??= new Uint8Array(this.#left)
    const end = Math.min(chunk.length, at + this.#left)
    this.#body.set(chunk.subarray(at, end), this.#bodyLength)
    this.#bodyLength += end - at
    this.#left -= end - at
    if (this.#left === 0) {
      const body = this.#body
      this.#body = undefined
      this.#bodyLength = 0
      this.#mode = 'header'
      this.#sink.frame(this.#type, this.#stream, body)
    }
    return end
  }

  #readData(chunk: Uint8Array, at: number): number {
    const end = Math.min(chunk.length, at + this.#left)
    this.#left -= end - at
    if (this.#left === 0) this.#mode = 'header'
    this.#sink.data(chunk.subarray(at, end))
    if (this.#left === 0) this.#sink.endData()
    return end
  }

  #skip(chunk: Uint8Array, at: number): number {
    const end = Math.min(chunk.length, at + this.#left)
    this.#left -= end - at
    if (this.#left === 0) this.#mode = 'header'
    return end
  }
}

const EMPTY = new Uint8Array()

function table(rules: Record<FrameType, Rule>): (Rule | undefined)[] {
  const rows: (Rule | undefined)[] = []
  for (const type of Object.values(FrameType)) rows[type] = rules[type]
  return rows
}
