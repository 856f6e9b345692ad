import { packUid, ruleDigest } from '@sallyport/policy'
import { type AccessLogRecord, networkAudience } from '@sallyport/schema'
import { eventually } from '@sallyport/testkit'
import { identityOf, parseCertificate } from '@sallyport/trust'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DeviceHand } from '../test/device.ts'
import { type ControllerLab, furnish, startControllerLab } from '../test/lab.ts'
import { bodies, uid } from '../test/operator.ts'
import { claimsOf } from '../test/payload.ts'

type Acl = { rev: number; aud: string; device: string; res: [string, string, number?][]; exp: number; iat: number }
type Connection = { connectors: { id: string; pin: string; relays: { name: string; capabilities: string[] }[] }[] }

let lab: ControllerLab
let office: Awaited<ReturnType<typeof furnish>>
let ada: DeviceHand
let bob: DeviceHand
const network = uid('office')
const everyone = ['ada@example.com', 'bob@example.com']

beforeAll(async () => {
  const accounts = [...everyone, 'root@example.com']
  lab = await startControllerLab({ tenants: [{ name: 'default', accounts, admins: ['root@example.com'] }] })
  office = await furnish(lab, everyone)
  ada = await lab.device('default', 'ada@example.com')
  bob = await lab.device('default', 'bob@example.com')
})
afterAll(() => lab.close())

const session = (device: string, id = `s-${device.slice(0, 6)}`) => ({
  ...{ session: id, device, user: 'u', path: 'relay:r0.relay.test', startedAtMs: 1, streams: 1 },
})

describe('what a Client is sent', () => {
  it('is all that it needs for the networks it may reach, and nothing of others', async () => {
    const { operator } = office
    await operator.put('network', 'lab', bodies.network('lab'))
    await operator.put('resource', 'secret', bodies.resource('secret', 'lab', []))
    const client = ada.connect()
    await client.next('synced')
    expect(client.messages.map(({ type }) => type).filter(type => type !== 'heartbeat')).toEqual([
      'welcome',
      'trust',
      'certificate',
      'resources',
      'network',
      'synced',
    ])
    const [resources] = client.of('resources')
    expect(resources?.resources.map(({ name }) => name)).toEqual(['web'])
    const [sent] = client.of('network')
    const acl = claimsOf<Acl>(sent!.acl)
    const rule = resources!.resources[0]!.rule
    expect(acl).toMatchObject({
      aud: networkAudience(network),
      device: ada.id,
      res: [[packUid(uid('web')), ruleDigest(rule)]],
    })
    expect(acl.exp - acl.iat).toBe(1800)
    const connection = claimsOf<Connection>(sent!.connection)
    expect(connection.connectors.map(({ id }) => id)).toEqual([office.connector.id])
    const [first] = connection.connectors
    expect(first?.relays.map(({ name }) => name)).toEqual(['r0.relay.test', 'r1.relay.test'])
    const capabilities = first!.relays.flatMap(relay => relay.capabilities)
    expect(new Set(capabilities).size).toBe(8)
    const identity = identityOf(parseCertificate(client.of('certificate')[0]!.pem))
    expect(identity).toEqual({ tenant: 'default', role: 'device', id: ada.id })
    await client.channel.close()
  })
})

describe('what a Connector is sent', () => {
  it('is floors first, then what it trusts, its ACL, its live devices, and the revision that this is', async () => {
    const connector = office.connector.connect([session(ada.id)])
    await connector.next('synced')
    const types = connector.messages.map(({ type }) => type).filter(type => type !== 'heartbeat')
    expect(types).toEqual([
      'welcome',
      'floors',
      'trust',
      'connectorAcl',
      'relays',
      'certificate',
      'clientAcl',
      'synced',
    ])
    expect(connector.of('clientAcl')[0]?.device).toBe(ada.id)
    const acl = claimsOf<{ resources: { uid: string }[] }>(connector.of('connectorAcl')[0]!.jwt)
    expect(acl.resources.map(({ uid }) => uid)).toEqual([uid('web')])
    const [relays] = connector.of('relays')
    expect(relays?.relays.map(({ name }) => name)).toEqual(['r0.relay.test', 'r1.relay.test'])
    const pass = relays!.relays[0]!.pass
    expect(Buffer.from(pass.split('.')[1]!, 'base64url').toString()).not.toMatch(/default|office/)
    await connector.channel.close()
  })
})

