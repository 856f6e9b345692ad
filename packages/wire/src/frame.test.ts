import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WireError } from './error.ts'
import { decodeFrames, encodeFrame, type Frame, FrameDecoder, FrameType } from './frame.ts'
import { codeOf } from './session-lab.ts'

const golden: [string, Frame, string][] = [
  ['HELLO', { stream: 0, type: FrameType.Hello, body: text('{}') }, '00000000 01 000002 7b7d'],
  ['READY', { stream: 0, type: FrameType.Ready, body: text('{}') }, '00000000 02 000002 7b7d'],
  [
    'ACL',
    { stream: 0, type: FrameType.Acl, body: hex('00000000 00000002 6869') },
    '00000000 03 00000a 00000000 00000002 6869',
  ],
  ['OPEN', { stream: 1, type: FrameType.Open, body: text('{}') }, '00000001 04 000002 7b7d'],
  ['OPENED', { stream: 1, type: FrameType.Opened, body: hex('') }, '00000001 05 000000'],
  ['RESET', { stream: 258, type: FrameType.Reset, body: hex('0006') }, '00000102 06 000002 0006'],
  ['DATA', { stream: 0x7fffffff, type: FrameType.Data, body: text('abc') }, '7fffffff 07 000003 616263'],
  ['FIN', { stream: 3, type: FrameType.Fin, body: hex('') }, '00000003 08 000000'],
  ['CREDIT', { stream: 3, type: FrameType.Credit, body: hex('00040000') }, '00000003 09 000004 00040000'],
  ['ACK', { stream: 0, type: FrameType.Ack, body: hex('0000000100000002') }, '00000000 0a 000008 0000000100000002'],
  ['PING', { stream: 0, type: FrameType.Ping, body: hex('0102030405060708') }, '00000000 0b 000008 0102030405060708'],
  ['PONG', { stream: 0, type: FrameType.Pong, body: hex('0102030405060708') }, '00000000 0c 000008 0102030405060708'],
  ['GOAWAY', { stream: 0, type: FrameType.Goaway, body: hex('0001') }, '00000000 0d 000002 0001'],
  ['DATAGRAM', { stream: 9, type: FrameType.Datagram, body: hex('ff') }, '00000009 0e 000001 ff'],
]

describe('frames', () => {
  it.each(golden)('%s has these bytes', (_name, frame, bytes) => {
    expect(encodeFrame(frame)).toEqual(hex(bytes))
    expect(decodeFrames(hex(bytes))).toEqual([frame])
  })

  it.each([
    ['an unknown type below 128', '00000000 7f 000000', 'unknown_type'],
    ['type 0', '00000000 00 000000', 'unknown_type'],
    ['a body over 64 KiB', '00000001 07 010001', 'frame_too_long'],
    ['a skippable frame over 64 KiB', '00000000 80 010001', 'frame_too_long'],
    ['OPEN over its limit', '00000001 04 000401', 'frame_too_long'],
    ['ACK that is too short', '00000000 0a 000007', 'bad_length'],
    ['ACK that is too long', '00000000 0a 000009', 'frame_too_long'],
    ['OPENED with a body', '00000001 05 000001', 'frame_too_long'],
    ['DATA on stream 0', '00000000 07 000001', 'bad_stream'],
    ['PING on a stream', '00000001 0b 000008', 'bad_stream'],
  ])('%s is refused by its header alone', (_name, bytes, code) => {
    expect(codeOf(() => decodeFrames(hex(bytes)))).toBe(code)
  })

  it('unknown types from 128 up are skipped with their body', () => {
    const bytes = hex('00000007 80 000003 616263  00000001 08 000000  00000000 ff 000000  00000002 08 000000')
    expect(decodeFrames(bytes).map(frame => frame.stream)).toEqual([1, 2])
  })

  it('the longest DATA is taken, and in one chunk it is not copied', () => {
    const bytes = encodeFrame({ stream: 1, type: FrameType.Data, body: new Uint8Array(65_536) })
    expect(decodeFrames(bytes)[0]?.body.buffer).toBe(bytes.buffer)
  })

  it('round trip over any chunk boundaries', () => {
    fc.assert(
      fc.property(
        fc.array(anyFrame(), { maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 50 })),
        (frames, cuts) => {
          const whole = concat(frames.map(encodeFrame))
          expect(collect(chunksOf(whole, cuts))).toEqual(frames)
        },
      ),
    )
  })

  it('garbage never throws anything but WireError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.integer({ min: 1, max: 9 })), (garbage, cuts) => {
        try {
          collect(chunksOf(garbage, cuts))
        } catch (error) {
          expect(error).toBeInstanceOf(WireError)
        }
      }),
      { numRuns: 500 },
    )
  })
})

function anyFrame(): fc.Arbitrary<Frame> {
  const stream = fc.integer({ min: 1, max: 0xffffffff })
  const sized = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
  return fc.oneof(
    fc.record({ stream, type: fc.constant(FrameType.Data), body: fc.uint8Array({ minLength: 1, maxLength: 200 }) }),
    fc.record({ stream, type: fc.constant(FrameType.Open), body: fc.uint8Array({ minLength: 2, maxLength: 100 }) }),
    fc.record({ stream, type: fc.constant(FrameType.Fin), body: sized(0) }),
    fc.record({ stream, type: fc.constant(FrameType.Credit), body: sized(4) }),
    fc.record({ stream: fc.constant(0), type: fc.constant(FrameType.Ack), body: sized(8) }),
  )
}

/** Reads frames from chunks, with DATA put together again. */
function collect(chunks: Uint8Array[]): Frame[] {
  const frames: Frame[] = []
  let id = 0
  let pieces: Uint8Array[] = []
  const decoder = new FrameDecoder({
    frame: (type, stream, body) => frames.push({ stream, type, body: body.slice() }),
    beginData: stream => {
      id = stream
      pieces = []
    },
    data: piece => pieces.push(piece),
    endData: () => frames.push({ stream: id, type: FrameType.Data, body: concat(pieces) }),
  })
  for (const chunk of chunks) decoder.push(chunk)
  return frames
}

function chunksOf(bytes: Uint8Array, cuts: number[]): Uint8Array[] {
  const chunks: Uint8Array[] = []
  let at = 0
  for (let index = 0; at < bytes.length; index++) {
    const length = cuts[index % Math.max(1, cuts.length)] ?? bytes.length
    chunks.push(bytes.slice(at, at + length))
    at += length
  }
  return chunks
}

function concat(parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap(part => [...part]))
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

function hex(value: string): Uint8Array {
  return Uint8Array.from(value.replaceAll(' ', '').match(/../g) ?? [], byte => Number.parseInt(byte, 16))
}
