import { once } from 'node:events'
import { buffer, text } from 'node:stream/consumers'
import { sha256, toBase64Url } from '@sallyport/trust'
import { Budget, decodeFrames, encodeFrame, FrameType } from '@sallyport/wire'
import { afterEach, describe, expect, it } from 'vitest'
import { FakeClock } from '../fake-clock.ts'
import { ClientSession, type ClientSessionOptions, type SessionClose } from './client-session.ts'
import type { ConnectorSession, IncomingStream } from './connector-session.ts'
import { dialTunnel } from './dial.ts'
import { SessionHost, type SessionHostOptions } from './session-host.ts'
import { Door, dialOptions, makeCa, makeParty } from './test/fixture.ts'

const ca = makeCa()
const connector = makeParty(ca, 'connector')
const device = makeParty(ca, 'device')
const ACL = new TextEncoder().encode('acl of a test')
const ACL_HASH = toBase64Url(sha256(ACL))
const REQUEST = {
  resource: '00000000-0000-4000-8000-000000000001',
  host: 'db.internal',
  port: 5432,
  protocol: 'tcp',
} as const

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

describe('a stream through a tunnel', () => {
  it('carries bytes both ways with half close', async () => {
    const lab = await openLab()
    const near = await lab.client.open(REQUEST)
    near.end('question')
    expect(await text(lab.accepted[0]!)).toBe('question')
    lab.accepted[0]?.end('answer')
    expect(await text(near)).toBe('answer')
    expect(near.counts).toEqual({ sent: 8, received: 6 })
    expect(lab.accepted[0]?.request).toEqual(REQUEST)
  })

  it('brings 64 MB each way unchanged, in many streams at once', async () => {
    const lab = await openLab({ onOpen: echo })
    const digests = await Promise.all(
      [1, 2, 3, 4].map(async seed => {
        const near = await lab.client.open(REQUEST)
        const sent = Buffer.alloc(16 * 1024 * 1024, String(seed).repeat(7))
        near.end(sent)
        return sent.equals(await buffer(near))
      }),
    )
    expect(digests).toEqual([true, true, true, true])
    expect(lab.client.streamCount).toBe(0)
  })

  it('is refused with the code of the Connector', async () => {
    const lab = await openLab({ onOpen: stream => stream.cut('port_not_granted') })
    await expect(lab.client.open(REQUEST)).rejects.toMatchObject({ name: 'StreamResetError', code: 'port_not_granted' })
    expect(lab.session.streams.size).toBe(0)
  })

  it('is cut by the Connector with its code, while another goes on', async () => {
    const lab = await openLab()
    const near = await lab.client.open(REQUEST)
    const other = await lab.client.open(REQUEST)
    const failed = once(near, 'error')
    const [incoming] = lab.session.streams
    incoming?.cut('revoked')
    expect(await failed).toMatchObject([{ code: 'revoked' }])
    expect([...lab.session.streams]).toHaveLength(1)
    other.write('still there')
    expect(String(await once(lab.accepted[1]!, 'data'))).toBe('still there')
  })

  it('destroyed by the application is cut at the other end', async () => {
    const lab = await openLab()
    const near = await lab.client.open(REQUEST)
    const failed = once(lab.accepted[0]!, 'error')
    near.destroy()
    expect(await failed).toMatchObject([{ code: 'closed' }])
    expect(lab.session.streams.size).toBe(0)
  })

  it('given up before its answer reaches the Connector as cancelled', async () => {
    let cancelled: Promise<void> | undefined
    let offered: () => void
    const asked = new Promise<void>(resolve => {
      offered = resolve
    })
    const lab = await openLab({
      onOpen: stream => {
        cancelled = new Promise(resolve => stream.onCancel(resolve))
        offered()
      },
    })
    const controller = new AbortController()
    const opening = lab.client.open(REQUEST, controller.signal)
    await asked
    controller.abort()
    await expect(opening).rejects.toMatchObject({ code: 'cancelled' })
    await cancelled
    expect(lab.session.streams.size).toBe(0)
  })

  it('that is not read holds one-byte frames in few blocks, and loses none', async () => {
    const lab = await openLab()
    const raw = await dialTunnel(dialOptions(ca, device, connector, lab.door.port))
    cleanups.push(() => raw.destroy())
    const json = (value: object) => new TextEncoder().encode(JSON.stringify(value))
    const hello = { version: 1, instance: 'r'.repeat(22), received: 0, aclHash: ACL_HASH }
    const acl = Buffer.concat([Uint8Array.of(0, 0, 0, 0, 0, 0, 0, ACL.length), ACL])
    const answers: Buffer[] = []
    raw.on('data', chunk => answers.push(chunk))
    raw.write(encodeFrame({ stream: 0, type: FrameType.Hello, body: json(hello) }))
    raw.write(encodeFrame({ stream: 0, type: FrameType.Acl, body: acl }))
    raw.write(encodeFrame({ stream: 1, type: FrameType.Open, body: json(REQUEST) }))
    const isOpened = () => decodeFrames(Buffer.concat(answers)).some(({ type }) => type === FrameType.Opened)
    await lab.until(isOpened, 'OPENED')
    const skipped = Uint8Array.of(0, 0, 0, 0, 200, 0, 0, 0)
    const bytes = 200_000
    const frames = Array.from({ length: bytes }, (_, at) => {
      return [encodeFrame({ stream: 1, type: FrameType.Data, body: Uint8Array.of(at & 255) }), skipped]
    })
    raw.write(Buffer.concat(frames.flat()))
    raw.write(encodeFrame({ stream: 1, type: FrameType.Fin, body: new Uint8Array() }))
    await lab.until(() => lab.accepted[0]?.counts.received === bytes, 'all bytes')
    const chunks: Buffer[] = []
    lab.accepted[0]!.on('data', chunk => chunks.push(chunk))
    await once(lab.accepted[0]!, 'end')
    expect(chunks.length).toBeLessThan(1_000)
    const whole = Buffer.concat(chunks)
    expect(whole).toHaveLength(bytes)
    expect(whole.every((byte, at) => byte === (at & 255))).toBe(true)
  })

  it('that is not read stops its writer, and another goes on', async () => {
    const lab = await openLab()
    const near = await lab.client.open(REQUEST)
    let written = 0
    const chunk = Buffer.alloc(65_536)
    while (written < 200 && near.write(chunk)) written++
    near.on('drain', () => {
      while (written < 200 && near.write(chunk)) written++
    })
    const other = await lab.client.open(REQUEST)
    other.write('through')
    expect(String(await once(lab.accepted[1]!, 'data'))).toBe('through')
    expect(written).toBeLessThan(40)
    lab.accepted[0]?.resume()
    while (written < 200) await once(near, 'drain')
  })
})

