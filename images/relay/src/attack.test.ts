import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { FakeClock, systemClock } from '@sallyport/runtime'
import { eventually } from '@sallyport/testkit'
import { createRelayAssertion, createRelayKey, issueRelayPass, systemRandom, thumbprintOf } from '@sallyport/trust'
import { encodeClientHello, slotServerName } from '@sallyport/wire'
import { afterEach, describe, expect, it } from 'vitest'
import {
  cleanUp,
  clientHello,
  dialThrough,
  drained,
  honest,
  installationCa,
  later,
  passKey,
  refusal,
  startTestRelay,
  TestConnector,
  TestRelay,
} from './test/lab.ts'

afterEach(cleanUp)

describe('a capability', () => {
  it.each<[string, (relay: TestRelay, connector: TestConnector) => Uint8Array, string]>([
    ['that was forged', (relay, connector) => flipped(relay.capability(connector)), 'capability_refused'],
    ['of random bytes', () => systemRandom(61), 'capability_refused'],
    [
      'for another Relay',
      (relay, connector) => relay.capability(connector, { key: createRelayKey() }),
      'capability_refused',
    ],
    ['that has expired', (relay, connector) => relay.capability(connector, { lifeMs: -1_000 }), 'capability_expired'],
    [
      'for a Connector that is not here',
      relay => relay.capability({ id: 'a'.repeat(32) as TestConnector['id'] }),
      'connector_unknown',
    ],
  ])('%s reaches no Connector, and the Client is told', async (_name, make, code) => {
    const { relay, connector } = await lab()
    await expect(dialThrough(relay, connector, { capability: make(relay, connector) })).rejects.toMatchObject({ code })
    expect(connector.taken).toBe(0)
    expect(await relay.metric(`refusals_total{reason="${code}"}`)).toBe(1)
    await dialThrough(relay, connector)
    expect(connector.taken).toBe(1)
  })

  it('is judged by the second: good until it ends, expired from then on', async () => {
    const clock = new FakeClock(systemClock.now())
    const { relay, connector } = await lab({}, clock)
    const wholeSecond = Math.ceil(clock.now() / 1000) * 1000
    const capability = relay.capability(connector, { lifeMs: wholeSecond + 5_000 - systemClock.now() })
    clock.advance(wholeSecond + 4_999 - clock.now())
    await dialThrough(relay, connector, { capability })
    clock.advance(1_001)
    await expect(dialThrough(relay, connector, { capability })).rejects.toMatchObject({ code: 'capability_expired' })
    expect(connector.taken).toBe(1)
  })

  it('that is replayed 1 000 times in a minute reaches the Connector 30 times', async () => {
    const { relay, connector } = await lab({}, new FakeClock(systemClock.now()))
    const capability = relay.capability(connector)
    const outcomes: string[] = []
    for (let round = 0; round < 250; round++) {
      const dials = Array.from({ length: 4 }, () => dialThrough(relay, connector, { capability }))
      for (const dial of await Promise.allSettled(dials)) {
        outcomes.push(dial.status === 'fulfilled' ? 'tunnel' : String(dial.reason.code))
        if (dial.status === 'fulfilled') dial.value.destroy()
      }
    }
    expect(tally(outcomes)).toEqual({ tunnel: 30, capability_refused: 970 })
    expect(connector.taken).toBe(30)
    await dialThrough(relay, connector)
  })

  it('makes four handshakes at a time, and a fifth when one has gone on', async () => {
    const { relay, connector } = await lab()
    const capability = relay.capability(connector)
    // Real ClientHellos whose senders do not answer the Connector.
    const idle = await Promise.all(Array.from({ length: 4 }, () => silentClient(relay, capability)))
    await eventually('four answers', async () => (await relay.metric('tunnels')) === 4)
    await expect(dialThrough(relay, connector, { capability })).rejects.toMatchObject({ code: 'capability_refused' })
    idle[0]!.destroy()
    await eventually('the end of one', async () => (await relay.metric('tunnels')) === 3)
    await dialThrough(relay, connector, { capability })
    expect(connector.taken).toBe(5)
  })
})

describe('a handshake', () => {
  it('that the Client does not go on with is cut after 5 s, one that has gone on is not', async () => {
    const clock = new FakeClock(systemClock.now())
    const { relay, connector } = await lab({}, clock)
    const tunnel = await dialThrough(relay, connector)
    const silent = await silentClient(relay, relay.capability(connector))
    await eventually('both answers', async () => (await relay.metric('tunnels')) === 2)
    const word = new Promise(resolve => tunnel.once('data', resolve))
    tunnel.write('hello')
    expect(String(await word)).toBe('hello')
    clock.advance(4_999)
    expect(await relay.metric('tunnels')).toBe(2)
    silent.resume()
    clock.advance(1)
    await eventually('the end of the silent one', () => silent.destroyed)
    expect(await relay.metric('tunnels')).toBe(1)
    expect(tunnel.destroyed).toBe(false)
  })
})

