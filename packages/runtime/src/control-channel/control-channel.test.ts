import { createHash } from 'node:crypto'
import { createServer, type Socket } from 'node:net'
import { FromConnector, MAX_CONTROL_MESSAGE_BYTES, ToConnector } from '@sallyport/schema'
import { eventually } from '@sallyport/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import { type Clock, systemClock } from '../clock.ts'
import { FakeClock } from '../fake-clock.ts'
import { servingIdentity, startServer } from '../test/server.ts'
import { type ChannelState, ControlChannel, channelUrl } from './client.ts'
import { messageParser } from './message.ts'
import { acceptControlChannel, refuseUpgrade, type ServerChannel } from './server.ts'

const toConnector = messageParser(ToConnector)
const fromConnector = messageParser(FromConnector)
const identity = servingIdentity()
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const heartbeat = (): FromConnector => ({ type: 'heartbeat', nowMs: systemClock.now(), ready: true, relays: [] })
const hello: FromConnector = { type: 'hello', version: '1', host: 'h', revision: 0, nowMs: 1 }

async function startControlServer({ refuse, port = 0 }: { refuse?: () => number | undefined; port?: number } = {}) {
  const received: FromConnector[] = []
  const ends: string[] = []
  const channels: ServerChannel<ToConnector>[] = []
  const headers: (string | undefined)[] = []
  const server = await startServer(identity, undefined, port)
  server.server.on('upgrade', (request, socket, head) => {
    headers.push(request.headers.authorization)
    const status = refuse?.()
    if (status !== undefined) return refuseUpgrade(socket, status, { error: 'unknown_connector', message: 'nobody' })
    acceptControlChannel<FromConnector, ToConnector>(
      request,
      socket,
      head,
      {
        incoming: fromConnector,
        heartbeat: () => ({ type: 'heartbeat', nowMs: systemClock.now() }),
        onMessage: message => received.push(message),
        onEnd: end => ends.push(end.code),
      },
      channel => channels.push(channel),
    )
  })
  cleanups.push(() => server.close())
  return { ...server, received, ends, channels, headers }
}

function startClient(port: number, options: { ca?: string; serverName?: string; host?: string; clock?: Clock } = {}) {
  const states: ChannelState[] = []
  const received: ToConnector[] = []
  const unknown: string[] = []
  let attempts = 0
  const channel = new ControlChannel<ToConnector, FromConnector>({
    url: () => channelUrl(`https://${options.host ?? '127.0.0.1'}:${port}`, '/v1/connector'),
    dial: () => ({ host: '127.0.0.1', port }),
    ca: () => options.ca ?? identity.ca,
    ...(options.serverName === undefined ? {} : { serverName: options.serverName }),
    headers: async () => ({ authorization: `Bearer ${++attempts}` }),
    incoming: toConnector,
    heartbeat,
    onMessage: message => received.push(message),
    onUnknown: type => unknown.push(type),
    onState: state => states.push(state),
    random: () => 0.01,
    clock: options.clock ?? systemClock,
  })
  cleanups.push(() => channel.close())
  return { channel, states, received, unknown, kinds: () => states.map(({ kind }) => kind) }
}

const opened = (client: ReturnType<typeof startClient>) =>
  eventually('an open channel', () => client.channel.state.kind === 'open')
const downWith = (client: ReturnType<typeof startClient>) =>
  eventually('a failure', () => {
    const down = client.states.find(state => state.kind === 'down')
    return down?.kind === 'down' ? down.end : undefined
  })

