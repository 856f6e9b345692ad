import { describe, expect, it } from 'vitest'
import { Budget } from './budget.ts'
import { ClientEnd } from './client-end.ts'
import type { GoawayCode, ResetCode } from './code.ts'
import { ConnectorEnd } from './connector-end.ts'
import { WireError } from './error.ts'
import { decodeFrames, encodeFrame, type Frame, FrameType } from './frame.ts'
import { encodeJson, parseHello } from './hello.ts'
import { HelloReader } from './hello-reader.ts'
import { FLOOR_CREDIT, MAX_ABANDONED_OPENS, MAX_STREAMS } from './limit.ts'
import type { SessionStream } from './stream.ts'

const REQUEST = {
  resource: '00000000-0000-4000-8000-000000000001',
  host: 'db.internal',
  port: 5432,
  protocol: 'tcp',
} as const
const HASH = 'h'.repeat(43)
const INSTANCE = 'instance-of-a-test'
const HELLO = { version: 1, instance: INSTANCE, received: 0, aclHash: HASH }
const SESSION = 'session-of-a-test'

describe('a new session', () => {
  it('sends HELLO, ACL and OPEN in one flight, and OPENED comes back', () => {
    const pair = new Pair()
    const stream = pair.open()
    const flight = pair.client.end.output(1e6, 0)
    expect(names(flight)).toEqual(['Hello', 'Acl', 'Open', 'Credit'])
    pair.toConnector(flight)
    expect(pair.connector.streams).toHaveLength(1)
    expect(pair.connector.streams[0]?.request).toEqual(REQUEST)
    pair.connector.streams[0]?.accept()
    const answer = pair.connector.end.output(1e6, 0)
    expect(names(answer)).toEqual(['Ready', 'Opened', 'Credit'])
    pair.toClient(answer)
    expect(stream.events).toEqual(['opened'])
    expect(pair.client.events).toEqual(['ready known'])
    expect(pair.client.end.session).toBe(SESSION)
  })

  it('holds OPENs and says nothing until the ACL is accepted', () => {
    const pair = new Pair({ acceptAcl: false })
    pair.open()
    pair.exchange()
    expect(pair.connector.events).toEqual(['acl 3'])
    expect(pair.connector.streams).toEqual([])
    expect(pair.client.events).toEqual([])
    pair.connector.end.acceptAcl()
    pair.exchange()
    expect(pair.connector.streams).toHaveLength(1)
    expect(pair.client.events).toEqual(['ready known'])
  })

  it('an OPEN that was abandoned while held is never handed on', () => {
    const pair = new Pair({ acceptAcl: false })
    const { stream } = pair.open()
    pair.exchange()
    stream.reset('cancelled')
    pair.exchange()
    pair.connector.end.acceptAcl()
    expect(pair.connector.streams).toEqual([])
    expect(pair.connector.end.streamCount).toBe(0)
  })

  it('an ACL of many pieces arrives whole, and so does a renewal', () => {
    const acl = Uint8Array.from({ length: 200_000 }, (_, at) => at & 255)
    const pair = new Pair({ acl })
    pair.exchange()
    pair.client.end.renewAcl({ bytes: acl.subarray(0, 70_000), hash: HASH })
    pair.exchange()
    expect(pair.connector.events).toEqual(['acl 200000', 'acl 70000'])
    expect(pair.connector.lastAcl).toEqual(acl.subarray(0, 70_000))
  })

  it('a stream reset before its OPEN went out is never heard of', () => {
    const pair = new Pair()
    const first = pair.open()
    first.stream.reset('cancelled')
    const second = pair.open()
    pair.exchange()
    expect(pair.connector.streams.map(stream => stream.id)).toEqual([second.stream.id])
  })

  it('a request that no OPEN can carry is refused here', () => {
    const pair = new Pair()
    expect(pair.client.end.open({ ...REQUEST, host: 'a b' })).toEqual({ refused: 'name_not_found' })
    expect(pair.client.end.open({ ...REQUEST, host: 'a'.repeat(254) })).toEqual({ refused: 'name_not_found' })
    expect(pair.client.end.open({ ...REQUEST, port: 0 })).toEqual({ refused: 'name_not_found' })
    expect(pair.client.end.streamCount).toBe(0)
  })
})

