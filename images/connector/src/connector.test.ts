import { X509Certificate } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NO_PROXY, StreamResetError, silentLog, systemClock } from '@sallyport/runtime'
import type { ResourceRule, ToConnector } from '@sallyport/schema'
import { type DnsServer, eventually, type PrivateService, startDnsServer, startEchoService } from '@sallyport/testkit'
import {
  createEnrolmentToken,
  firstOf,
  generateKeyPair,
  issueIdentityCertificate,
  issueTrustUpdate,
  jwksOf,
  signingKey,
} from '@sallyport/trust'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startConnector } from './connector.ts'
import { ask, startClient } from './test/client.ts'
import { startTestController, type TestController } from './test/controller.ts'
import { identity, installationCa, life, tenantCa } from './test/identity.ts'
import { startTestRelay, type TestRelay } from './test/relay.ts'
import {
  clientAcl,
  clientAclJwks,
  connectorAcl,
  connectorAclJwks,
  connectorAclKey,
  DB,
  device,
  makeDevice,
  NETWORK,
  rule,
  TENANT,
  WEB,
} from './test/world.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

let controller: TestController
let relays: TestRelay[]
let service: PrivateService
let dns: DnsServer
let token: { value: string }
let secret: string
let state: string

beforeEach(async () => {
  token = { value: createEnrolmentToken().token }
  controller = await startTestController(token)
  relays = await Promise.all([startTestRelay('r0.test'), startTestRelay('r1.test')])
  service = await startEchoService('')
  dns = await startDnsServer({ 'web.internal': ['127.0.0.1'] })
  const directory = mkdtempSync(join(tmpdir(), 'connector-'))
  secret = join(directory, 'secret')
  state = join(directory, 'state')
  mkdirSync(secret)
  writeFileSync(join(secret, 'token'), token.value)
  writeFileSync(join(secret, 'trust.json'), JSON.stringify(trustFile()))
  cleanups.push(
    () => controller.close(),
    () => Promise.all(relays.map(relay => relay.close())),
    () => service.close(),
    () => dns.close(),
    () => rmSync(directory, { recursive: true, force: true }),
  )
})

const trustFile = () => ({
  tenant: TENANT,
  issuer: `sallyport://${TENANT}`,
  network: NETWORK,
  controllerUrl: controller.url,
  installationCa: installationCa.certificatePem,
  tenantCa: tenantCa.certificatePem,
  jwks: { clientAcl: clientAclJwks, connectorAcl: connectorAclJwks },
})

const nowMs = () => systemClock.now()
const web = (...ports: number[]) => rule('web.internal', ...(ports.length === 0 ? [service.port] : ports))
type Options = Parameters<typeof connectorAcl>[1]

/** A batch as the Controller sends it. */
function batch(resources: Record<string, ResourceRule>, revision = 1, options: Options = {}): ToConnector[] {
  const guardExceptions = ['127.0.0.0/8']
  return [
    {
      type: 'connectorAcl',
      jwt: connectorAcl(resources, { rev: revision, nowMs: nowMs(), guardExceptions, ...options }),
    },
    {
      type: 'relays',
      relays: relays.map(({ name, address }) => ({ name, address, pass: controller.passFor(name) })),
    },
    { type: 'synced', revision },
  ]
}

async function start(resolver = dns.address) {
  const connector = await startConnector(
    {
      directory: secret,
      stateDirectory: state,
      metricsListen: { host: '127.0.0.1', port: 0 },
      logLevel: 'info',
      resolvers: [resolver],
      drainSeconds: 5,
      connectTimeoutMs: 2_000,
      proxy: NO_PROXY,
    },
    { log: silentLog, random: () => 0.05 },
  )
  const stopped = { done: false }
  const stop = async () => {
    if (!stopped.done) await connector.close()
    stopped.done = true
  }
  cleanups.push(stop)
  const ready = async () => (await fetch(`http://${connector.metricsAddress}/readyz`)).status === 200
  return { ...connector, close: stop, ready }
}

const idleSockets = () => Promise.all(relays.map(relay => relay.idle()))

