import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { createLog, FakeClock, systemClock } from '@sallyport/runtime'
import { eventually, startRecorder } from '@sallyport/testkit'
import { createCa, createRelayKey } from '@sallyport/trust'
import { afterEach, describe, expect, it } from 'vitest'
import {
  cleanUp,
  clientHello,
  dialThrough,
  installationCa,
  later,
  refusal,
  startTestRelay,
  TENANT,
  TestConnector,
  TestRelay,
} from './test/lab.ts'

afterEach(cleanUp)

describe('a tunnel through the Relay', () => {
  it('is TLS 1.3 with X25519MLKEM768 from end to end', async () => {
    const { relay, connector } = await lab()
    const tunnel = await dialThrough(relay, connector)
    expect([tunnel.getProtocol(), tunnel.getEphemeralKeyInfo()]).toMatchObject(['TLSv1.3', { name: 'X25519MLKEM768' }])
    expect(await echo(tunnel, 'hello')).toBe('hello')
    expect(await relay.metric('tunnels')).toBe(1)
    tunnel.destroy()
    await eventually('the end of the tunnel', async () => (await relay.metric('tunnels')) === 0)
    expect(await relay.metric('bytes_total{direction="up"}')).toBeGreaterThan(1500)
  })

  it('shows a Relay neither what is said nor whose it is', async () => {
    const relay = await startTestRelay()
    const recorder = await startRecorder(relay.address)
    later(() => recorder.close())
    const through = { host: '127.0.0.1', port: recorder.port }
    const connector = new TestConnector(relay, { at: through })
    await registered(connector)
    const tunnel = await dialThrough(relay, connector, { port: recorder.port })
    const marker = 'a-marker-that-nobody-may-see'
    expect(await echo(tunnel, marker)).toBe(marker)
    const seen = Buffer.concat(recorder.chunks).toString('latin1')
    expect(seen.length).toBeGreaterThan(4000)
    expect([marker, TENANT, connector.id, 'sallyport://'].filter(text => seen.includes(text))).toEqual([])
  })

  it('stands for many at a time, more than the Connector offers at first', async () => {
    // On a clock that stands still nobody has waited too long for a socket.
    const { relay, connector } = await lab({}, { clock: new FakeClock(systemClock.now()) })
    const tunnels = await Promise.all(Array.from({ length: 20 }, () => dialThrough(relay, connector)))
    const words = tunnels.map((tunnel, index) => echo(tunnel, `word ${index}`))
    expect(await Promise.all(words)).toEqual(tunnels.map((_, index) => `word ${index}`))
    expect(connector.received.some(({ type }) => type === 'want')).toBe(true)
  })

  it('lives on when the Connector has lost its registration', async () => {
    const { relay, connector } = await lab()
    const tunnel = await dialThrough(relay, connector)
    await connector.channel.close()
    await eventually('the end of the registration', async () => (await relay.metric('connectors')) === 0)
    expect(await echo(tunnel, 'still here')).toBe('still here')
    expect(await relay.metric('idle_sockets')).toBe(0)
    const late = await relay.dial()
    late.write(clientHello(relay, relay.capability(connector)))
    expect(await refusal(late)).toBe('connector_unknown')
  })
})

describe('a Connector', () => {
  it('that registers again takes the place of its former self', async () => {
    const relay = await startTestRelay()
    // On a clock that stands still the former one does not come back.
    const connector = new TestConnector(relay, { clock: new FakeClock(systemClock.now()) })
    await registered(connector)
    const again = new TestConnector(relay, { keys: connector.keys })
    await registered(again)
    await eventually('the former channel to be closed', () => connector.states.some(({ kind }) => kind === 'down'))
    await connector.channel.close()
    const tunnel = await dialThrough(relay, again)
    expect(await echo(tunnel, 'hello')).toBe('hello')
    expect([connector.taken, again.taken]).toEqual([0, 1])
    expect(await relay.metric('connectors')).toBe(1)
  })

  it('verifies the Relay by the installation CA', async () => {
    const relay = new TestRelay().writeSecret({ ca: createCa({ commonName: 'rogue' }, oneDay()) })
    await relay.start()
    const connector = new TestConnector(relay)
    const down = await eventually('the refusal', () => connector.states.find(({ kind }) => kind === 'down'))
    expect(down).toMatchObject({ end: { code: 'unreachable' } })
    expect(connector.received).toEqual([])
  })
})

