import { createHash, randomBytes } from 'node:crypto'
import { connect, createServer, type Socket } from 'node:net'
import { eventually } from '@sallyport/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import { HALF_CLOSED_TIMEOUT_MS } from './limit.ts'
import { canReadInto } from './read-into.ts'
import { RingPool } from './ring-pool.ts'
import { Splice } from './splice.ts'
import { cleanUp, later } from './test/lab.ts'

afterEach(cleanUp)

describe('a splice', () => {
  it.each([
    ['with buffers of its own', new RingPool()],
    ['without, when all are lent', lentOut()],
  ])('carries bulk both ways at once, %s, and half closes', async (_name, rings) => {
    const { client, connector, ended } = await joined(rings)
    const [up, down] = [randomBytes(24 * 1024 * 1024), randomBytes(24 * 1024 * 1024)]
    const received = [gather(connector), gather(client)]
    client.end(up)
    connector.end(down)
    const [gotUp, gotDown] = await Promise.all(received)
    expect([hash(gotUp!), hash(gotDown!)]).toEqual([hash(up), hash(Buffer.concat([ANSWER, down]))])
    await ended
  })

  it('reads bulk into its buffers, gives them back when quiet, and takes them again', async () => {
    expect(canReadInto).toBe(true)
    const rings = new RingPool()
    const { splice, client, connector } = await joined(rings)
    const sent = createHash('sha256')
    const got = createHash('sha256')
    let bytes = 0
    connector.on('data', chunk => {
      got.update(chunk)
      bytes += chunk.length
    })
    let wanted = 0
    const send = async (chunk: Buffer) => {
      sent.update(chunk)
      wanted += chunk.length
      client.write(chunk)
      await eventually('the bytes', () => bytes === wanted)
    }
    for (let round = 0; round < 3; round++) {
      await send(randomBytes(8 * 1024 * 1024))
      expect(rings.lent).toBe(1)
      splice.sweep(0)
      expect(rings.lent).toBe(1)
      splice.sweep(0)
      expect(rings.lent).toBe(0)
      for (const size of [1, 4095, 10]) await send(randomBytes(size))
    }
    expect(got.digest('hex')).toBe(sent.digest('hex'))
    expect(splice.up).toBe(wanted)
  })

  it('stops reading a side whose peer does not read, and goes on when it does', async () => {
    const { splice, client, connector } = await joined(new RingPool())
    connector.pause()
    const sent = randomBytes(64 * 1024 * 1024)
    client.write(sent)
    let before = -1
    await eventually(
      'the flow to stop',
      () => {
        const stopped = splice.up === before && before > 0
        before = splice.up
        return stopped
      },
      { everyMs: 200 },
    )
    expect(splice.up).toBeLessThan(32 * 1024 * 1024)
    const received = gather(connector)
    connector.resume()
    client.end()
    expect(hash(await received)).toBe(hash(sent))
  })

  it.each(['client', 'connector'] as const)('resets the other side when the %s is reset', async side => {
    const pair = await joined(new RingPool())
    const other = side === 'client' ? pair.connector : pair.client
    const error = new Promise<NodeJS.ErrnoException>(resolve => other.once('error', resolve))
    other.resume()
    pair[side].resetAndDestroy()
    expect((await error).code).toBe('ECONNRESET')
    await pair.ended
  })

  it('lets one side go on after the other has ended', async () => {
    const { client, connector, ended } = await joined(new RingPool())
    client.end('question')
    expect((await gather(connector)).toString()).toBe('question')
    const answer = gather(client)
    connector.end('late answer')
    expect((await answer).toString()).toBe(`${ANSWER}late answer`)
    await ended
  })

  it('is cut when it was left half closed and quiet for a minute', async () => {
    const { splice, client, connector, ended } = await joined(new RingPool())
    client.end('question')
    await gather(connector)
    client.resume()
    splice.sweep(0)
    splice.sweep(1)
    splice.sweep(HALF_CLOSED_TIMEOUT_MS)
    expect(client.destroyed).toBe(false)
    connector.on('error', () => undefined)
    client.on('error', () => undefined)
    splice.sweep(HALF_CLOSED_TIMEOUT_MS + 1)
    await ended
  })
})

const ANSWER = Buffer.from('answer ')

/** A splice, and the far ends of its two sockets. */
async function joined(rings: RingPool) {
  const [client, clientSide] = await socketPair()
  const [connector, connectorSide] = await socketPair()
  let end = () => {}
  const ended = new Promise<void>(resolve => {
    end = resolve
  })
  const splice = new Splice(clientSide, connectorSide, ANSWER, {
    handedOver: 0,
    rings,
    onClientAnswer: () => undefined,
    onEnd: () => end(),
  })
  return { splice, client, connector, ended }
}

async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server has an address')
  const accepted = new Promise<Socket>(resolve => server.once('connection', resolve))
  const near = connect({ port: address.port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  const far = await accepted
  far.on('error', () => undefined)
  later(() => {
    near.destroy()
    far.destroy()
    server.close()
  })
  return [near, far]
}

function gather(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    socket.on('data', chunk => chunks.push(chunk))
    socket.once('end', () => resolve(Buffer.concat(chunks)))
    socket.once('error', reject)
  })
}

function lentOut(): RingPool {
  const rings = new RingPool()
  while (rings.borrow() !== undefined);
  return rings
}

function hash(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