/** A Connector that is enrolled, registered and ready. */
async function startReady(
  resources: Record<string, ResourceRule> = { [WEB]: web() },
  options?: Options,
  resolver?: string,
) {
  controller.state.onOpen = push => batch(resources, 1, options).forEach(push)
  const connector = await start(resolver)
  await eventually('a ready Connector', connector.ready)
  await eventually('idle sockets', async () => (await idleSockets()).every(idle => idle >= 2))
  return connector
}

const granted = (resources: Record<string, ResourceRule>, options: Parameters<typeof clientAcl>[1] = {}) =>
  clientAcl(resources, { nowMs: nowMs(), ...options })
async function connect(acl: string, relay = relays[0]!, holder = device) {
  const client = await startClient(relay, controller.enrolled.at(-1)!, acl, holder)
  cleanups.push(() => client.socket.destroy())
  return client
}
const codeOf = (stream: NodeJS.EventEmitter) =>
  new Promise<string>(resolve => {
    stream.once('error', error => resolve(error instanceof StreamResetError ? error.code : String(error)))
  })

describe('enrolment', () => {
  it('makes a key, enrols, registers at every Relay and is ready', async () => {
    const connector = await startReady()
    expect(await Promise.all(relays.map(relay => relay.registrations()))).toEqual([1, 1])
    expect(controller.enrolled).toHaveLength(1)
    expect(controller.last('hello')).toMatchObject({ revision: 0 })
    expect((await fetch(`http://${connector.metricsAddress}/healthz`)).status).toBe(200)
    await eventually('a heartbeat', () => controller.last('heartbeat')?.ready)
  })

  it('is not ready before it has an ACL and a Relay, but alive', async () => {
    const connector = await start()
    await eventually('a channel', () => controller.connections() === 1)
    expect(await connector.ready()).toBe(false)
    expect((await fetch(`http://${connector.metricsAddress}/healthz`)).status).toBe(200)
  })

  it('gets over lost replies with the same key', async () => {
    controller.state.loseReplies = 2
    await startReady()
    expect(controller.enrolled).toHaveLength(1)
  })

  it('waits while the slot is occupied', async () => {
    controller.state.occupied = true
    controller.state.onOpen = push => batch({}).forEach(push)
    const connector = await start()
    await eventually('a refusal', () => controller.refusals.length > 0)
    const report = await (await fetch(`http://${connector.metricsAddress}/readyz`)).json()
    expect(JSON.stringify(report)).toContain('slot_occupied')
    controller.state.occupied = false
    await eventually('a ready Connector', connector.ready)
  })

  it('waits for a token that is not used up, and takes it as soon as it is there', async () => {
    writeFileSync(join(secret, 'token'), createEnrolmentToken().token)
    controller.state.onOpen = push => batch({}).forEach(push)
    const connector = await start()
    await eventually('a refusal', () => controller.refusals.includes('unknown_token'))
    writeFileSync(join(secret, 'token'), token.value)
    await eventually('a ready Connector', connector.ready)
  })

  it('keeps its key over a restart, and enrols again with a new one when nobody knows it', async () => {
    const first = await startReady()
    await first.close()
    const second = await startReady()
    expect(controller.enrolled).toHaveLength(1)
    token.value = createEnrolmentToken().token
    controller.state.known = false
    controller.dropChannels()
    await eventually('that it has no token left', () => controller.refusals.includes('token_used'))
    writeFileSync(join(secret, 'token'), token.value)
    await eventually('the new key', () => controller.enrolled.length === 2)
    await eventually('a ready Connector', second.ready)
    expect(controller.enrolled[0]!.connectorId).not.toBe(controller.enrolled[1]!.connectorId)
  })

  it('speaks to no Controller that the installation CA has not vouched for', async () => {
    const other = { ...trustFile(), installationCa: tenantCa.certificatePem }
    writeFileSync(join(secret, 'trust.json'), JSON.stringify(other))
    const connector = await start()
    await eventually('the reason', async () => {
      const report = await (await fetch(`http://${connector.metricsAddress}/readyz`)).json()
      return JSON.stringify(report).includes('certificate')
    })
    expect(controller.enrolled).toEqual([])
  })
})