describe('a control channel', () => {
  it('carries typed messages both ways', async () => {
    const server = await startControlServer()
    const client = startClient(server.port)
    await opened(client)
    expect(client.channel.send(hello)).toBe(true)
    await eventually('the hello', () => server.received.length === 1)
    expect(server.received).toEqual([hello])
    server.channels[0]!.send({ type: 'synced', revision: 7 })
    await eventually('the answer', () => client.received.length === 1)
    expect(client.received).toEqual([{ type: 'synced', revision: 7 }])
  })

  it('knows the clock of the other side', async () => {
    const server = await startControlServer()
    const client = startClient(server.port)
    await opened(client)
    const ahead = systemClock.now() + 90_000
    server.channels[0]!.send({ type: 'heartbeat', nowMs: ahead })
    const offset = await eventually('an estimate', () => client.channel.peerOffsetMs)
    expect(offset).toBeGreaterThan(89_000)
    expect(offset).toBeLessThan(91_000)
  })

  it('gives the same keying material on the one connection', async () => {
    const server = await startControlServer()
    const client = startClient(server.port)
    expect(client.channel.exporter('EXPORTER-x', 32)).toBeUndefined()
    await opened(client)
    expect(client.channel.exporter('EXPORTER-x', 32)).toHaveLength(32)
    expect(client.channel.exporter('EXPORTER-x', 32)).toEqual(client.channel.exporter('EXPORTER-x', 32))
    expect(client.channel.exporter('EXPORTER-y', 32)).not.toEqual(client.channel.exporter('EXPORTER-x', 32))
  })

  it('attempts at once when it is hurried, and waits as long as before when that fails', async () => {
    const clock = new FakeClock(systemClock.now())
    const gone = await startControlServer()
    await gone.close()
    const client = startClient(gone.port, { clock })
    const waits = () => client.states.flatMap(state => (state.kind === 'down' ? [state.retryInMs] : []))
    client.channel.hurry()
    for (let failures = 1; failures <= 4; failures++) {
      await eventually('a failure', () => waits().length === failures)
      if (failures < 4) client.channel.hurry()
    }
    expect(waits()).toEqual([2, 4, 8, 16])
    const server = await startControlServer({ port: gone.port })
    client.channel.hurry()
    client.channel.hurry()
    await opened(client)
    client.channel.hurry()
    expect(client.channel.state.kind).toBe('open')
    expect(server.headers).toEqual(['Bearer 5'])
    expect(client.channel.send(hello)).toBe(true)
  })

  it('comes back by itself, with new headers, when the server is gone for a while', async () => {
    const first = await startControlServer()
    const client = startClient(first.port)
    await opened(client)
    await first.close()
    const { code } = await downWith(client)
    expect(code).toBe('lost')
    expect(client.channel.send(hello)).toBe(false)
    const second = await startControlServer({ port: first.port })
    await opened(client)
    expect(first.headers).toEqual(['Bearer 1'])
    expect(Number(second.headers[0]!.slice(7))).toBeGreaterThan(1)
  })

  it('tells a refusal by status and code, and tries again', async () => {
    let status: number | undefined = 401
    const server = await startControlServer({ refuse: () => status })
    const client = startClient(server.port)
    expect(await downWith(client)).toEqual({
      code: 'refused',
      status: 401,
      error: 'unknown_connector',
      message: 'nobody',
    })
    status = undefined
    await opened(client)
  })

  it('speaks to nobody whose certificate another CA has issued', async () => {
    const server = await startControlServer()
    const client = startClient(server.port, { ca: servingIdentity().ca })
    expect((await downWith(client)).code).toBe('unreachable')
    expect(server.headers).toEqual([])
  })

  it('speaks to nobody whose certificate has another name', async () => {
    const server = await startControlServer()
    const client = startClient(server.port, { serverName: 'other.test' })
    expect((await downWith(client)).message).toContain('other.test')
    expect(server.headers).toEqual([])
    await opened(startClient(server.port, { host: 'relay.test' }))
  })

  it('passes over members and types that it does not know', async () => {
    const server = await startControlServer()
    const client = startClient(server.port)
    await opened(client)
    server.channels[0]!.send({ type: 'later', x: 1 } as unknown as ToConnector)
    server.channels[0]!.send({ type: 'synced', revision: 1, later: true } as ToConnector)
    await eventually('the known one', () => client.received.length === 1)
    expect(client.received).toEqual([{ type: 'synced', revision: 1, later: true }])
    expect(client.unknown).toEqual(['later'])
    expect(client.kinds()).toEqual(['connecting', 'open'])
  })

  it('ends at a known message that is malformed, and delivers nothing of it', async () => {
    const server = await startControlServer()
    const client = startClient(server.port)
    await opened(client)
    client.channel.send({ type: 'applied', revision: -1 } as FromConnector)
    await eventually('the end', () => server.ends.length > 0)
    expect(server.ends).toEqual(['malformed'])
    expect(server.received).toEqual([])
  })

  it('ends at a message beyond the limit', async () => {
    const server = await startControlServer()
    const client = startClient(server.port)
    await opened(client)
    client.channel.send({ ...hello, version: 'x'.repeat(MAX_CONTROL_MESSAGE_BYTES) } as FromConnector)
    await eventually('the end', () => server.ends.length > 0)
    expect(server.received).toEqual([])
  })

  it('delivers what was sent before it was closed, and stays closed', async () => {
    const server = await startControlServer()
    const client = startClient(server.port)
    await opened(client)
    client.channel.send({ type: 'draining' })
    await client.channel.close()
    await eventually('the end', () => server.ends.length === 1)
    expect(server.received).toEqual([{ type: 'draining' }])
    expect(server.ends).toEqual(['peer_closed'])
    expect(client.kinds()).toEqual(['connecting', 'open', 'closed'])
    expect(server.headers).toHaveLength(1)
  })

  it('makes a new connection at once when told to', async () => {
    const server = await startControlServer()
    const client = startClient(server.port)
    await opened(client)
    client.channel.reconnect()
    await eventually('the second connection', () => server.headers.length === 2)
    await opened(client)
  })

  it('counts a peer as dead after three heartbeats without a byte', async () => {
    const server = await startServer(identity)
    cleanups.push(() => server.close())
    server.server.on('upgrade', (request, socket) => {
      const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
      const accept = createHash('sha1').update(key).digest('base64')
      const head = ['HTTP/1.1 101 Switching Protocols', 'upgrade: websocket', 'connection: upgrade']
      socket.write([...head, `sec-websocket-accept: ${accept}`, '', ''].join('\r\n'))
    })
    const clock = new FakeClock()
    const client = startClient(server.port, { clock })
    await opened(client)
    clock.advance(15_000)
    expect(client.channel.state.kind).toBe('open')
    clock.advance(5_000)
    expect((await downWith(client)).code).toBe('silent')
  })

  it('gives up a peer that takes the connection and is silent', async () => {
    const silent: Socket[] = []
    const server = createServer(socket => {
      socket.on('error', () => undefined).resume()
      silent.push(socket)
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    cleanups.push(() => {
      for (const socket of silent) socket.destroy()
      server.close()
    })
    const address = server.address()
    const client = startClient(typeof address === 'object' && address !== null ? address.port : 0)
    await eventually('the connection', () => silent.length === 1)
    expect(client.channel.state.kind).toBe('connecting')
    await client.channel.close()
    await eventually('that it is given up', () => silent[0]!.destroyed)
  })
})
