import { describe, expect, it } from 'vitest'
import { Budget } from './budget.ts'
import { encodeFrame } from './frame.ts'
import {
  codeOf,
  concat,
  credit,
  data,
  framesOf,
  HASH,
  names,
  open,
  openPair,
  Pair,
  REQUEST,
  SESSION,
  text,
} from './session-lab.ts'

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