describe('a change', () => {
  it('takes access away at both ends, and gives it back', async () => {
    const { operator, connector } = office
    const client = ada.connect()
    const there = connector.connect([session(ada.id), session(bob.id)])
    await Promise.all([client.next('synced'), there.next('synced')])
    const before = claimsOf<Acl>(client.of('network')[0]!.acl)

    const { revision } = await operator.put('group', 'staff', bodies.group('staff', ['bob@example.com']))
    const [floors] = await Promise.all([
      there.next('floors', ({ complete }) => !complete),
      client.next('networkGone', gone => gone.network === network),
    ])
    expect(floors.floors).toEqual([{ device: ada.id, rev: revision, untilMs: expect.any(Number) }])
    expect(floors.floors[0]!.rev).toBeGreaterThan(before.rev)
    expect(client.of('resources').at(-1)?.resources).toEqual([])
    await there.next('synced', synced => synced.revision === revision)

    const again = await operator.put('group', 'staff', bodies.group('staff', everyone))
    const back = await client.next('network', ({ acl }) => claimsOf<Acl>(acl).rev >= again.revision)
    expect(claimsOf<Acl>(back.acl).res).toEqual(before.res)
    const toConnector = await there.next('clientAcl', ({ jwt }) => claimsOf<Acl>(jwt).rev >= again.revision)
    expect(toConnector.jwt).toBe(back.acl)
    await Promise.all([client.channel.close(), there.channel.close()])
  })

  it('that widens a rule sends new ACLs and no floor', async () => {
    const { operator, connector } = office
    const client = ada.connect()
    const there = connector.connect([session(ada.id)])
    await Promise.all([client.next('synced'), there.next('synced')])
    const protocols = { tcp: { policy: 'Restricted', ports: [{ start: 80, end: 90 }] } }
    const body = bodies.resource('web', 'office', ['staff'], { protocols })
    const { revision } = await operator.put('resource', 'web', body)
    const renewed = await client.next('network', ({ acl }) => claimsOf<Acl>(acl).rev >= revision)
    await there.next('synced', synced => synced.revision >= revision)
    expect(there.of('connectorAcl')).toHaveLength(2)
    expect(there.of('clientAcl').at(-1)?.jwt).toBe(renewed.acl)
    expect(there.of('floors')).toHaveLength(1)
    await operator.put('resource', 'web', bodies.resource('web', 'office', ['staff']))
    await Promise.all([client.channel.close(), there.channel.close()])
  })

  it('reaches nobody whom it does not touch', async () => {
    const { operator } = office
    await office.vacated()
    const client = bob.connect()
    await client.next('synced')
    const before = client.messages.length
    await operator.put('group', 'others', bodies.group('others', ['ada@example.com']))
    const { revision } = await operator.put('resource', 'wiki', bodies.resource('wiki', 'office', ['others']))
    const touched = ada.connect()
    await touched.next('synced', synced => synced.revision >= revision)
    expect(client.messages.slice(before).filter(({ type }) => type !== 'heartbeat')).toEqual([])
    await operator.delete('resource', 'wiki')
    await Promise.all([client.channel.close(), touched.channel.close()])
  })
})

describe('an admin', () => {
  it('who blocks a user ends their Clients and floors their devices; unblocked they come back', async () => {
    const root = await lab.device('default', 'root@example.com')
    const client = bob.connect()
    const there = office.connector.connect([session(bob.id)])
    await Promise.all([client.next('synced'), there.next('synced')])
    const { items } = (await root.as('GET', '/v1/admin/users')).body as { items: { id: string; email: string }[] }
    const { id } = items.find(({ email }) => email === 'bob@example.com')!
    expect((await root.as('POST', `/v1/admin/users/${id}/block`)).body).toEqual({ changed: true, cut: 0 })
    const bye = await client.next('goodbye')
    expect(bye).toMatchObject({ code: 'blocked', retry: false })
    const floors = await there.next('floors', ({ complete }) => !complete)
    expect(floors.floors.map(({ device }) => device)).toEqual([bob.id])
    expect((await bob.as('GET', '/v1/why?host=a.b&port=1')).status).toBe(403)
    await root.as('POST', `/v1/admin/users/${id}/unblock`)
    const again = bob.connect()
    await again.next('network')
    await Promise.all([again.channel.close(), client.channel.close(), there.channel.close()])
  })

  it('sees sessions while their Connector is there, and cuts one', async () => {
    const root = await lab.device('default', 'root@example.com')
    const there = office.connector.connect([session(ada.id, 'live')])
    await there.next('synced')
    const { items } = (await root.as('GET', '/v1/admin/sessions')).body as { items: { id: string }[] }
    expect(items).toMatchObject([{ id: `${office.connector.id}.live`, device: ada.id }])
    expect((await root.as('POST', `/v1/admin/sessions/${items[0]!.id}/cut`)).body).toEqual({ changed: true, cut: 1 })
    expect((await there.next('closeSession')).session).toBe('live')
    expect((await root.as('POST', `/v1/admin/sessions/${office.connector.id}.none/cut`)).status).toBe(404)
    await there.channel.close()
  })
})