describe('a session', () => {
  it('is ready when the Connector has accepted its ACL', async () => {
    const lab = await openLab()
    expect(lab.client.id).toBe(lab.session.id)
    expect(lab.acls).toEqual([['acl of a test', ACL_HASH]])
    expect(lab.session.peer.deviceId).toBe(device.id)
  })

  it('shows a renewed ACL', async () => {
    const lab = await openLab()
    const renewed = new TextEncoder().encode('renewed')
    lab.client.renewAcl({ bytes: renewed, hash: toBase64Url(sha256(renewed)) })
    await lab.until(() => lab.acls.length === 2, 'a second ACL')
    expect(lab.acls[1]?.[0]).toBe('renewed')
  })

  it('whose ACL is refused ends, and no stream is ever handed on', async () => {
    const lab = await openLab({ acceptAcl: false, waitReady: false })
    const opening = lab.client.open(REQUEST)
    await lab.until(() => lab.acls.length === 1, 'an ACL')
    lab.session.refuseAcl()
    await expect(opening).rejects.toMatchObject({ code: 'denied' })
    expect(lab.closed).toEqual([{ code: 'denied', goaway: 'acl_refused' }])
    expect(lab.opens).toBe(0)
  })

  it('that drains takes no new streams, while the open ones go on', async () => {
    const lab = await openLab()
    const near = await lab.client.open(REQUEST)
    lab.host.drain()
    await lab.until(() => lab.goaways.length === 1, 'GOAWAY')
    expect(lab.goaways).toEqual(['draining'])
    await expect(lab.client.open(REQUEST)).rejects.toMatchObject({ code: 'draining' })
    near.end('last')
    expect(await text(lab.accepted[0]!)).toBe('last')
  })

  it('that is closed as revoked ends every stream at both ends', async () => {
    const lab = await openLab()
    const near = await lab.client.open(REQUEST)
    const failed = Promise.all([once(near, 'error'), once(lab.accepted[0]!, 'error')])
    lab.session.close('revoked', 'revoked')
    expect(await failed).toMatchObject([[{ code: 'revoked' }], [{ code: 'revoked' }]])
    expect(lab.closed).toEqual([{ code: 'revoked', goaway: 'revoked' }])
    await lab.until(() => lab.host.size === 0, 'no session')
  })

  it('ends with its carrier, and says what the streams heard', async () => {
    const lab = await openLab()
    const near = await lab.client.open(REQUEST)
    const failed = Promise.all([once(near, 'error'), once(lab.accepted[0]!, 'error')])
    lab.door.tunnels[0]?.socket.destroy()
    expect(await failed).toMatchObject([[{ code: 'connector_lost' }], [{ code: 'connector_lost' }]])
    expect(lab.closed).toMatchObject([{ code: 'connector_lost' }])
    await expect(lab.client.open(REQUEST)).rejects.toMatchObject({ code: 'connector_lost' })
    expect(lab.host.size).toBe(0)
  })

  it('a peer that breaks the protocol is told so and dropped', async () => {
    const lab = await openLab()
    await lab.client.open(REQUEST)
    lab.tunnel.write(encodeFrame({ stream: 99, type: FrameType.Fin, body: new Uint8Array() }))
    await lab.until(() => lab.closed.length === 1, 'the end')
    expect(lab.closed).toEqual([{ code: 'protocol_error', goaway: 'protocol_error' }])
    expect(lab.host.size).toBe(0)
  })

  it('without HELLO is dropped at the time-out', async () => {
    const clock = new FakeClock()
    const lab = await openLab({ host: { clock, helloTimeoutMs: 30 } })
    const silent = await dialTunnel(dialOptions(ca, device, connector, lab.door.port))
    silent.on('error', () => {}).resume()
    await lab.until(() => lab.door.tunnels.length === 2, 'the tunnel')
    clock.advance(30)
    await once(silent, 'close')
    expect(lab.host.size).toBe(1)
  })

  it('without READY is dropped at the time-out', async () => {
    const lab = await openLab({ acceptAcl: false, waitReady: false, client: { readyTimeoutMs: 30 } })
    await lab.until(() => lab.closed.length === 1, 'the end')
    expect(lab.closed).toMatchObject([{ code: 'connector_lost', error: { message: 'no READY within 30 ms' } }])
  })

  it('of the same instance replaces the one before; a device has a limited number', async () => {
    const lab = await openLab({ host: { maxSessionsPerDevice: 2 } })
    await lab.another({ instance: INSTANCE })
    expect(lab.closed).toEqual([{ code: 'connector_lost', goaway: 'replaced' }])
    await lab.another({ instance: 'b'.repeat(22) })
    expect(lab.host.size).toBe(2)
    const refused = await lab.another({ instance: 'c'.repeat(22) }, false)
    await lab.until(() => refused.closed.length === 1, 'the refusal')
    expect(refused.closed).toEqual([{ code: 'connector_lost', goaway: 'too_many_sessions' }])
    expect(lab.host.size).toBe(2)
  })

  it('gives back its budgets', async () => {
    const creditBudget = new Budget(1e9)
    const keptBudget = new Budget(1e9)
    const lab = await openLab({ host: { creditBudget, keptBudget } })
    const near = await lab.client.open(REQUEST)
    near.write(Buffer.alloc(100_000))
    await once(lab.accepted[0]!, 'readable')
    expect(creditBudget.used).toBeGreaterThan(100_000)
    lab.session.close('closed', 'closed')
    expect([creditBudget.used, keptBudget.used]).toEqual([0, 0])
  })
})

