import { once } from 'node:events'
import net from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import { type Pump, pump } from './pump.ts'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

describe('a pump', () => {
  it('moves bytes both ways, passes each end on, and counts', async () => {
    const { near, far, pumped } = await openLine()
    near.end('question')
    expect(await text(far)).toBe('question')
    far.end('an answer')
    expect(await text(near)).toBe('an answer')
    expect(await pumped.done).toEqual({ aToB: 8, bToA: 9, a: { kind: 'ended' }, b: { kind: 'ended' } })
  })

  it('moves 32 MB to a reader that begins late, and holds only a little of it', async () => {
    const { near, far, pumped } = await openLine()
    const sent = Buffer.alloc(32 * 1024 * 1024, 'ab')
    near.end(sent)
    await until(() => pumped.aToB > 0)
    expect(pumped.aToB).toBeLessThan(sent.length)
    const chunks: Buffer[] = []
    far.on('data', chunk => chunks.push(chunk))
    await once(far, 'end')
    far.end()
    near.resume()
    expect(Buffer.concat(chunks).equals(sent)).toBe(true)
    expect((await pumped.done).aToB).toBe(sent.length)
  })

  it.each([
    ['a', 'near', 'far'],
    ['b', 'far', 'near'],
  ] as const)('passes a RST of side %s on as a RST', async (side, from, to) => {
    const line = await openLine()
    const failed = once(line[to], 'error')
    line[from].resetAndDestroy()
    expect(await failed).toMatchObject([{ code: 'ECONNRESET' }])
    const result = await line.pumped.done
    expect(result[side]).toMatchObject({ kind: 'reset', code: 'closed', error: { code: 'ECONNRESET' } })
    expect(result[side === 'a' ? 'b' : 'a']).toEqual({ kind: 'ended' })
  })

  it('cuts the other side when one is destroyed without a word', async () => {
    const { far, pumped, sides } = await openLine()
    const failed = once(far, 'error')
    sides[0].destroy()
    expect(await failed).toMatchObject([{ code: 'ECONNRESET' }])
    expect((await pumped.done).a).toEqual({ kind: 'reset', code: 'closed' })
  })

  it('of a side that is gone already cuts the other', async () => {
    const [near, a] = await openPair()
    const [b, far] = await openPair()
    cleanups.push(() => near.destroy())
    a.destroy()
    await once(a, 'close')
    const failed = once(far, 'error')
    const result = await pump(a, b).done
    expect(await failed).toMatchObject([{ code: 'ECONNRESET' }])
    expect(result.a.kind).toBe('reset')
  })
})

/** near <-> a pumped b <-> far */
async function openLine(): Promise<{
  near: net.Socket
  far: net.Socket
  pumped: Pump
  sides: [net.Socket, net.Socket]
}> {
  const [near, a] = await openPair()
  const [b, far] = await openPair()
  return { near, far, pumped: pump(a, b), sides: [a, b] }
}

async function openPair(): Promise<[net.Socket, net.Socket]> {
  const server = net.createServer({ allowHalfOpen: true, noDelay: true })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const accepted = once(server, 'connection')
  const { port } = server.address() as net.AddressInfo
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  const [other] = await accepted
  server.close()
  for (const each of [socket, other]) {
    each.on('error', () => {})
    cleanups.push(() => each.destroy())
  }
  return [socket, other]
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!holds()) {
    if (performance.now() > deadline) throw new Error('waited in vain')
    await new Promise(resolve => setImmediate(resolve))
  }
}