describe('a stream', () => {
  it('carries bytes both ways and closes each half on its own', () => {
    const { pair, near, far } = openPair()
    near.stream.write(text('ping'))
    near.stream.end()
    pair.exchange()
    expect(far.events).toEqual(['data ping', 'fin'])
    far.stream.write(text('pong'))
    pair.exchange()
    expect(near.events).toEqual(['opened', 'data pong'])
    far.stream.end()
    near.stream.consumed(4)
    far.stream.consumed(4)
    pair.exchange()
    expect(near.events).toEqual(['opened', 'data pong', 'fin'])
    expect([pair.client.end.streamCount, pair.connector.end.streamCount]).toEqual([0, 0])
  })

  it('stays until what came before the last FIN is consumed', () => {
    const { pair, near, far } = openPair()
    near.stream.write(text('ping'))
    near.stream.end()
    far.stream.end()
    pair.exchange()
    expect(pair.connector.end.streamCount).toBe(1)
    far.stream.consumed(4)
    expect(pair.connector.end.streamCount).toBe(0)
  })

  it('RESET reaches the other side with its code, and drops what waited', () => {
    const { pair, near, far } = openPair()
    near.stream.write(text('never sent'))
    near.stream.reset('closed')
    pair.exchange()
    expect(far.events).toEqual(['reset closed'])
    expect(near.events).toEqual(['opened'])
    expect([pair.client.end.streamCount, pair.connector.end.streamCount]).toEqual([0, 0])
  })

  it('a refusal arrives with its code', () => {
    const pair = new Pair()
    const near = pair.open()
    pair.exchange()
    pair.connector.streams[0]?.reset('port_not_granted')
    pair.exchange()
    expect(near.events).toEqual(['reset port_not_granted'])
  })

  it('what crosses a RESET is ignored', () => {
    const { pair, near, far } = openPair()
    far.stream.write(text('late'))
    far.stream.end()
    const late = pair.connector.end.output(1e6, 0)
    near.stream.reset('closed')
    pair.toClient(late)
    pair.exchange()
    expect(near.events).toEqual(['opened'])
  })

  it('that does not read takes its window and never blocks another', () => {
    const { pair, near, far } = openPair()
    const other = pair.openAccepted()
    for (let chunk = 0; chunk < 64; chunk++) near.stream.write(new Uint8Array(65_536))
    pair.exchange()
    expect(far.stream.bytesReceived).toBe(256 * 1024)
    other.near.stream.write(text('through'))
    pair.exchange()
    expect(other.far.events).toEqual(['data through'])
    far.stream.consumed(far.stream.bytesReceived)
    pair.exchange()
    expect(far.stream.bytesReceived).toBe(512 * 1024)
  })

  it('tells its writer to wait, and when to go on', () => {
    const { pair, near } = openPair()
    expect(near.stream.write(new Uint8Array(200_000))).toBe(true)
    expect(near.stream.write(new Uint8Array(100_000))).toBe(false)
    expect(near.events).toEqual(['opened'])
    pair.exchange()
    expect(near.events).toEqual(['opened', 'drained'])
  })

  it('takes turns of at most 64 KiB with others', () => {
    const { pair, near } = openPair()
    const other = pair.openAccepted()
    near.stream.write(new Uint8Array(150_000))
    other.near.stream.write(new Uint8Array(70_000))
    const frames = framesOf(pair.client.end.output(1e6, 0)).filter(frame => frame.type === FrameType.Data)
    expect(frames.map(frame => [frame.stream, frame.body.length])).toEqual([
      [1, 65_536],
      [2, 65_536],
      [1, 65_536],
      [2, 4_464],
      [1, 18_928],
    ])
  })

  it('datagrams go to open streams only, and are dropped, not queued, beyond a limit', () => {
    const { pair, near, far } = openPair()
    expect(near.stream.sendDatagram(text('one'))).toBe(true)
    pair.exchange()
    expect(far.events).toEqual(['datagram one'])
    const sent = Array.from({ length: 10 }, () => near.stream.sendDatagram(new Uint8Array(60_000)))
    expect(sent.filter(Boolean)).toHaveLength(4)
    expect(pair.client.end.datagramsDropped).toBe(6)
    pair.toConnector([encodeFrame({ stream: 77, type: FrameType.Datagram, body: text('lost') })])
    expect(pair.connector.end.datagramsDropped).toBe(1)
  })
})