describe('a session that moves to another tunnel', () => {
  it.each([
    ['its tunnel is cut', (lab: Lab) => lab.tunnel.destroy()],
    ['its tunnel is cut at the other end', (lab: Lab) => lab.door.tunnels[0]?.socket.destroy()],
    ['its tunnel still lives', undefined],
  ])('while %s loses and doubles nothing', async (_name, cut) => {
    const lab = await openLab({ onOpen: echo, host: { detachedLifeMs: 5_000 }, client: { detachedLifeMs: 5_000 } })
    const near = await lab.client.open(REQUEST)
    const sent = Buffer.alloc(24 * 1024 * 1024)
    for (let at = 0; at < sent.length; at += 4) sent.writeUInt32LE(at, at)
    near.end(sent)
    let received = 0
    const chunks: Buffer[] = []
    const whole = new Promise<void>(resolve => near.once('end', resolve))
    near.on('data', chunk => {
      chunks.push(chunk)
      received += chunk.length
    })
    await lab.until(() => received > 4e6, 'bytes')
    cut?.(lab)
    if (cut !== undefined) await lab.until(() => !lab.client.attached && !lab.session.attached, 'both to notice')
    await lab.move()
    await whole
    expect(Buffer.concat(chunks).equals(sent)).toBe(true)
    expect(lab.closed).toEqual([])
    expect(lab.door.tunnels).toHaveLength(2)
  })

  it('twice within a second waits for another try', async () => {
    const lab = await openLab({
      host: { clock: new FakeClock(), detachedLifeMs: 5_000 },
      client: { detachedLifeMs: 5_000 },
    })
    const near = await lab.client.open(REQUEST)
    await lab.move()
    await lab.until(() => lab.readies === 2, 'READY')
    await lab.move()
    await lab.until(() => !lab.client.attached, 'the refusal')
    expect(lab.closed).toEqual([])
    expect(near.destroyed).toBe(false)
  })

  it('is refused to another device, and the session is untouched', async () => {
    const lab = await openLab({ host: { detachedLifeMs: 5_000 }, client: { detachedLifeMs: 5_000 } })
    const near = await lab.client.open(REQUEST)
    const thief = makeParty(ca, 'device')
    const socket = await dialTunnel(dialOptions(ca, thief, connector, lab.door.port))
    const hello = { version: 1, instance: INSTANCE, session: lab.session.id, received: 0, aclHash: ACL_HASH }
    socket.on('error', () => {})
    socket.write(
      encodeFrame({ stream: 0, type: FrameType.Hello, body: new TextEncoder().encode(JSON.stringify(hello)) }),
    )
    expect(await buffer(socket)).toEqual(
      Buffer.from(encodeFrame({ stream: 0, type: FrameType.Goaway, body: Uint8Array.of(0, 4) })),
    )
    near.write('untouched')
    expect(String(await once(lab.accepted[0]!, 'data'))).toBe('untouched')
  })
})

