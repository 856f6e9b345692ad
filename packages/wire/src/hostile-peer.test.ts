import { describe, expect, it } from 'vitest'
import { FrameType } from './frame.ts'
import { encodeJson } from './hello.ts'
import { MAX_ABANDONED_OPENS, MAX_STREAMS } from './limit.ts'
import { ack, codeOf, credit, data, frame, framesOf, HELLO, open, openPair, Pair, ready, text } from './session-lab.ts'

describe('a hostile Client', () => {
  it.each([
    ['DATA beyond its credit', [data(1, 300_000)], 'credit_overrun'],
    ['DATA on a stream never opened', [data(9, 1)], 'unknown_stream'],
    ['DATA after FIN', [frame(1, FrameType.Fin), data(1, 1)], 'data_after_fin'],
    ['FIN twice', [frame(1, FrameType.Fin), frame(1, FrameType.Fin)], 'data_after_fin'],
    ['DATA before OPENED', [open(2), data(2, 1)], 'data_before_opened'],
    ['an id twice', [open(2), open(2)], 'id_not_rising'],
    ['ids going backwards', [open(5), open(4)], 'id_not_rising'],
    ['an id above 2^31', [open(2 ** 31)], 'bad_number'],
    ['CREDIT above 2^31', [credit(1, 0x7fffffff)], 'credit_overflow'],
    ['RESET of a stream never opened', [frame(7, FrameType.Reset, [0, 1])], 'unknown_stream'],
    ['ACK beyond what was sent', [ack(99)], 'ack_beyond_sent'],
    ['ACK going backwards', [ack(1), ack(0)], 'ack_backwards'],
    ['ACK above 2^53', [frame(0, FrameType.Ack, [255, 0, 0, 0, 0, 0, 0, 0])], 'bad_number'],
    ['HELLO again', [frame(0, FrameType.Hello, [...encodeJson(HELLO)])], 'unexpected_frame'],
    ['READY', [frame(0, FrameType.Ready, [...text('{}')])], 'unexpected_frame'],
    ['OPENED', [open(2), frame(2, FrameType.Opened)], 'unexpected_frame'],
    ['OPEN that is not JSON', [frame(2, FrameType.Open, [...text('{{')])], 'bad_json'],
    ['OPEN that is a list', [frame(2, FrameType.Open, [...text('[]')])], 'bad_json'],
    ['OPEN without a host', [frame(2, FrameType.Open, [...text('{"protocol":"tcp"}')])], 'bad_json'],
    ['OPEN that is not UTF-8', [frame(2, FrameType.Open, [0xff, 0xfe])], 'bad_json'],
    ['an ACL over 4 MiB', [frame(0, FrameType.Acl, [0, 0, 0, 0, 0, 64, 0, 1, 9])], 'acl_too_large'],
    ['an ACL that begins in the middle', [frame(0, FrameType.Acl, [0, 0, 0, 1, 0, 0, 0, 9, 9])], 'acl_piece'],
    ['an ACL piece beyond its total', [frame(0, FrameType.Acl, [0, 0, 0, 0, 0, 0, 0, 1, 9, 9])], 'acl_piece'],
    ['an unknown type', [Uint8Array.of(0, 0, 0, 0, 99, 0, 0, 0)], 'unknown_type'],
    ['an over-long frame', [Uint8Array.of(0, 0, 0, 1, 7, 1, 0, 1)], 'frame_too_long'],
    [
      '33 PINGs without reading',
      Array.from({ length: 33 }, () => frame(0, FrameType.Ping, [0, 0, 0, 0, 0, 0, 0, 1])),
      'ping_flood',
    ],
  ])('is refused for %s', (_name, frames, code) => {
    const { pair } = openPair()
    expect(codeOf(() => pair.toConnector(frames))).toBe(code)
  })

  it('opens 16 384 streams and no more', () => {
    const pair = new Pair()
    pair.exchange()
    for (let id = 1; id <= MAX_STREAMS + 3; id++) pair.toConnector([open(id)])
    expect(pair.connector.streams).toHaveLength(MAX_STREAMS)
    expect(pair.connector.end.streamCount).toBe(MAX_STREAMS)
    const resets = framesOf(pair.connector.end.output(1e6, 0)).filter(({ type }) => type === FrameType.Reset)
    expect(resets.map(reset => [reset.stream, [...reset.body]])).toEqual([
      [MAX_STREAMS + 1, [0, 18]],
      [MAX_STREAMS + 2, [0, 18]],
      [MAX_STREAMS + 3, [0, 18]],
    ])
  })

  it('is given up when it opens and abandons without end', () => {
    const pair = new Pair()
    pair.exchange()
    const flood = () => {
      for (let id = 1; id <= MAX_ABANDONED_OPENS + 1; id++) {
        pair.toConnector([open(id), frame(id, FrameType.Reset, [0, 19])])
      }
    }
    expect(codeOf(flood)).toBe('open_flood')
    expect(pair.connector.end.streamCount).toBe(0)
  })

  it('is given up when it opens without reading the refusals', () => {
    const pair = new Pair({ refuseAll: true })
    pair.exchange()
    const flood = () => {
      for (let id = 1; id <= 5 * MAX_STREAMS; id++) pair.toConnector([open(id)])
    }
    expect(codeOf(flood)).toBe('open_flood')
  })

  it('data on a closed stream is ignored and acknowledged', () => {
    const { pair, far } = openPair()
    far.stream.reset('revoked')
    pair.toConnector([data(1, 10)])
    expect(far.events).toEqual([])
    expect(framesOf(pair.connector.end.output(1e6, 100)).find(({ type }) => type === FrameType.Ack)).toBeDefined()
  })
})

describe('a hostile Connector', () => {
  it.each([
    ['OPEN', [open(1)], 'unexpected_frame'],
    ['ACL', [frame(0, FrameType.Acl, [0, 0, 0, 0, 0, 0, 0, 1, 9])], 'unexpected_frame'],
    ['READY twice', [ready(), ready()], 'unexpected_frame'],
    ['READY of a later version', [ready({ version: 2 })], 'unsupported_version'],
    ['READY that counts frames never sent', [ready({ received: 5 })], 'ack_beyond_sent'],
    ['OPENED of a stream never asked for', [frame(9, FrameType.Opened)], 'unknown_stream'],
    ['OPENED twice', [frame(1, FrameType.Opened), frame(1, FrameType.Opened)], 'unexpected_frame'],
    ['DATA before OPENED', [data(1, 1)], 'data_before_opened'],
  ])('is refused for %s', (_name, frames, code) => {
    const pair = new Pair()
    pair.open()
    pair.client.end.output(1e6, 0)
    expect(codeOf(() => pair.toClient(frames))).toBe(code)
  })

  it('another session on a resume is refused', () => {
    const { pair } = openPair()
    pair.cut()
    pair.nowMs += 1_000
    pair.client.end.attach(pair.nowMs)
    expect(codeOf(() => pair.toClient([ready({ session: 'session-of-another' })]))).toBe('resume_mismatch')
  })
})