describe('credit', () => {
  it('grows with the bandwidth-delay product up to 16 MiB', () => {
    const { pair, near, far } = openPair()
    pair.nowMs = 0
    pair.tick()
    const pings = pair.connector.end.output(1e6, pair.nowMs)
    pair.nowMs += 200
    pair.toClient(pings)
    pair.exchange()
    expect(pair.connector.end.roundTripMs).toBe(200)
    for (let round = 0; round < 30; round++) {
      while (near.stream.pendingBytes < 40e6) near.stream.write(new Uint8Array(65_536))
      pair.nowMs += 100
      pair.exchange()
      far.stream.consumed(far.stream.credit.unconsumed)
    }
    expect(far.stream.credit.window).toBe(16 * 1024 * 1024)
  })

  it('does not grow when the reader is what is slow', () => {
    const { pair, near, far } = openPair()
    for (let round = 0; round < 30; round++) {
      near.stream.write(new Uint8Array(65_536))
      pair.nowMs += 1_000
      pair.exchange()
      far.stream.consumed(far.stream.credit.unconsumed)
    }
    expect(far.stream.credit.window).toBe(256 * 1024)
  })

  it('first windows take half of what a session has, then each stream its floor', () => {
    const pair = new Pair()
    for (let count = 0; count < 1_000; count++) pair.openAccepted()
    const floors = 1_000 * FLOOR_CREDIT
    expect(pair.connector.end.outstandingCredit).toBeLessThanOrEqual(32 * 1024 * 1024 + floors)
    const last = pair.openAccepted()
    for (let chunk = 0; chunk < 10; chunk++) last.near.stream.write(new Uint8Array(65_536))
    pair.exchange()
    expect(last.far.stream.bytesReceived).toBe(FLOOR_CREDIT)
    last.far.stream.consumed(FLOOR_CREDIT)
    pair.exchange()
    expect(last.far.stream.bytesReceived).toBeGreaterThan(FLOOR_CREDIT)
  })

  it('keeps within the budget of the process, and gives everything back', () => {
    const creditBudget = new Budget(64 * 1024)
    const keptBudget = new Budget(1024 * 1024)
    const pair = new Pair({ creditBudget, keptBudget })
    const { near, far } = pair.openAccepted()
    for (let chunk = 0; chunk < 10; chunk++) near.stream.write(new Uint8Array(65_536))
    pair.exchange()
    expect(far.stream.bytesReceived).toBe(64 * 1024)
    expect(creditBudget.used).toBe(64 * 1024)
    expect(keptBudget.used).toBeGreaterThan(0)
    pair.client.end.close('connector_lost', undefined)
    pair.connector.end.close('connector_lost', undefined)
    expect([creditBudget.used, keptBudget.used]).toEqual([0, 0])
    expect(near.events.at(-1)).toBe('reset connector_lost')
  })
})

