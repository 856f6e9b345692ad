import { FakeClock, systemClock } from '@sallyport/runtime'
import { eventually } from '@sallyport/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import { cleanUp, clientHello, drained, refusal, startTestRelay, TestConnector } from './test/lab.ts'

afterEach(cleanUp)

describe('a ClientHello', () => {
  it('that meets silence for 500 ms is given to another socket too, whose answer counts', async () => {
    const { relay, connector, clock, sockets } = await lab()
    const client = await dial(relay, connector)
    await eventually('the first attempt', () => sockets.length === 1)
    clock.advance(499)
    expect(await relay.metric('replays_total')).toBe(0)
    clock.advance(1)
    await eventually('the second attempt', () => sockets.length === 2)
    expect(sockets[1]!.hello).toEqual(sockets[0]!.hello)
    sockets[1]!.socket.end('second')
    expect((await drained(client)).toString()).toBe('second')
    await eventually('the end of the first', () => sockets[0]!.socket.destroyed)
  })

  it('has its Client answered by the first socket, if that is only late', async () => {
    const { relay, connector, clock, sockets } = await lab()
    const client = await dial(relay, connector)
    await eventually('the first attempt', () => sockets.length === 1)
    clock.advance(500)
    await eventually('the second attempt', () => sockets.length === 2)
    sockets[0]!.socket.end('first')
    expect((await drained(client)).toString()).toBe('first')
    await eventually('the end of the second', () => sockets[1]!.socket.destroyed)
  })

  it('goes to another socket at once when one is dead', async () => {
    const { relay, connector, sockets } = await lab()
    const client = await dial(relay, connector)
    await eventually('the first attempt', () => sockets.length === 1)
    sockets[0]!.socket.resetAndDestroy()
    await eventually('the second attempt', () => sockets.length === 2)
    sockets[1]!.socket.end('second')
    expect((await drained(client)).toString()).toBe('second')
  })

  it('is tried on three sockets and no more', async () => {
    const { relay, connector, sockets } = await lab({ wanted: 4 })
    const client = await dial(relay, connector)
    for (let attempt = 1; attempt <= 3; attempt++) {
      await eventually(`attempt ${attempt}`, () => sockets.length === attempt)
      sockets[attempt - 1]!.socket.resetAndDestroy()
    }
    expect(await refusal(client)).toBe('no_idle_socket')
    expect(sockets).toHaveLength(3)
  })

  it('that nobody answers is refused after 3 s', async () => {
    const { relay, connector, clock, sockets } = await lab()
    const client = await dial(relay, connector)
    await eventually('the first attempt', () => sockets.length === 1)
    clock.advance(3_000)
    expect(await refusal(client)).toBe('no_idle_socket')
    await eventually('the end of the attempts', () => sockets.every(({ socket }) => socket.destroyed))
  })

  it('waits 800 ms for a socket, and is refused then', async () => {
    const { relay, connector, clock } = await lab({ wanted: 0 })
    const early = await dial(relay, connector)
    await eventually('one who waits', async () => (await relay.metric('waiting_clients')) === 1)
    const late = await dial(relay, connector)
    await eventually('two who wait', async () => (await relay.metric('waiting_clients')) === 2)
    clock.advance(799)
    connector.fill(1)
    await connector.offer(await eventually('a slot key', () => connector.slotKeys[0]))
    await eventually('one who waits', async () => (await relay.metric('waiting_clients')) === 1)
    clock.advance(1)
    expect(await refusal(late)).toBe('no_idle_socket')
    expect(early.readyState).toBe('open')
  })

  it('whose Client is gone takes no socket', async () => {
    const { relay, connector, sockets } = await lab({ wanted: 0 })
    const client = await dial(relay, connector)
    await eventually('one who waits', async () => (await relay.metric('waiting_clients')) === 1)
    client.resetAndDestroy()
    await eventually('nobody who waits', async () => (await relay.metric('waiting_clients')) === 0)
    connector.wanted = 1
    connector.fill(1)
    await eventually('the idle socket', async () => (await relay.metric('idle_sockets')) === 1)
    expect(sockets).toEqual([])
  })

  it('is refused at once when its Connector goes', async () => {
    const { relay, connector } = await lab({ wanted: 0 })
    const client = await dial(relay, connector)
    await eventually('one who waits', async () => (await relay.metric('waiting_clients')) === 1)
    await connector.channel.close()
    expect(await refusal(client)).toBe('connector_unknown')
  })
})

type Attempt = { socket: Parameters<NonNullable<Options['onTaken']>>[0]; hello: Buffer }
type Options = NonNullable<ConstructorParameters<typeof TestConnector>[1]>

/** A Connector whose sockets keep the ClientHello that they are given, and answer when the test says so. */
async function lab({ wanted = 2 } = {}) {
  const clock = new FakeClock(systemClock.now())
  const relay = await startTestRelay({}, { clock })
  const sockets: Attempt[] = []
  const connector = new TestConnector(relay, {
    wanted,
    onTaken: socket => {
      socket.on('error', () => undefined)
      socket.once('data', hello => sockets.push({ socket, hello }))
    },
  })
  await eventually('registration and idle sockets', async () => {
    return connector.registered && (await relay.metric('idle_sockets')) === wanted
  })
  return { relay, connector, clock, sockets }
}

async function dial(relay: Awaited<ReturnType<typeof startTestRelay>>, connector: TestConnector) {
  const client = await relay.dial()
  client.write(clientHello(relay, relay.capability(connector)))
  return client
}