describe('a stream', () => {
  it('reaches its Resource by name, both ways, with half close, and is logged', async () => {
    await startReady()
    const client = await connect(granted({ [WEB]: web() }))
    const stream = await client.open('web.internal', service.port)
    expect(await ask(stream, 'hello', 5)).toBe('hello')
    stream.end(' and goodbye')
    let rest = ''
    for await (const chunk of stream) rest += chunk
    expect(rest).toBe(' and goodbye')
    const closed = await eventually('the log', () => controller.records().find(({ event }) => event === 'closed'))
    expect(closed).toMatchObject({
      device: device.id,
      user: 'user-1',
      resource: WEB,
      host: 'web.internal',
      port: service.port,
      path: 'relay:r0.test',
      bytesUp: 17,
      bytesDown: 17,
    })
    expect(controller.records().map(({ event }) => event)).toEqual(['opened', 'closed'])
  })

  it('goes through either Relay', async () => {
    await startReady()
    for (const relay of relays) {
      const client = await connect(granted({ [WEB]: web() }), relay, makeDevice())
      expect(client.session.closed).toBe(false)
    }
    const holder = makeDevice()
    const client = await connect(granted({ [WEB]: web() }, { holder }), relays[1]!, holder)
    expect(await ask(await client.open('web.internal', service.port), 'x', 1)).toBe('x')
  })

  type Request = Parameters<Awaited<ReturnType<typeof connect>>['open']>
  it.each<[string, () => Request, string]>([
    ['a port that is not granted', () => ['web.internal', 1], 'port_not_granted'],
    ['another name', () => ['other.internal', service.port], 'denied'],
    ['a Resource that the Client lacks', () => ['web.internal', service.port, DB], 'not_granted'],
    ['UDP, which is not granted', () => ['web.internal', service.port, WEB, 'udp'], 'port_not_granted'],
  ])('to %s is refused and reaches nothing', async (_, request, code) => {
    await startReady()
    const client = await connect(granted({ [WEB]: web() }))
    expect(await client.refusal(...request())).toBe(code)
    expect(service.accepted()).toBe(0)
    const denied = await eventually('the log', () => controller.records().find(({ event }) => event === 'denied'))
    expect(denied.reason).toBe(code)
  })

  it('says truthfully what the Resource did', async () => {
    dns.records.set('gone.internal', ['127.0.0.2'])
    const resources = { [WEB]: rule('*.internal', service.port), [DB]: rule('127.0.0.1', service.port) }
    await startReady(resources)
    const client = await connect(granted(resources))
    expect(await client.refusal('nowhere.internal', service.port)).toBe('name_not_found')
    expect(await client.refusal('gone.internal', service.port)).toBe('refused')
    expect(await client.refusal('127.0.0.1', service.port, DB)).toBe('opened')
  })

  it('waits for an update that knows its rule, two seconds at most', async () => {
    await startReady({})
    const client = await connect(granted({ [WEB]: web() }))
    const late = client.open('web.internal', service.port)
    controller.push(...batch({ [WEB]: web() }, 2))
    expect(await ask(await late, 'x', 1)).toBe('x')
    const start = performance.now()
    expect(await (await connect(granted({ [DB]: web() }), relays[0]!)).refusal('web.internal', service.port, DB)).toBe(
      'acl_mismatch',
    )
    expect(performance.now() - start).toBeGreaterThan(1_900)
  })
})

describe('the destination guard', () => {
  const guarded = [
    '127.0.0.1',
    '127.9.9.9',
    '0.0.0.0',
    '169.254.169.254',
    '169.254.1.1',
    '224.0.0.1',
    '100.100.100.200',
    '255.255.255.255',
  ]

  it.each(guarded)('keeps a name that leads to %s closed', async address => {
    dns.records.set('web.internal', [address])
    await startReady({ [WEB]: web() }, { guardExceptions: [] })
    const client = await connect(granted({ [WEB]: web() }))
    expect(await client.refusal('web.internal', service.port)).toBe('guarded_address')
    expect(service.accepted()).toBe(0)
  })

  it.each(['127.0.0.1', '::1', '::ffff:127.0.0.1', '64:ff9b::7f00:1', '64:ff9b:1::7f00:1'])(
    'keeps %s closed to a range that covers it',
    async address => {
      const all = address.includes(':') ? rule('::/0', service.port) : rule('0.0.0.0/0', service.port)
      await startReady({ [WEB]: all }, { guardExceptions: [] })
      const client = await connect(granted({ [WEB]: all }))
      expect(await client.refusal(address, service.port)).not.toBe('opened')
      expect(service.accepted()).toBe(0)
    },
  )

  it('opens a guarded address to a Resource that is that very address', async () => {
    const own = rule('127.0.0.1', service.port)
    await startReady({ [WEB]: own }, { guardExceptions: [] })
    const client = await connect(granted({ [WEB]: own }))
    expect(await client.refusal('127.0.0.1', service.port)).toBe('opened')
  })

  it('dials the address that it has checked, though the name changes in the meantime', async () => {
    await startReady({ [WEB]: web() }, { guardExceptions: ['127.0.0.1/32'] })
    const client = await connect(granted({ [WEB]: web() }))
    // The check asks for A and AAAA; whoever asked again to connect would be led elsewhere.
    let asked = 0
    dns.records.get = () => (++asked <= 2 ? ['127.0.0.1'] : ['127.0.0.2'])
    expect(await ask(await client.open('web.internal', service.port), 'x', 1)).toBe('x')
    expect(asked).toBe(2)
    expect(await client.refusal('web.internal', service.port)).toBe('guarded_address')
  })
})