describe('acknowledgement', () => {
  it('goes out after 100 ms', () => {
    const { pair, near } = openPair()
    pair.settleAcks()
    near.stream.write(text('x'))
    pair.toConnector(pair.client.end.output(1e6, pair.nowMs))
    expect(names(pair.connector.end.output(1e6, pair.nowMs))).toEqual([])
    const dueMs = pair.connector.end.nextDeadlineMs
    expect(dueMs).toBe(pair.nowMs + 100)
    expect(names(pair.connector.end.output(1e6, dueMs))).toEqual(['Ack'])
    expect(names(pair.connector.end.output(1e6, dueMs))).toEqual([])
  })

  it('goes out after 256 KiB', () => {
    const { pair, near } = openPair()
    pair.settleAcks()
    near.stream.write(new Uint8Array(256 * 1024))
    pair.toConnector(pair.client.end.output(1e6, pair.nowMs))
    expect(names(pair.connector.end.output(1e6, pair.nowMs))).toEqual(['Ack'])
  })

  it('that does not come stops DATA and OPEN, while RESET, FIN and CREDIT still go', () => {
    const pair = new Pair({ keptBudget: new Budget(0) })
    const [first, second, third, fourth] = [1, 2, 3, 4].map(() => pair.openAccepted())
    for (const opened of [first, second]) opened?.near.stream.write(new Uint8Array(256 * 1024))
    const sent = framesOf(pair.client.end.output(1e7, pair.nowMs))
    expect(sent.reduce((sum, frame) => sum + frame.body.length, 0)).toBe(512 * 1024)
    const waiting = pair.open()
    first?.near.stream.write(text('x'))
    third?.near.stream.reset('closed')
    fourth?.near.stream.end()
    expect(names(pair.client.end.output(1e7, pair.nowMs))).toEqual(['Reset', 'Fin'])
    expect(waiting.stream.announced).toBe(false)
    for (const chunk of sent) pair.toConnector([encodeFrame(chunk)])
    pair.exchange()
    expect(waiting.stream.announced).toBe(true)
  })

  it('a peer that never acknowledges is given up', () => {
    const { pair, far } = openPair()
    pair.toConnector([credit(1, 0x7000_0000)])
    for (let chunk = 0; chunk < 520; chunk++) far.stream.write(new Uint8Array(65_536))
    pair.connector.end.output(1e9, 0)
    expect(pair.connector.end.keptBytes).toBeGreaterThan(32 * 1024 * 1024)
    expect(pair.connector.end.keptBytes).toBeLessThan(33 * 1024 * 1024)
    pair.connector.end.drain()
    const flood = () => {
      for (let id = 2; id < 80_000; id++) {
        pair.toConnector([open(id)])
        if (id % 1_000 === 0) pair.connector.end.output(1e9, 0)
      }
    }
    expect(codeOf(flood)).toBe('ack_overdue')
  })
})

describe('keep-alive', () => {
  it('pings every 10 s and measures the round trip', () => {
    const pair = new Pair()
    pair.tick()
    pair.exchange()
    expect(pair.client.events).toContain('round trip 0')
    expect(pair.client.end.nextDeadlineMs).toBeLessThanOrEqual(pair.nowMs + 10_000)
  })

  it('a silent carrier is dead after 10 s', () => {
    const pair = new Pair()
    pair.tick()
    pair.client.end.output(1e6, pair.nowMs)
    pair.nowMs += 9_999
    pair.tick()
    expect(pair.client.events).not.toContain('dead')
    pair.nowMs += 1
    pair.tick()
    expect(pair.client.events).toContain('dead')
  })
})

describe('a carrier that is slow', () => {
  it('is not dead as long as bytes come, though the PONG does not', () => {
    const { pair, far } = openPair()
    pair.tick()
    pair.client.end.output(1e6, pair.nowMs)
    for (let second = 0; second < 30; second++) {
      pair.nowMs += 1_000
      far.stream.write(text('x'))
      pair.toClient(pair.connector.end.output(1e6, pair.nowMs))
      pair.client.end.tick(pair.nowMs)
    }
    expect(pair.client.events).not.toContain('dead')
    pair.nowMs += 10_000
    pair.client.end.tick(pair.nowMs)
    expect(pair.client.events).toContain('dead')
  })
})