const INSTANCE = 'a'.repeat(22)

type LabOptions = {
  onOpen?: (stream: IncomingStream) => void
  acceptAcl?: boolean
  waitReady?: boolean
  host?: Partial<SessionHostOptions>
  client?: Partial<ClientSessionOptions>
}

function echo(stream: IncomingStream): void {
  const duplex = stream.accept()
  duplex?.pipe(duplex)
}

type Lab = Awaited<ReturnType<typeof openLab>>

type Watched = { session: ClientSession; goaways: string[]; closed: SessionClose[] }

async function openLab({ onOpen, acceptAcl = true, waitReady = true, host = {}, client = {} }: LabOptions = {}) {
  const acls: [string, string][] = []
  const accepted: NonNullable<ReturnType<IncomingStream['accept']>>[] = []
  const sessions: ConnectorSession[] = []
  const seen = { opens: 0 }
  const sessionHost = new SessionHost({
    ...host,
    onSession: session => {
      sessions.push(session)
      return {
        acl(bytes, hash) {
          acls.push([new TextDecoder().decode(bytes), hash])
          if (acceptAcl) session.acceptAcl()
        },
        open(stream) {
          seen.opens++
          if (onOpen !== undefined) {
            onOpen(stream)
            return
          }
          accepted.push(stream.accept()!)
        },
      }
    },
  })
  const door = await new Door(ca, connector, tunnel => sessionHost.serve(tunnel)).open()
  cleanups.push(() => door.close())
  const dial = async () => {
    const socket = await dialTunnel(dialOptions(ca, device, connector, door.port))
    cleanups.push(() => socket.destroy())
    return socket
  }
  const another = async (options: Partial<ClientSessionOptions> = {}, ready = true): Promise<Watched> => {
    const watched: Omit<Watched, 'session'> = { goaways: [], closed: [] }
    const session = new ClientSession({
      instance: INSTANCE,
      acl: { bytes: ACL, hash: ACL_HASH },
      events: {
        ready: () => {
          lab.readies++
        },
        goaway: code => watched.goaways.push(code),
        closed: end => watched.closed.push(end),
      },
      ...options,
    })
    lab.tunnel = await dial()
    session.attach(lab.tunnel)
    if (ready) await until(() => session.id !== undefined, 'READY')
    return { session, ...watched }
  }
  const lab = {
    door,
    host: sessionHost,
    accepted,
    acls,
    until,
    another,
    tunnel: undefined as unknown as Awaited<ReturnType<typeof dial>>,
    readies: 0,
    get session(): ConnectorSession {
      return sessions[0]!
    },
    get opens(): number {
      return seen.opens
    },
    async move() {
      lab.tunnel = await dial()
      first.session.attach(lab.tunnel)
    },
  }
  const first = await another(client, waitReady)
  return Object.assign(lab, { client: first.session, goaways: first.goaways, closed: first.closed })
}

/** Waits for `holds`, a turn of the event loop at a time. */
async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`${what} did not come`)
    await new Promise(resolve => setImmediate(resolve))
  }
}
