import { X509Certificate } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually, startEchoService } from '@sallyport/testkit'
import {
  firstOf,
  generateKeyPair,
  issueIdentityCertificate,
  issueTrustUpdate,
  jwksOf,
  signingKey,
} from '@sallyport/trust'
import { describe, expect, it } from 'vitest'
import { ask } from './test/client.ts'
import { identity, life, tenantCa } from './test/identity.ts'
import {
  batch,
  codeOf,
  connect,
  granted,
  idleSockets,
  nowMs,
  scene,
  start,
  startReady,
  useScene,
  web,
} from './test/scene.ts'
import {
  clientAclJwks,
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

useScene()

describe('a change', () => {
  it('that takes the Resource away cuts the live stream at both ends', async () => {
    await startReady()
    const client = await connect(granted({ [WEB]: web() }))
    const stream = await client.open('web.internal', scene.service.port)
    await ask(stream, 'x', 1)
    const cut = codeOf(stream)
    scene.controller.push(...batch({}, 2))
    expect(await cut).toBe('revoked')
    await eventually('the Resource’s side', () => scene.service.open() === 0)
    await eventually('the acknowledgement', () => scene.controller.last('applied')?.revision === 2)
    const closed = await eventually('the log', () => scene.controller.records().find(({ event }) => event === 'closed'))
    expect(closed.reason).toBe('revoked')
  })

  it('of one device’s rights cuts what it lost, and nothing else', async () => {
    const echo = await startEchoService('')
    scene.cleanups.push(() => echo.close())
    const own = { [WEB]: web(), [DB]: rule('127.0.0.1', echo.port) }
    await startReady(own)
    const client = await connect(granted(own))
    const [lost, kept] = [
      await client.open('web.internal', scene.service.port),
      await client.open('127.0.0.1', echo.port, DB),
    ]
    const cut = codeOf(lost)
    scene.controller.push(
      { type: 'floors', complete: false, floors: [{ device: device.id, rev: 5, untilMs: nowMs() + 3_600_000 }] },
      { type: 'clientAcl', device: device.id, jwt: granted({ [DB]: own[DB]! }, { rev: 5 }) },
      { type: 'synced', revision: 5 },
    )
    expect(await cut).toBe('revoked')
    expect(await ask(kept, 'still here', 10)).toBe('still here')
    expect(await client.refusal('web.internal', scene.service.port)).toBe('not_granted')
  })

  it('that widens a rule cuts nothing, and the old list still opens what it allowed', async () => {
    await startReady()
    const client = await connect(granted({ [WEB]: web() }))
    const stream = await client.open('web.internal', scene.service.port)
    scene.controller.push(...batch({ [WEB]: web(scene.service.port, 1) }, 2))
    await eventually('the acknowledgement', () => scene.controller.last('applied')?.revision === 2)
    expect(await ask(stream, 'x', 1)).toBe('x')
    expect(await client.refusal('web.internal', scene.service.port)).toBe('opened')
  })

  it('reaches a stream that is still being connected', async () => {
    const silent = createSocket('udp4').bind(0, '127.0.0.1')
    await once(silent, 'listening')
    scene.cleanups.push(() => silent.close())
    await startReady(undefined, undefined, `127.0.0.1:${silent.address().port}`)
    const client = await connect(granted({ [WEB]: web() }))
    const asked = once(silent, 'message')
    const refusal = client.refusal('web.internal', scene.service.port)
    await asked
    scene.controller.push(...batch({}, 2))
    expect(await refusal).toBe('revoked')
    expect(scene.service.accepted()).toBe(0)
  })

  it('ends a stream at the second of its grant', async () => {
    await startReady()
    const endMs = (Math.floor(nowMs() / 1000) + 5) * 1000
    const client = await connect(granted({ [WEB]: web() }, { endMs }))
    const stream = await client.open('web.internal', scene.service.port)
    expect(await codeOf(stream)).toBe('expired')
    expect(nowMs() - endMs).toBeGreaterThanOrEqual(-5)
    expect(await client.refusal('web.internal', scene.service.port)).toBe('expired')
  })

  it('ends the session that the Controller names', async () => {
    await startReady()
    const client = await connect(granted({ [WEB]: web() }))
    const stream = await client.open('web.internal', scene.service.port)
    const told = await eventually('the session', () => scene.controller.last('sessions')?.sessions[0])
    const cut = codeOf(stream)
    scene.controller.push({ type: 'closeSession', session: told.session })
    expect(await cut).toBe('revoked')
    await eventually('that it is told', () => scene.controller.last('sessionClosed')?.session === told.session)
  })
})

describe('a device', () => {
  it('is refused with the list of another', async () => {
    await startReady()
    const client = await connect(granted({ [WEB]: web() }), scene.relays[0]!, makeDevice())
    expect(await client.refusal('web.internal', scene.service.port)).not.toBe('opened')
    await eventually('the end of the session', () => client.closed[0]?.goaway === 'acl_refused')
    expect(scene.service.accepted()).toBe(0)
  })

  it('is refused with a list below its floor, also after a restart without the Controller', async () => {
    const first = await startReady()
    scene.controller.push(
      { type: 'floors', complete: false, floors: [{ device: device.id, rev: 9, untilMs: nowMs() + 3_600_000 }] },
      { type: 'synced', revision: 9 },
    )
    await eventually('the acknowledgement', () => scene.controller.last('applied')?.revision === 9)
    await first.close()
    await scene.controller.close()
    const second = await start()
    await eventually('a Connector that is ready without its Controller', second.ready)
    await eventually('idle sockets', async () => (await idleSockets()).every(idle => idle >= 2))
    const revoked = await connect(granted({ [WEB]: web() }, { rev: 8 }))
    await eventually('the end of the session', () => revoked.closed[0]?.goaway === 'revoked')
    expect(scene.service.accepted()).toBe(0)
    const current = await connect(granted({ [WEB]: web() }, { rev: 9 }))
    expect(await ask(await current.open('web.internal', scene.service.port), 'x', 1)).toBe('x')
  })
})

describe('what the Controller renews', () => {
  it('the certificate, but never one for another key', async () => {
    await startReady()
    const { connectorId } = scene.controller.enrolled[0]!
    const first = await connect(granted({ [WEB]: web() }))
    const shown = first.socket.getPeerX509Certificate()!
    const publicKey = shown.publicKey
    const renewed = issueIdentityCertificate(tenantCa, { publicKey, tenant: TENANT, role: 'connector' }, life())
    const foreign = identity(generateKeyPair(), 'connector').certificatePem
    scene.controller.push({ type: 'certificate', pem: renewed }, { type: 'certificate', pem: foreign }, ...batch({}, 2))
    await eventually('the acknowledgement', () => scene.controller.last('applied')?.revision === 2)
    const second = await connect(granted({ [WEB]: web() }), scene.relays[1]!)
    expect(second.socket.getPeerX509Certificate()!.serialNumber).toBe(new X509Certificate(renewed).serialNumber)
    const saved = JSON.parse(readFileSync(join(scene.state, 'enrolment.json'), 'utf8'))
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

    scene.controller.push({ type: 'trust', jwt: update(nextConnector) }, ...batch({ [WEB]: web() }, 2))
    await eventually('the acknowledgement', () => scene.controller.last('applied')?.revision === 2)
    const early = await connect(byNext)
    await eventually('the refusal', () => early.closed[0]?.goaway === 'acl_refused')

    // The ACL comes before the trust that vouches for its key, in one batch.
    const [acl, ...rest] = batch({ [WEB]: web() }, 3, { key: nextConnector })
    scene.controller.push(acl!, { type: 'trust', jwt: update(connectorAclKey) }, ...rest)
    await eventually('the acknowledgement', () => scene.controller.last('applied')?.revision === 3)
    expect(await (await connect(byNext, scene.relays[1]!)).refusal('web.internal', scene.service.port)).toBe('opened')
  })

  it('nothing is acknowledged whose Connector ACL was refused', async () => {
    await startReady()
    await eventually('the acknowledgement', () => scene.controller.last('applied')?.revision === 1)
    scene.controller.push(...batch({}, 2, { key: signingKey('connectorAcl') }))
    scene.controller.push(...batch({ [WEB]: web() }, 3))
    await eventually('the next acknowledgement', () => scene.controller.last('applied')?.revision === 3)
    const applied = scene.controller.received.flatMap(message => (message.type === 'applied' ? [message.revision] : []))
    expect(applied).toEqual([1, 3])
  })
})