describe('the end', () => {
  it('takes no notice of what comes after it, in the same chunk or later', () => {
    const pair = new Pair()
    const { far } = pair.openAccepted()
    far.stream.handler = { ...far.stream.handler, data: () => pair.connector.end.close('revoked', 'revoked') }
    pair.toConnector([concat([data(1, 1), open(2), data(9, 1)])])
    pair.toConnector([open(3)])
    expect([pair.connector.streams.length, pair.connector.end.streamCount]).toEqual([1, 0])
  })

  it('GOAWAY draining refuses new streams on both sides, open ones go on', () => {
    const { pair, near, far } = openPair()
    const crossing = pair.open()
    pair.connector.end.drain()
    pair.exchange()
    expect(crossing.events).toEqual(['reset draining'])
    expect(pair.client.events).toContain('goaway draining')
    expect(pair.client.end.open(REQUEST)).toEqual({ refused: 'draining' })
    near.stream.write(text('still'))
    pair.exchange()
    expect(far.events).toEqual(['data still'])
  })

  it('close ends every stream here and tells the peer why', () => {
    const { pair, near, far } = openPair()
    pair.connector.end.close('revoked', 'revoked')
    pair.exchange()
    expect(far.events).toEqual(['reset revoked'])
    expect(pair.client.events).toContain('goaway revoked')
    pair.client.end.close('revoked', undefined)
    expect(near.events).toEqual(['opened', 'reset revoked'])
    expect(pair.client.end.open(REQUEST)).toEqual({ refused: 'connector_lost' })
  })

  it('without a carrier a session lives for 5 minutes', () => {
    const { pair, near } = openPair()
    pair.client.end.detach(pair.nowMs)
    expect(pair.client.end.nextDeadlineMs).toBe(pair.nowMs + 300_000)
    pair.nowMs += 299_999
    pair.tick()
    expect(pair.client.end.closed).toBe(false)
    pair.nowMs += 1
    pair.tick()
    expect(pair.client.events).toContain('closed connector_lost')
    expect(near.events).toEqual(['opened', 'reset connector_lost'])
  })
})

