import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { issueServingCertificate, thumbprintOf } from '@sallyport/trust'
import { encodeAlert, type RelayRefusal, TUNNEL_ALPN } from '@sallyport/wire'
import { afterEach, describe, expect, it } from 'vitest'
import type { AcceptedTunnel } from './accept.ts'
import { dialTunnel } from './dial.ts'
import { connect, Door, dialOptions, makeCa, makeParty, type Party } from './test/fixture.ts'

const ca = makeCa()
const connector = makeParty(ca, 'connector')
const device = makeParty(ca, 'device')

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

describe('a tunnel', () => {
  it('stands between a device and a Connector of one tenant, on TLS 1.3 with X25519MLKEM768', async () => {
    const door = await openDoor()
    const socket = await dial(door)
    expect(socket.getProtocol()).toBe('TLSv1.3')
    expect(socket.getEphemeralKeyInfo()).toMatchObject({ name: 'X25519MLKEM768' })
    await reach(socket)
    expect(door.tunnels.map(({ peer }) => peer)).toEqual([
      { deviceId: device.id, jkt: thumbprintOf(device.keys.publicKey) },
    ])
    expect(door.refusals).toEqual([])
  })

  it('stands with a new certificate as soon as the Connector has it, and still resumes no session', async () => {
    const door = await openDoor()
    const renewed = makeParty(ca, 'connector')
    door.acceptor.setTrust({ identity: renewed.identity, tenantCaPem: ca.certificatePem })
    await expect(dial(door)).rejects.toMatchObject({ code: 'wrong_identity' })
    keep(await dialTunnel(dialOptions(ca, device, renewed, door.port)))
    const again = rawClient(door, { ...clientCertificate(), session: await sessionOf(door) })
    await reach(again)
    expect(again.isSessionReused()).toBe(false)
  })

  it('stands while a CA is replaced, for certificates of both', async () => {
    const nextCa = makeCa('next tenant CA')
    const door = await openDoor()
    const both = ca.certificatePem + nextCa.certificatePem
    door.acceptor.setTrust({ identity: connector.identity, tenantCaPem: both })
    for (const party of [device, makeParty(nextCa, 'device')]) await reach(await dial(door, party))
  })
})

describe('a Client refuses', () => {
  it.each([
    ['a Connector of a rogue CA', makeParty(makeCa(), 'connector', { keys: connector.keys }), 'untrusted_certificate'],
    ['a Connector with another key, swapped in by the Relay', makeParty(ca, 'connector'), 'wrong_identity'],
    [
      'an expired Connector',
      makeParty(ca, 'connector', { keys: connector.keys, ageSeconds: 3601 }),
      'certificate_not_current',
    ],
    [
      'the Connector of another tenant',
      makeParty(ca, 'connector', { keys: connector.keys, tenant: 'other' }),
      'wrong_identity',
    ],
    ['a device that plays Connector', playing('device'), 'untrusted_certificate'],
    ['a certificate without URI SAN', withoutUri(), 'wrong_identity'],
  ])('%s, before a byte of payload', async (_name, party, code) => {
    const door = await openDoor(party)
    await expect(dial(door)).rejects.toMatchObject({ name: 'TunnelError', code })
    expect(door.payloadBytes).toBe(0)
  })

  it('the right name and CA with the wrong pin', async () => {
    const door = await openDoor()
    const options = dialOptions(ca, device, connector, door.port)
    const wrong = { ...options, target: { ...options.target, pin: makeParty(ca, 'connector').pin } }
    await expect(dialTunnel(wrong)).rejects.toMatchObject({ code: 'pin_mismatch' })
    expect(door.payloadBytes).toBe(0)
  })

  it('TLS 1.2', async () => {
    const port = await rogueServer({ maxVersion: 'TLSv1.2' })
    await expect(dialTunnel(dialOptions(ca, device, connector, port))).rejects.toMatchObject({
      code: 'handshake_failed',
    })
  })

  it('a server that does not speak the protocol', async () => {
    const port = await rogueServer({ ALPNProtocols: [] })
    await expect(dialTunnel(dialOptions(ca, device, connector, port))).rejects.toMatchObject({ code: 'wrong_protocol' })
  })
})