describe('a Secret', () => {
  it('that is not there yet leaves the Relay up and not ready, until it comes', async () => {
    const relay = await new TestRelay().start()
    expect((await relay.get('/healthz')).status).toBe(200)
    const answer = await relay.get('/readyz')
    expect(answer.status).toBe(503)
    expect(await answer.text()).toContain('relay.json is missing; tls.crt is missing; tls.key is missing')
    const early = await relay.dial()
    early.write(clientHello(relay, relay.capability({ id: 'a'.repeat(32) as TestConnector['id'] })))
    expect(await refusal(early)).toBe('closed')
    relay.writeSecret()
    await eventually('readiness', async () => (await relay.get('/readyz')).status === 200)
    const connector = new TestConnector(relay)
    await registered(connector)
    expect(await echo(await dialThrough(relay, connector), 'hello')).toBe('hello')
  })

  it('with another key takes its capabilities at once, the old ones until the old key is gone', async () => {
    const { relay, connector } = await lab()
    const oldKey = relay.keys[0]!
    const newKey = createRelayKey()
    const dialWith = (key: typeof oldKey) =>
      dialThrough(relay, connector, { capability: relay.capability(connector, { key }) })
    await expect(dialWith(newKey)).rejects.toMatchObject({ code: 'capability_refused' })
    relay.keys = [oldKey, newKey]
    relay.writeSecret()
    await eventually('the new key', () => dialWith(newKey).catch(() => undefined))
    await dialWith(oldKey)
    relay.keys = [newKey]
    relay.writeSecret()
    await eventually('the end of the old key', () =>
      dialWith(oldKey)
        .then(() => false)
        .catch(() => true),
    )
    await dialWith(newKey)
  })

  it('with another certificate shows it to new connections, and ends no tunnel', async () => {
    const { relay, connector } = await lab()
    const tunnel = await dialThrough(relay, connector)
    const before = await certificateOf(relay)
    relay.writeSecret()
    await eventually('the new certificate', async () => (await certificateOf(relay)) !== before)
    expect(await echo(tunnel, 'still here')).toBe('still here')
    expect(connector.channel.state).toEqual({ kind: 'open' })
  })

  it('that is broken leaves the last good one in use', async () => {
    const warned: string[] = []
    const log = createLog('relay', 'warn', { write: (line: string) => void warned.push(line) })
    const { relay, connector } = await lab({}, { log })
    writeFileSync(join(relay.directory, 'relay.json'), '{}')
    writeFileSync(join(relay.directory, 'tls.key'), 'nothing')
    await eventually('the broken Secret to be read', () => warned.some(line => line.includes('stays in use')))
    const fresh = createRelayKey()
    await expect(
      dialThrough(relay, connector, { capability: relay.capability(connector, { key: fresh }) }),
    ).rejects.toMatchObject({ code: 'capability_refused' })
    expect(await echo(await dialThrough(relay, connector), 'hello')).toBe('hello')
    expect((await relay.get('/readyz')).status).toBe(200)
  })
})

describe('a Relay that shuts down', () => {
  it('says so, lets nobody in, and waits for the tunnels', async () => {
    const { relay, connector } = await lab({ drainSeconds: 30 })
    const tunnel = await dialThrough(relay, connector)
    const { address } = relay
    const closed = relay.close()
    await eventually('the Connector to hear of it', () => connector.received.some(({ type }) => type === 'draining'))
    expect(await echo(tunnel, 'still here')).toBe('still here')
    expect(connector.idle.size).toBe(0)
    await expect(
      dialThrough(relay, connector, { port: address.port, capability: new Uint8Array(61) }),
    ).rejects.toMatchObject({
      code: 'relay_unreachable',
    })
    tunnel.end()
    await closed
  })

  it('cuts the tunnels when its time is over', async () => {
    const { relay, connector } = await lab({ drainSeconds: 0 })
    const tunnel = await dialThrough(relay, connector)
    const end = new Promise(resolve => tunnel.once('close', resolve))
    await relay.close()
    await end
  })
})

describe('the control endpoint', () => {
  it('has no pages', async () => {
    const relay = await startTestRelay()
    const socket = connectTls({ ...relay.address, servername: relay.name, ca: installationCa.certificatePem })
    later(() => socket.destroy())
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    const text = await new Promise<string>(resolve => socket.once('data', data => resolve(data.toString())))
    expect(text).toContain('HTTP/1.1 404')
    expect(text).toContain('"error":"not_found"')
  })

  it('upgrades no path but its own', async () => {
    const relay = await startTestRelay()
    const socket = connectTls({ ...relay.address, servername: relay.name, ca: installationCa.certificatePem })
    later(() => socket.destroy())
    socket.write('GET /v1/other HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')
    const text = await new Promise<string>(resolve => socket.once('data', data => resolve(data.toString())))
    expect(text).toContain('HTTP/1.1 404')
  })
})

function oneDay() {
  return { nowMs: systemClock.now(), lifeSeconds: 86_400 }
}

async function lab(...[config, deps]: Parameters<typeof startTestRelay>) {
  const relay = await startTestRelay(config, deps)
  const connector = new TestConnector(relay)
  await registered(connector)
  return { relay, connector }
}

async function registered(connector: TestConnector): Promise<void> {
  await eventually(
    'registration and idle sockets',
    () => connector.registered && connector.idle.size === connector.wanted,
  )
}

async function echo(tunnel: Awaited<ReturnType<typeof dialThrough>>, text: string): Promise<string> {
  const chunks: Buffer[] = []
  const keep = (chunk: Buffer) => void chunks.push(chunk)
  tunnel.on('data', keep)
  tunnel.write(text)
  await eventually('the echo', () => Buffer.concat(chunks).length >= text.length)
  tunnel.off('data', keep)
  return Buffer.concat(chunks).toString()
}

async function certificateOf(relay: TestRelay): Promise<string> {
  const socket = connectTls({ ...relay.address, servername: relay.name, ca: installationCa.certificatePem })
  await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
  const { fingerprint256 } = socket.getPeerCertificate()
  socket.destroy()
  return fingerprint256
}