describe('a change', () => {
  it('that takes the Resource away cuts the live stream at both ends, within a second', async () => {
    await startReady()
    const client = await connect(granted({ [WEB]: web() }))
    const stream = await client.open('web.internal', service.port)
    await ask(stream, 'x', 1)
    const cut = codeOf(stream)
    const start = performance.now()
    controller.push(...batch({}, 2))
    expect(await cut).toBe('revoked')
    await eventually('the Resource’s side', () => service.open() === 0, { everyMs: 2 })
    expect(performance.now() - start).toBeLessThan(1_000)
    await eventually('the acknowledgement', () => controller.last('applied')?.revision === 2)
    const closed = await eventually('the log', () => controller.records().find(({ event }) => event === 'closed'))
    expect(closed.reason).toBe('revoked')
  })

  it('of one device’s rights cuts what it lost, and nothing else', async () => {
    const echo = await startEchoService('')
    cleanups.push(() => echo.close())
    const own = { [WEB]: web(), [DB]: rule('127.0.0.1', echo.port) }
    await startReady(own)
    const client = await connect(granted(own))
    const [lost, kept] = [
      await client.open('web.internal', service.port),
      await client.open('127.0.0.1', echo.port, DB),
    ]
    const cut = codeOf(lost)
    controller.push(
      { type: 'floors', complete: false, floors: [{ device: device.id, rev: 5, untilMs: nowMs() + 3_600_000 }] },
      { type: 'clientAcl', device: device.id, jwt: granted({ [DB]: own[DB]! }, { rev: 5 }) },
      { type: 'synced', revision: 5 },
    )
    expect(await cut).toBe('revoked')
    expect(await ask(kept, 'still here', 10)).toBe('still here')
    expect(await client.refusal('web.internal', service.port)).toBe('not_granted')
  })

  it('that widens a rule cuts nothing, and the old list still opens what it allowed', async () => {
    await startReady()
    const client = await connect(granted({ [WEB]: web() }))
    const stream = await client.open('web.internal', service.port)
    controller.push(...batch({ [WEB]: web(service.port, 1) }, 2))
    await eventually('the acknowledgement', () => controller.last('applied')?.revision === 2)
    expect(await ask(stream, 'x', 1)).toBe('x')
    expect(await client.refusal('web.internal', service.port)).toBe('opened')
  })

  it('reaches a stream that is still being connected', async () => {
    const silent = createSocket('udp4').bind(0, '127.0.0.1')
    await once(silent, 'listening')
    cleanups.push(() => silent.close())
    await startReady(undefined, undefined, `127.0.0.1:${silent.address().port}`)
    const client = await connect(granted({ [WEB]: web() }))
    const asked = once(silent, 'message')
    const refusal = client.refusal('web.internal', service.port)
    await asked
    const start = performance.now()
    controller.push(...batch({}, 2))
    expect(await refusal).toBe('revoked')
    expect(performance.now() - start).toBeLessThan(1_000)
    expect(service.accepted()).toBe(0)
  })

  it('ends a stream at the second of its grant', async () => {
    await startReady()
    const endMs = (Math.floor(nowMs() / 1000) + 2) * 1000
    const client = await connect(granted({ [WEB]: web() }, { endMs }))
    const stream = await client.open('web.internal', service.port)
    expect(await codeOf(stream)).toBe('expired')
    expect(nowMs() - endMs).toBeGreaterThanOrEqual(-5)
    expect(await client.refusal('web.internal', service.port)).toBe('expired')
  })

  it('ends the session that the Controller names', async () => {
    await startReady()
    const client = await connect(granted({ [WEB]: web() }))
    const stream = await client.open('web.internal', service.port)
    const told = await eventually('the session', () => controller.last('sessions')?.sessions[0])
    const cut = codeOf(stream)
    controller.push({ type: 'closeSession', session: told.session })
    expect(await cut).toBe('revoked')
    await eventually('that it is told', () => controller.last('sessionClosed')?.session === told.session)
  })
})

