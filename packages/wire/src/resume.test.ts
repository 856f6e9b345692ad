import { describe, expect, it } from 'vitest'
import { encodeFrame, FrameType } from './frame.ts'
import { codeOf, concat, HELLO, names, openPair, Pair, SESSION, text } from './session-lab.ts'

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