describe('the operator', () => {
  it('sees its rows, hears of a consumed token and of programming', async () => {
    const { operator } = office
    await office.vacated()
    const feed = lab.operatorChannel(operator.token())
    await feed.next('snapshot', ({ complete }) => complete)
    const rows = feed.of('snapshot').flatMap(({ rows }) => rows)
    expect(rows.find(row => row.uid === uid('connector-0'))).toMatchObject({
      slot: { tokenState: 'used', connected: false },
    })
    expect(feed.of('trust')).toHaveLength(1)

    await operator.put('group', 'lonely', bodies.group('lonely', ['ada@example.com']))
    await feed.next('row', ({ row }) => row.uid === uid('lonely') && row.programming === 'unused')
    await operator.put('resource', 'docs', bodies.resource('docs', 'office', ['lonely']))
    await feed.next('row', ({ row }) => row.uid === uid('docs') && row.programming === 'noConnector')
    const there = office.connector.connect()
    await feed.next('row', ({ row }) => row.uid === uid('connector-0') && row.slot?.connected === true)
    await feed.next('row', ({ row }) => row.uid === uid('docs') && row.programming === 'programmed')
    const before = feed.messages.length
    await there.channel.close()
    await feed.next('row', ({ row }) => row.uid === uid('connector-0') && row.slot?.connected === false, before)
    expect((await operator.get('resource', 'docs')).body.programming).toBe('programmed')

    await operator.delete('resource', 'docs')
    await feed.next('gone', ({ uid: gone }) => gone === uid('docs'))
    await feed.channel.close()
  })

  it('hears at which Relays a Connector is before it hears that the Connector is anywhere', async () => {
    await office.vacated()
    const feed = lab.operatorChannel(office.operator.token())
    await feed.next('snapshot', ({ complete }) => complete)
    const there = office.connector.connect()
    await there.next('synced')
    there.channel.send({
      type: 'heartbeat',
      nowMs: 1,
      ready: true,
      relays: [{ name: 'r0.relay.test', registered: true }],
    })
    await feed.next('row', ({ row }) => row.slot?.registered === true)
    const heard = feed.of('row').map(({ row }) => [row.slot?.registered, row.relay?.registered])
    expect(heard.findIndex(([, relay]) => relay === true)).toBeGreaterThan(-1)
    expect(heard.findIndex(([, relay]) => relay === true)).toBeLessThan(heard.findIndex(([slot]) => slot === true))
    await Promise.all([there.channel.close(), feed.channel.close()])
  })

  it('never sees the rows of another source', async () => {
    const feed = lab.operatorChannel(office.operator.token())
    await feed.next('snapshot', ({ complete }) => complete)
    expect(feed.of('welcome')[0]?.source).toBe('cluster')
    await feed.channel.close()
  })
})

describe('the access log', () => {
  it('is stored once, however often it is reported', async () => {
    const root = await lab.device('default', 'root@example.com')
    const there = office.connector.connect()
    await there.next('synced')
    const atMs = Date.now()
    const record: AccessLogRecord = {
      id: 'r-1',
      event: 'opened',
      atMs,
      session: 's',
      stream: 1,
      device: ada.id,
      user: 'u',
      resource: uid('web'),
      host: 'web.internal',
      port: 80,
      protocol: 'tcp',
      path: 'relay:r0',
    }
    there.channel.send({ type: 'accessLog', records: [record] })
    there.channel.send({ type: 'accessLog', records: [record, { ...record, id: 'r-2', atMs: atMs + 1 }] })
    await there.next('accessLogAck', ({ ids }) => ids.includes('r-2'))
    const { items } = (await root.as('GET', '/v1/admin/access-log')).body as { items: { record: { id: string } }[] }
    expect(items.map(item => item.record.id)).toEqual(['r-2', 'r-1'])
    await there.channel.close()
  })
})

describe('a Connector whose slot is deleted', () => {
  it('is told, and is unknown from then on', async () => {
    const { operator } = office
    await operator.put('connector', 'brief', bodies.connector('brief', 'office'))
    const { token } = await operator.enrolmentToken('brief')
    const brief = lab.connector()
    expect((await brief.enrol(token)).status).toBe(200)
    const there = brief.connect()
    await there.next('synced')
    await operator.delete('connector', 'brief')
    expect(await there.next('goodbye')).toMatchObject({ code: 'unknown_connector' })
    const end = await eventually('a refusal', () => {
      const down = there.states.findLast(state => state.kind === 'down')
      return down?.kind === 'down' && down.end.code === 'refused' ? down.end : undefined
    })
    expect(end).toMatchObject({ status: 401, error: 'unknown_connector' })
    await there.channel.close()
  })
})
