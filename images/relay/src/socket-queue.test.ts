import { describe, expect, it } from 'vitest'
import { SocketQueue } from './socket-queue.ts'

describe('idle sockets', () => {
  it('are taken the latest first', () => {
    const queue = new SocketQueue<string>()
    expect(['a', 'b'].map(socket => queue.offer(socket))).toEqual(['kept', 'kept'])
    expect([queue.take(), queue.take(), queue.take()]).toEqual(['b', 'a', undefined])
  })

  it('go to who has waited longest', () => {
    const queue = new SocketQueue<string>()
    const got: string[] = []
    const waiter = (name: string) => (socket: string | undefined) => void got.push(`${name} ${socket}`)
    const gone = waiter('gone')
    for (const wait of [gone, waiter('first'), waiter('second')]) expect(queue.wait(wait)).toBe(true)
    queue.cancel(gone)
    expect([queue.offer('a'), queue.offer('b'), queue.offer('c')]).toEqual(['taken', 'taken', 'kept'])
    expect(got).toEqual(['first a', 'second b'])
  })

  it('are not taken when they are gone', () => {
    const queue = new SocketQueue<string>()
    queue.offer('a')
    queue.remove('a')
    expect([queue.idle, queue.take()]).toEqual([0, undefined])
  })

  it('are kept up to 128, and 256 may wait', () => {
    const queue = new SocketQueue<number>()
    const offers = Array.from({ length: 129 }, (_, index) => queue.offer(index))
    expect(offers.filter(offer => offer === 'kept')).toHaveLength(128)
    expect(offers.at(-1)).toBe('refused')
    const empty = new SocketQueue<number>()
    const waits = Array.from({ length: 257 }, () => empty.wait(() => undefined))
    expect(waits.filter(Boolean)).toHaveLength(256)
    expect(waits.at(-1)).toBe(false)
  })

  it('of a Connector that is gone are given back, and who waits is told', () => {
    const queue = new SocketQueue<string>()
    const told: (string | undefined)[] = []
    queue.wait(socket => void told.push(socket))
    expect(queue.close()).toEqual([])
    expect(told).toEqual([undefined])
    expect([queue.offer('a'), queue.wait(() => undefined)]).toEqual(['refused', false])
  })
})