describe('a resume', () => {
  it('sends again what was lost, and skips what had arrived of an interrupted frame', () => {
    const { pair, near, far } = openPair()
    near.stream.write(text('arrives, '))
    pair.exchange()
    near.stream.write(text('interrupted'))
    const lost = concat(pair.client.end.output(1e6, pair.nowMs))
    pair.toConnector([lost.subarray(0, 12)])
    pair.cut()
    near.stream.write(text(', written meanwhile'))
    pair.resume()
    pair.exchange()
    expect(far.events.join('')).toBe('data arrives, data intedata rrupteddata , written meanwhile')
  })

  it('interrupted twice in the same frame still doubles nothing', () => {
    const { pair, near, far } = openPair()
    near.stream.write(text('0123456789'))
    pair.toConnector([concat(pair.client.end.output(1e6, pair.nowMs)).subarray(0, 8 + 6)])
    pair.cut()
    pair.resume({ bytesOfFirstFrame: 3 })
    pair.cut()
    pair.resume()
    pair.exchange()
    expect(far.events).toEqual(['data 012345', 'data 6789'])
  })

  it('brings the rest of a stream whose owners are both done with it', () => {
    const { pair, near, far } = openPair()
    far.stream.end()
    pair.exchange()
    near.stream.write(text('last words'))
    near.stream.end()
    pair.client.end.output(1e6, pair.nowMs)
    expect(pair.client.end.streamCount).toBe(0)
    pair.cut()
    pair.resume()
    pair.exchange()
    expect(far.events).toEqual(['data last words', 'fin'])
  })

  it('sends nothing but HELLO before READY', () => {
    const { pair, near } = openPair()
    pair.cut()
    near.stream.write(text('later'))
    pair.nowMs += 1_000
    pair.client.end.attach(pair.nowMs)
    expect(names(pair.client.end.output(1e6, pair.nowMs))).toEqual(['Hello'])
  })

  it('asks for an ACL that is not known, and holds OPENs until it is accepted', () => {
    const pair = new Pair({ acceptAcl: false })
    pair.exchange()
    pair.connector.end.acceptAcl()
    pair.exchange()
    pair.cut()
    pair.resume({ acl: 'wanted' })
    pair.open()
    pair.exchange()
    expect(pair.connector.events).toEqual(['acl 3', 'acl 3'])
    expect(pair.connector.streams).toEqual([])
    pair.connector.end.acceptAcl()
    expect(pair.connector.streams).toHaveLength(1)
  })

  it('never turns a stream that was reset into one that ended', () => {
    const { pair, near, far } = openPair()
    near.stream.write(text('lost'))
    near.stream.end()
    pair.client.end.output(1e6, pair.nowMs)
    near.stream.reset('closed')
    pair.cut()
    pair.resume()
    pair.exchange()
    expect(far.events).toEqual(['reset closed'])
  })

  it('drops the bodies of a stream that was reset, and keeps the count', () => {
    const { pair, near, far } = openPair()
    const other = pair.openAccepted()
    near.stream.write(new Uint8Array(100_000))
    other.near.stream.write(text('kept'))
    pair.client.end.output(1e6, pair.nowMs)
    const before = pair.client.end.keptBytes
    near.stream.reset('closed')
    expect(before - pair.client.end.keptBytes).toBeGreaterThanOrEqual(100_000)
    pair.cut()
    pair.resume()
    pair.exchange()
    expect(far.events).toEqual(['reset closed'])
    expect(other.far.events).toEqual(['data kept'])
  })

  it('works before the first READY as a new session', () => {
    const pair = new Pair()
    const near = pair.open()
    pair.client.end.output(1e6, 0)
    pair.client.end.detach(0)
    pair.client.end.attach(5)
    pair.exchange()
    pair.connector.streams[0]?.accept()
    pair.exchange()
    expect(near.events).toEqual(['opened'])
  })

  it('more than once a second is refused, and the session stays as it was', () => {
    const { pair } = openPair()
    pair.cut()
    pair.resume()
    pair.exchange()
    pair.cut()
    const received = pair.client.end.receivedFrames
    const again = (nowMs: number) => pair.connector.end.attach({ ...HELLO, session: SESSION, received }, 'known', nowMs)
    expect(codeOf(() => again(pair.connector.attachedAtMs + 999))).toBe('resume_too_soon')
    expect(pair.connector.end.attached).toBe(false)
    again(pair.connector.attachedAtMs + 1_000)
    expect(pair.connector.end.attached).toBe(true)
  })

  it.each([
    ['of another session', { session: 'session-of-another' }, 'resume_mismatch'],
    ['that counts more frames than were sent', { session: SESSION, received: 1_000 }, 'ack_beyond_sent'],
    ['that counts fewer frames than before', { session: SESSION, received: 0 }, 'ack_backwards'],
    ['that is none', {}, 'resume_mismatch'],
  ])('%s is refused, and the session stays as it was', (_name, change, code) => {
    const { pair, near, far } = openPair()
    near.stream.write(text('x'))
    far.stream.write(text('y'))
    pair.exchange()
    pair.settleAcks()
    pair.cut()
    pair.nowMs += 1_000
    expect(codeOf(() => pair.connector.end.attach({ ...HELLO, ...change }, 'known', pair.nowMs))).toBe(code)
    expect(pair.connector.end.attached).toBe(false)
    pair.resume()
    near.stream.write(text('z'))
    pair.exchange()
    expect(far.events).toEqual(['data x', 'data z'])
  })

  it('whose retransmission is not the interrupted frame is refused', () => {
    const { pair, near } = openPair()
    const frame = { stream: near.stream.id, type: FrameType.Data, body: text('abcdef') }
    pair.toConnector([encodeFrame(frame).subarray(0, 10)])
    for (const forged of [
      { ...frame, body: text('abcde') },
      { ...frame, type: FrameType.Fin, body: text('') },
      { ...frame, stream: 5 },
    ]) {
      pair.cut()
      pair.resume({ bytesOfFirstFrame: 0 })
      expect(codeOf(() => pair.toConnector([encodeFrame(forged)]))).toMatch(/resume_mismatch|unknown_stream/)
    }
  })
})

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