describe('a Connector refuses', () => {
  it.each([
    ['a device of a rogue CA', makeParty(makeCa(), 'device'), 'untrusted_certificate'],
    ['an expired device', makeParty(ca, 'device', { ageSeconds: 3601 }), 'certificate_not_current'],
    ['a device of another tenant', makeParty(ca, 'device', { tenant: 'other' }), 'wrong_identity'],
    ['a Connector that plays device', makeParty(ca, 'connector'), 'untrusted_certificate'],
  ])('%s', async (_name, party, code) => {
    const door = await openDoor()
    const socket = await dial(door, party).catch(() => undefined)
    expect(await door.refusal()).toBe(code)
    await gone(socket)
    expect(door.tunnels).toEqual([])
  })

  it.each([
    ['no certificate', {}, 'no_certificate'],
    ['TLS 1.2', { ...clientCertificate(), maxVersion: 'TLSv1.2' }, 'handshake_failed'],
    ['no ALPN', { ...clientCertificate(), ALPNProtocols: [] }, 'wrong_protocol'],
    ['another ALPN', { ...clientCertificate(), ALPNProtocols: ['h2'] }, 'wrong_protocol'],
    ['neither X25519MLKEM768 nor X25519', { ...clientCertificate(), ecdhCurve: 'P-256' }, 'handshake_failed'],
  ] as [string, tls.ConnectionOptions, string][])('%s', async (_name, options, code) => {
    const door = await openDoor()
    const socket = rawClient(door, options)
    expect(await door.refusal()).toBe(code)
    await gone(socket)
    expect(door.tunnels).toEqual([])
  })

  it('to resume a session, with the key or without', async () => {
    const door = await openDoor()
    const session = await sessionOf(door)
    const holder = rawClient(door, { ...clientCertificate(), session })
    await reach(holder)
    expect(holder.isSessionReused()).toBe(false)
    const thief = rawClient(door, { session })
    expect(await door.refusal()).toBe('no_certificate')
    await gone(thief)
    expect(door.tunnels).toHaveLength(2)
  })

  it('to resume a session from another device', async () => {
    const door = await openDoor()
    const other = makeParty(ca, 'device')
    const { certificatePem: cert, privateKeyPem: key } = other.identity
    await reach(rawClient(door, { cert, key, session: await sessionOf(door) }))
    expect(door.tunnels.map(({ peer }) => peer.deviceId)).toEqual([device.id, other.id])
  })

  it('a handshake that does not go on', async () => {
    const door = await openDoor(connector, { handshakeTimeoutMs: 50 })
    const socket = net.connect(door.port, '127.0.0.1')
    keep(socket)
    expect(await door.refusal()).toBe('timeout')
    await gone(socket)
    expect(door.acceptor.pending).toBe(0)
  })

  it('more handshakes at a time than it has room for', async () => {
    const door = await openDoor(connector, { maxHandshakes: 2 })
    const sockets = [1, 2, 3].map(() => keep(net.connect(door.port, '127.0.0.1')))
    expect(await door.refusal()).toBe('too_many_handshakes')
    expect(door.acceptor.pending).toBe(2)
    for (const socket of sockets) socket.destroy()
  })

  it('everything once it is closed', async () => {
    const door = await openDoor()
    door.acceptor.close()
    await expect(dial(door)).rejects.toMatchObject({ code: 'connection_lost' })
    expect(door.tunnels).toEqual([])
  })
})