describe('a ClientHello', () => {
  it('in one-byte pieces is read like any other', async () => {
    const { relay, connector } = await lab({}, systemClock, { onTaken: answerRaw })
    const client = await relay.dial()
    for (const byte of clientHello(relay, relay.capability(connector))) {
      client.write(Uint8Array.of(byte))
      await new Promise(resolve => setImmediate(resolve))
    }
    expect((await first(client)).toString()).toBe('answer')
  })

  it.each<[string, Uint8Array]>([
    ['that is oversized', Uint8Array.from([22, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb])],
    ['of more than 8 KiB', Buffer.concat([Uint8Array.from([22, 3, 1, 0x20, 0x10]), new Uint8Array(8_300)])],
    ['that is none', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['that is another handshake message', Uint8Array.from([22, 3, 1, 0, 4, 2, 0, 0, 0])],
    ['with a length that lies', corrupted()],
    ['for a name that is not of this Relay', encodeClientHello('relay-z.example', new Uint8Array(32))],
    ['for another name under this Relay', encodeClientHello('x.relay-a.example', new Uint8Array(32))],
  ])('%s ends the connection without a word', async (_name, bytes) => {
    const { relay, connector } = await lab()
    const client = await relay.dial()
    client.write(bytes)
    expect(await refusal(client)).toBe('closed')
    expect(connector.taken).toBe(0)
    expect(await relay.metric('strangers')).toBe(0)
  })

  it('that is truncated by the end of the connection ends it', async () => {
    const { relay, connector } = await lab()
    const client = await relay.dial()
    client.end(clientHello(relay, relay.capability(connector)).subarray(0, 100))
    expect(await refusal(client)).toBe('closed')
    expect(connector.taken).toBe(0)
  })

  it('that is slow has 5 s, and not one more', async () => {
    const clock = new FakeClock(systemClock.now())
    const { relay, connector } = await lab({}, clock, { onTaken: answerRaw })
    const [quick, slow] = [await relay.dial(), await relay.dial()]
    const hello = clientHello(relay, relay.capability(connector))
    for (const client of [quick, slow]) client.write(hello.subarray(0, 50))
    await eventually('both', async () => (await relay.metric('strangers')) === 2)
    clock.advance(4_999)
    quick.write(hello.subarray(50))
    expect((await first(quick)).toString()).toBe('answer')
    clock.advance(1)
    expect(await refusal(slow)).toBe('closed')
    expect(connector.taken).toBe(1)
  })
})

describe('a stranger', () => {
  it('beyond the limit takes the place of the one that has waited longest', async () => {
    const { relay, connector } = await lab({ maxStrangersPerAddress: 3 }, new FakeClock(systemClock.now()))
    const strangers: Socket[] = []
    for (let index = 0; index < 4; index++) {
      strangers.push(await relay.dial())
      await eventually('the stranger', async () => (await relay.metric('strangers')) === Math.min(index + 1, 3))
    }
    expect(await refusal(strangers[0]!)).toBe('closed')
    expect(strangers[1]!.readyState).toBe('open')
    await dialThrough(relay, connector)
  })

  it('on a control connection must register in 10 s', async () => {
    const clock = new FakeClock(systemClock.now())
    const relay = await startTestRelay({}, { clock })
    const socket = connectTls({ ...relay.address, servername: relay.name, ca: installationCa.certificatePem })
    later(() => socket.destroy())
    const closed = drained(socket)
    await new Promise(resolve => socket.once('secureConnect', resolve))
    clock.advance(9_999)
    expect(await relay.metric('strangers')).toBe(1)
    clock.advance(1)
    await closed
    await eventually('its end', async () => (await relay.metric('strangers')) === 0)
  })
})

describe('a slot key', () => {
  it('that is guessed, or used again, brings no socket in', async () => {
    const { relay, connector } = await lab()
    const [used] = connector.slotKeys
    const guessed = `${used![0] === 'a' ? 'b' : 'a'}${used!.slice(1)}`
    for (const key of [guessed, used!]) expect(await refusal(await connector.offer(key))).toBe('closed')
    expect(await relay.metric('connections_total{kind="slot_refused"}')).toBe(2)
    expect(await relay.metric('idle_sockets')).toBe(2)
  })

  it('with a socket that speaks before a Client does brings it no Client', async () => {
    const { relay, connector } = await lab({}, systemClock, { wanted: 0 })
    connector.fill(2)
    await eventually('two keys', () => connector.slotKeys.length === 2)
    const talking = await relay.dial()
    const envelope = encodeClientHello(slotServerName(connector.slotKeys[0]!, relay.name), new Uint8Array(32))
    talking.write(Buffer.concat([envelope, Buffer.from('x')]))
    expect(await refusal(talking)).toBe('closed')
    const chatty = await connector.offer(connector.slotKeys[1]!)
    await eventually('the idle socket', async () => (await relay.metric('idle_sockets')) === 1)
    chatty.write('x')
    expect(await refusal(chatty)).toBe('closed')
    expect(await relay.metric('idle_sockets')).toBe(0)
  })
})

describe('an assertion', () => {
  it('for Relay A does not register at Relay B, nor does its pass', async () => {
    const relayB = await new TestRelay('relay-b.example').writeSecret().start()
    const forA = { relay: 'relay-a.example' }
    const thief = new TestConnector(relayB, {
      shown: {
        ...honest,
        assertion: ({ keys }, binding) => createRelayAssertion(keys, { ...binding, ...forA }, systemClock.now()),
      },
    })
    expect(await eventually('the refusal', () => thief.refusal)).toBe('wrong_audience')
    const withPassForA = new TestConnector(relayB, {
      shown: {
        ...honest,
        pass: ({ id, keys }) =>
          issueRelayPass(
            passKey,
            { connectorId: id, jkt: thumbprintOf(keys.publicKey), ...forA },
            { nowMs: systemClock.now(), lifeSeconds: 3600 },
          ),
      },
    })
    expect(await eventually('the refusal', () => withPassForA.refusal)).toBe('wrong_audience')
    expect(await relayB.metric('connectors')).toBe(0)
    expect(await relayB.metric('registrations_total{outcome="wrong_audience"}')).toBeGreaterThanOrEqual(2)
  })

  it('that a Relay has passed on to another does not register there', async () => {
    const [relayA, relayB] = [await startTestRelay(), await startTestRelay()]
    let stolen: string | undefined
    const connector = new TestConnector(relayA, {
      shown: {
        ...honest,
        assertion: (self, binding) => {
          stolen = honest.assertion(self, binding)
          return stolen
        },
      },
    })
    await eventually('registration', () => connector.registered)
    const thief = new TestConnector(relayB, {
      keys: connector.keys,
      shown: { ...honest, assertion: () => stolen! },
    })
    expect(await eventually('the refusal', () => thief.refusal)).toBe('wrong_nonce')
    expect(await relayB.metric('connectors')).toBe(0)
  })

  it('registers one connection once', async () => {
    const { relay, connector } = await lab()
    connector.channel.send({ type: 'register', pass: honest.pass(connector), assertion: 'a.b.c' })
    expect(await eventually('the refusal', () => connector.refusal)).toBe('already_registered')
    await eventually('the end of the registration', async () => (await relay.metric('idle_sockets')) === 0)
  })

  it('that is missing brings no slot keys', async () => {
    const relay = await startTestRelay()
    const connector = new TestConnector(relay, { shown: { ...honest, pass: () => 'x.y.z' } })
    connector.channel.send({ type: 'needSlots', count: 2 })
    await eventually('the refusal', () => connector.refusal)
    expect(connector.received.filter(({ type }) => type === 'slots')).toEqual([])
  })
})

async function lab(
  config: Parameters<typeof startTestRelay>[0] = {},
  clock = systemClock,
  options: ConstructorParameters<typeof TestConnector>[1] = {},
) {
  const relay = await startTestRelay(config, { clock })
  const connector = new TestConnector(relay, options)
  await eventually('registration and idle sockets', async () => {
    return connector.registered && (await relay.metric('idle_sockets')) === connector.wanted
  })
  return { relay, connector }
}

/** Answers a ClientHello with a word in place of a handshake. */
function answerRaw(socket: Socket): void {
  socket.resume()
  socket.write('answer')
}

async function first(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    socket.once('data', resolve)
    socket.once('close', () => reject(new Error('closed')))
  })
}

/** Sends a whole ClientHello of OpenSSL and nothing more. */
async function silentClient(relay: TestRelay, capability: Uint8Array): Promise<Socket> {
  const client = await relay.dial()
  client.write(clientHello(relay, capability))
  client.pause()
  return client
}

function flipped(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[30] = copy[30]! ^ 1
  return copy
}

function corrupted(): Uint8Array {
  const hello = encodeClientHello('relay-a.example', new Uint8Array(32))
  hello[43] = 200
  return hello
}

function tally(values: string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1
  return counts
}