describe('HELLO', () => {
  it('ignores members that it does not know, and speaks the highest common version', () => {
    const hello = { ...HELLO, version: 7, later: true }
    expect(parseHello(encodeJson(hello))).toEqual(HELLO)
  })

  it('anything before it is refused', () => {
    expect(codeOf(() => new HelloReader().push(open(1)))).toBe('unexpected_frame')
    expect(codeOf(() => new HelloReader().push(data(1, 1)))).toBe('unexpected_frame')
  })

  it('leaves what follows', () => {
    const bytes = concat([frame(0, FrameType.Hello, [...encodeJson(HELLO)]), open(1)])
    const reader = new HelloReader()
    expect(reader.push(bytes.subarray(0, 20))).toBeUndefined()
    expect(reader.push(bytes.subarray(20))).toEqual({ hello: HELLO, rest: open(1) })
  })
})

type Watched = { stream: SessionStream; events: string[] }

type PairOptions = {
  acl?: Uint8Array
  acceptAcl?: boolean
  refuseAll?: boolean
  creditBudget?: Budget
  keptBudget?: Budget
}

/** Two ends and a carrier that loses nothing until it is cut. */
class Pair {
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

function openPair(): { pair: Pair; near: Watched; far: Watched } {
  const pair = new Pair()
  return { pair, ...pair.openAccepted() }
}

function framesOf(chunks: Uint8Array[]): Frame[] {
  return decodeFrames(concat(chunks))
}

/** Names of frames in a flight, keep-alive left out. */
function names(chunks: Uint8Array[]): string[] {
  const byNumber = new Map<number, string>(Object.entries(FrameType).map(([name, number]) => [number, name]))
  return framesOf(chunks).map(({ type }) => byNumber.get(type) ?? '?')
}

function frame(stream: number, type: FrameType, body: number[] = []): Uint8Array {
  return encodeFrame({ stream, type, body: Uint8Array.from(body) })
}

function open(stream: number): Uint8Array {
  return frame(stream, FrameType.Open, [...encodeJson(REQUEST)])
}

/** DATA of `length` bytes, in as many frames as it takes. */
function data(stream: number, length: number): Uint8Array {
  const frames: Uint8Array[] = []
  for (let left = length; left > 0; left -= 65_536) {
    frames.push(encodeFrame({ stream, type: FrameType.Data, body: new Uint8Array(Math.min(left, 65_536)) }))
  }
  return concat(frames)
}

function credit(stream: number, bytes: number): Uint8Array {
  return frame(stream, FrameType.Credit, [bytes >>> 24, (bytes >>> 16) & 255, (bytes >>> 8) & 255, bytes & 255])
}

function ack(count: number): Uint8Array {
  return frame(0, FrameType.Ack, [0, 0, 0, 0, 0, 0, 0, count])
}

function ready(change: object = {}): Uint8Array {
  const body = { version: 1, session: SESSION, received: 0, acl: 'known' as const, limits: { streams: 10 }, ...change }
  return frame(0, FrameType.Ready, [...encodeJson(body)])
}

function concat(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

function codeOf(run: () => unknown): string | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    if (error instanceof WireError) return error.code
    throw error
  }
}