describe('a refusal of the Relay', () => {
  it.each(['capability_refused', 'capability_expired', 'connector_unknown', 'no_idle_socket'] as RelayRefusal[])(
    '%s is named',
    async refusal => {
      const port = await plainServer(socket => {
        socket.once('data', () => socket.end(encodeAlert(refusal)))
      })
      await expect(dialTunnel(dialOptions(ca, device, connector, port))).rejects.toMatchObject({ code: refusal })
    },
  )

  it('by closing is named too', async () => {
    const port = await plainServer(socket => {
      socket.once('data', () => socket.destroy())
    })
    await expect(dialTunnel(dialOptions(ca, device, connector, port))).rejects.toMatchObject({
      code: 'connection_lost',
    })
  })

  it('by silence ends at the time-out, and nothing stays open', async () => {
    let closed: Promise<void> | undefined
    const port = await plainServer(socket => {
      closed = new Promise(resolve => socket.once('close', () => resolve()))
      socket.resume()
    })
    const options = dialOptions(ca, device, connector, port, { handshakeTimeoutMs: 50 })
    await expect(dialTunnel(options)).rejects.toMatchObject({ code: 'timeout' })
    await closed
  })

  it('by a closed port is named', async () => {
    const port = await plainServer(() => {})
    cleanups.pop()?.()
    await expect(dialTunnel(dialOptions(ca, device, connector, port))).rejects.toMatchObject({
      code: 'relay_unreachable',
    })
  })

  it('a caller that gives up closes everything', async () => {
    const port = await plainServer(socket => socket.resume())
    const controller = new AbortController()
    const dialled = dialTunnel(dialOptions(ca, device, connector, port, { signal: controller.signal }))
    controller.abort()
    await expect(dialled).rejects.toMatchObject({ code: 'aborted' })
  })

  it('a Relay name that leaves no room for the capability is refused before any connection', async () => {
    let dialled = false
    const options = dialOptions(ca, device, connector, 1, {
      connect: () => {
        dialled = true
        return connect('127.0.0.1', 1, AbortSignal.timeout(1))
      },
    })
    const relayName = `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}`
    const target = { ...options.target, relayName }
    await expect(dialTunnel({ ...options, target })).rejects.toMatchObject({ code: 'bad_server_name' })
    expect(dialled).toBe(false)
  })
})

async function openDoor(party: Party = connector, limits = {}): Promise<Door> {
  const echo = ({ socket }: AcceptedTunnel) => socket.on('data', bytes => socket.write(bytes))
  const door = await new Door(ca, party, echo, limits).open()
  cleanups.push(() => door.close())
  return door
}

async function dial(door: Door, party = device): Promise<tls.TLSSocket> {
  return keep(await dialTunnel(dialOptions(ca, party, connector, door.port)))
}

/** A TLS client that checks nothing, as an attacker would. */
function rawClient(door: Door, options: tls.ConnectionOptions): tls.TLSSocket {
  return keep(
    tls.connect({
      port: door.port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ALPNProtocols: [TUNNEL_ALPN],
      ...options,
    }),
  )
}

function clientCertificate(): tls.ConnectionOptions {
  return { cert: device.identity.certificatePem, key: device.identity.privateKeyPem }
}

/** A Connector's id in the certificate of another role. */
function playing(role: 'device'): Party {
  return makeParty(ca, role, { keys: connector.keys })
}

function withoutUri(): Party {
  const life = { nowMs: Date.now(), lifeSeconds: 3600 }
  const { publicKey } = connector.keys
  const certificatePem = issueServingCertificate(ca, { publicKey, dnsNames: ['relay.example'] }, life)
  return { ...connector, identity: { certificatePem, privateKeyPem: connector.identity.privateKeyPem } }
}

async function rogueServer(options: tls.TlsOptions): Promise<number> {
  const { certificatePem: cert, privateKeyPem: key } = connector.identity
  const server = tls.createServer({ cert, key, ALPNProtocols: [TUNNEL_ALPN], ...options }, socket => {
    socket.on('error', () => {})
  })
  return listen(server)
}

async function plainServer(serve: (socket: net.Socket) => void): Promise<number> {
  return listen(
    net.createServer(socket => {
      keep(socket)
      serve(socket)
    }),
  )
}

async function listen(server: net.Server): Promise<number> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => server.close())
  return (server.address() as net.AddressInfo).port
}

/** What the Connector gives a device for a resumption, if it were to allow one. */
async function sessionOf(door: Door): Promise<Buffer> {
  const socket = rawClient(door, clientCertificate())
  const given = once(socket, 'session')
  await reach(socket)
  const [session] = await given
  return session
}

/** Sends a byte there and back. */
async function reach(socket: tls.TLSSocket): Promise<void> {
  socket.write('?')
  const [echo] = await once(socket, 'data')
  expect(String(echo)).toBe('?')
}

/** Resolves when `socket` is closed, by whomever. */
async function gone(socket: net.Socket | undefined): Promise<void> {
  if (socket !== undefined && !socket.closed) await once(socket, 'close').catch(() => undefined)
}

function keep<S extends net.Socket>(socket: S): S {
  socket.on('error', () => {})
  cleanups.push(() => socket.destroy())
  return socket
}
