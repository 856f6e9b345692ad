import { DatabaseSync } from 'node:sqlite'
import { parseCertificate } from '@sallyport/trust'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DeviceHand } from '../test/device.ts'
import { type ControllerLab, furnish, startControllerLab } from '../test/lab.ts'
import { bodies } from '../test/operator.ts'
import { claimsOf } from '../test/payload.ts'

let lab: ControllerLab
let office: Awaited<ReturnType<typeof furnish>>
let ada: DeviceHand
beforeAll(async () => {
  lab = await startControllerLab({
    tenants: [{ name: 'default', accounts: ['ada@example.com'] }],
    config: { acl: { defaultLifetimeSeconds: 12 }, certificates: { connectorSeconds: 6, deviceSeconds: 6 } },
  })
  office = await furnish(lab, ['ada@example.com'])
  ada = await lab.device('default', 'ada@example.com')
})
afterAll(() => lab.close())

const session = () => ({ session: 's', device: ada.id, user: 'u', path: 'relay:r', startedAtMs: 1, streams: 1 })

describe('a Client ACL', () => {
  it('is renewed at a third of its life, at the Client and where its device is live', async () => {
    const client = ada.connect()
    const there = office.connector.connect([session()])
    const first = await client.next('network')
    await there.next('synced')
    const renewed = await client.next('network', ({ acl }) => acl !== first.acl)
    const [before, after] = [first, renewed].map(({ acl }) => claimsOf<{ iat: number; exp: number }>(acl))
    expect(after!.exp).toBeGreaterThan(before!.exp)
    expect(after!.iat - before!.iat).toBeLessThanOrEqual(8)
    // One of those that the Client has had: a busy Controller may skip some.
    const sent = () => client.of('network').map(({ acl }) => acl)
    await there.next('clientAcl', ({ jwt }) => jwt !== first.acl && sent().includes(jwt))
    await Promise.all([client.channel.close(), there.channel.close()])
  })

  it('of a network with a life of its own has that one', async () => {
    await office.operator.put('network', 'office', bodies.network('office', { acl: { lifetime: '5m' } }))
    const client = ada.connect()
    const { acl } = await client.next('network')
    const { iat, exp } = claimsOf<{ iat: number; exp: number }>(acl)
    expect(exp - iat).toBe(300)
    await client.channel.close()
    await office.operator.put('network', 'office', bodies.network('office'))
  })

  it('says when a grant ends, and says no more of it afterwards', async () => {
    const end = Math.ceil(performance.timeOrigin + performance.now() + 5_000)
    const body = bodies.resource('web', 'office', ['staff'])
    const expiresAt = new Date(end).toISOString()
    await office.operator.put('resource', 'web', {
      ...body,
      spec: { ...body.spec, access: [{ group: 'staff', expiresAt }] },
    })
    const client = ada.connect()
    const { acl } = await client.next('network')
    expect(claimsOf<{ res: unknown[][] }>(acl).res[0]?.[2]).toBe(Math.floor(end / 1000))
    expect(client.of('resources')[0]?.resources[0]?.endMs).toBe(end)
    await client.next('networkGone')
    await client.channel.close()
    await office.operator.put('resource', 'web', body)
  })
})

type Certified = {
  next: (type: 'certificate', fits?: (message: { pem: string }) => boolean) => Promise<{ pem: string }>
  channel: { close: () => unknown }
}

describe('a certificate', () => {
  it.each(['Connector', 'Client'] as const)('of a %s is renewed over its channel, for the same key', async kind => {
    const there: Certified = kind === 'Client' ? ada.connect() : office.connector.connect()
    const first = await there.next('certificate')
    const renewed = await there.next('certificate', ({ pem }) => pem !== first.pem)
    const [before, after] = [first, renewed].map(({ pem }) => parseCertificate(pem))
    expect(after!.publicKey.equals(before!.publicKey)).toBe(true)
    expect(after!.validToDate.getTime()).toBeGreaterThan(before!.validToDate.getTime())
    await there.channel.close()
  })
})

describe('a floor', () => {
  it('is kept over a restart of the Controller, for Connectors that were away', async () => {
    const client = ada.connect()
    await client.next('network')
    const { revision } = await office.operator.put('group', 'staff', bodies.group('staff', []))
    await client.next('networkGone')
    await client.channel.close()
    await lab.stop()
    await lab.start()
    const there = office.connector.connect()
    const { floors, complete } = await there.next('floors')
    expect(complete).toBe(true)
    expect(floors).toEqual([{ device: ada.id, rev: revision, untilMs: expect.any(Number) }])
    await there.channel.close()
  })

  it('is set for everyone where a crash came between a commit and its floors', async () => {
    const { revision } = await office.operator.put('group', 'staff', bodies.group('staff', ['ada@example.com']))
    await lab.stop()
    const database = new DatabaseSync(`${lab.dir}/controller.db`)
    database.exec(`delete from floors; update tenants set floored_revision = ${revision - 1}`)
    database.close()
    await lab.start()
    const there = office.connector.connect([session()])
    const { floors } = await there.next('floors')
    expect(floors.map(({ device }) => device)).toEqual([ada.id])
    expect(floors[0]!.rev).toBeGreaterThanOrEqual(revision)
    const { jwt } = await there.next('clientAcl')
    expect(claimsOf<{ rev: number }>(jwt).rev).toBeGreaterThanOrEqual(floors[0]!.rev)
    await there.channel.close()
  })
})