describe('a device', () => {
  it('is refused with the list of another', async () => {
    await startReady()
    const client = await connect(granted({ [WEB]: web() }), relays[0]!, makeDevice())
    expect(await client.refusal('web.internal', service.port)).not.toBe('opened')
    await eventually('the end of the session', () => client.closed[0]?.goaway === 'acl_refused')
    expect(service.accepted()).toBe(0)
  })

  it('is refused with a list below its floor, also after a restart without the Controller', async () => {
    const first = await startReady()
    controller.push(
      { type: 'floors', complete: false, floors: [{ device: device.id, rev: 9, untilMs: nowMs() + 3_600_000 }] },
      { type: 'synced', revision: 9 },
    )
    await eventually('the acknowledgement', () => controller.last('applied')?.revision === 9)
    await first.close()
    await controller.close()
    const second = await start()
    await eventually('a Connector that is ready without its Controller', second.ready)
    await eventually('idle sockets', async () => (await idleSockets()).every(idle => idle >= 2))
    const revoked = await connect(granted({ [WEB]: web() }, { rev: 8 }))
    await eventually('the end of the session', () => revoked.closed[0]?.goaway === 'revoked')
    expect(service.accepted()).toBe(0)
    const current = await connect(granted({ [WEB]: web() }, { rev: 9 }))
    expect(await ask(await current.open('web.internal', service.port), 'x', 1)).toBe('x')
  })
})

describe('without the Controller', () => {
  it('streams go on, new ones too, where the network allows it', async () => {
    const connector = await startReady()
    const client = await connect(granted({ [WEB]: web() }))
    const stream = await client.open('web.internal', service.port)
    await controller.close()
    expect(await ask(stream, 'x', 1)).toBe('x')
    expect(await client.refusal('web.internal', service.port)).toBe('opened')
    expect(await connector.ready()).toBe(true)
  })

  it('everything ends after the seconds that the network allows, and comes back with the Controller', async () => {
    const onControllerLoss = { mode: 'closeAfter' as const, seconds: 5 }
    const connector = await startReady(undefined, { onControllerLoss })
    const client = await connect(granted({ [WEB]: web() }))
    const stream = await client.open('web.internal', service.port)
    const cut = codeOf(stream)
    const start = performance.now()
    const known = controller.enrolled
    await controller.close()
    expect(await cut).toBe('controller_lost')
    expect(performance.now() - start).toBeGreaterThan(4_900)
    expect(await client.refusal('web.internal', service.port)).toBe('controller_lost')
    expect(await connector.ready()).toBe(false)
    await eventually('the Resource’s side', () => service.open() === 0)
    controller = await startTestController(token, controller.port)
    cleanups.push(() => controller.close())
    controller.enrolled.push(...known)
    controller.state.onOpen = push => batch({ [WEB]: web() }, 2, { onControllerLoss }).forEach(push)
    await eventually('a ready Connector', connector.ready)
    expect(await client.refusal('web.internal', service.port)).toBe('opened')
  })

  it('the access log waits for it', async () => {
    await startReady()
    const client = await connect(granted({ [WEB]: web() }))
    const known = controller.enrolled
    await controller.close()
    expect(await client.refusal('web.internal', 1)).toBe('port_not_granted')
    controller = await startTestController(token, controller.port)
    cleanups.push(() => controller.close())
    controller.enrolled.push(...known)
    const [record] = await eventually('the record', () => controller.records().length > 0 && controller.records())
    expect(record).toMatchObject({ event: 'denied', reason: 'port_not_granted', port: 1 })
  })

  it('the state is on disk before it is acknowledged', async () => {
    await startReady()
    await eventually('the acknowledgement', () => controller.last('applied')?.revision === 1)
    expect(JSON.parse(readFileSync(join(state, 'access.json'), 'utf8')).access.revision).toBe(1)
  })
})

