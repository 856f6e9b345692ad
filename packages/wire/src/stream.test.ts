import { describe, expect, it } from 'vitest'
import { Budget } from './budget.ts'
import { encodeFrame, FrameType } from './frame.ts'
import { FLOOR_CREDIT } from './limit.ts'
import { framesOf, openPair, Pair, text } from './session-lab.ts'

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