describe('what the Controller renews', () => {
  it('the certificate, but never one for another key', async () => {
    await startReady()
    const { connectorId } = controller.enrolled[0]!
    const first = await connect(granted({ [WEB]: web() }))
    const shown = first.socket.getPeerX509Certificate()!
    const publicKey = shown.publicKey
    const renewed = issueIdentityCertificate(tenantCa, { publicKey, tenant: TENANT, role: 'connector' }, life())
    const foreign = identity(generateKeyPair(), 'connector').certificatePem
    controller.push({ type: 'certificate', pem: renewed }, { type: 'certificate', pem: foreign }, ...batch({}, 2))
    await eventually('the acknowledgement', () => controller.last('applied')?.revision === 2)
    const second = await connect(granted({ [WEB]: web() }), relays[1]!)
    expect(second.socket.getPeerX509Certificate()!.serialNumber).toBe(new X509Certificate(renewed).serialNumber)
    const saved = JSON.parse(readFileSync(join(state, 'enrolment.json'), 'utf8'))
    expect(saved).toMatchObject({ connectorId, certificate: renewed })
  })

  it('the keys that it trusts, when one that is trusted has signed them', async () => {
    await startReady()
    const [nextClient, nextConnector] = [signingKey('clientAcl'), signingKey('connectorAcl')]
    const update = (key: typeof connectorAclKey) =>
      issueTrustUpdate(
        key,
        {
          tenant: TENANT,
          network: NETWORK,
          rev: 2,
          tenantCa: tenantCa.certificatePem,
          jwks: {
            clientAcl: { keys: [...clientAclJwks.keys, ...jwksOf(firstOf(nextClient)).keys] },
            connectorAcl: { keys: [...connectorAclJwks.keys, ...jwksOf(firstOf(nextConnector)).keys] },
          },
        },
        life(),
      )
    const byNext = granted({ [WEB]: web() }, { key: nextClient })

    controller.push({ type: 'trust', jwt: update(nextConnector) }, ...batch({ [WEB]: web() }, 2))
    await eventually('the acknowledgement', () => controller.last('applied')?.revision === 2)
    const early = await connect(byNext)
    await eventually('the refusal', () => early.closed[0]?.goaway === 'acl_refused')

    // The ACL comes before the trust that vouches for its key, in one batch.
    const [acl, ...rest] = batch({ [WEB]: web() }, 3, { key: nextConnector })
    controller.push(acl!, { type: 'trust', jwt: update(connectorAclKey) }, ...rest)
    await eventually('the acknowledgement', () => controller.last('applied')?.revision === 3)
    expect(await (await connect(byNext, relays[1]!)).refusal('web.internal', service.port)).toBe('opened')
  })

  it('nothing is acknowledged whose Connector ACL was refused', async () => {
    await startReady()
    await eventually('the acknowledgement', () => controller.last('applied')?.revision === 1)
    controller.push(...batch({}, 2, { key: signingKey('connectorAcl') }))
    controller.push(...batch({ [WEB]: web() }, 3))
    await eventually('the next acknowledgement', () => controller.last('applied')?.revision === 3)
    const applied = controller.received.flatMap(message => (message.type === 'applied' ? [message.revision] : []))
    expect(applied).toEqual([1, 3])
  })
})

describe('shutting down', () => {
  it('says so, takes no new streams, and lets open ones end', async () => {
    const connector = await startReady()
    const client = await connect(granted({ [WEB]: web() }))
    const stream = await client.open('web.internal', service.port)
    const closing = connector.close()
    await eventually('that the Controller is told', () => controller.last('draining'))
    expect(await client.refusal('web.internal', service.port)).toBe('draining')
    expect(await ask(stream, 'x', 1)).toBe('x')
    stream.end()
    stream.resume()
    await closing
    expect(controller.records().filter(({ event }) => event === 'closed')).toHaveLength(1)
  })
})
