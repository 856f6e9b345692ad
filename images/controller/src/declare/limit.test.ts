import { join } from 'node:path'
import {
  canonicalJson,
  type DeclaredKind,
  MAX_ALIASES,
  MAX_HOST,
  MAX_NETWORK_RESOURCE_BYTES,
  MAX_PORT_RANGES,
  MAX_TENANT_RELAYS,
  MAX_TENANT_RESOURCE_BYTES,
} from '@sallyport/schema'
import { secretHash, unverifiedIssuer } from '@sallyport/trust'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { entryBytes } from '../state/map-entry.ts'
import { openStore, sqliteDialect } from '../store/index.ts'
import { type ControllerLab, furnish, startControllerLab } from '../test/lab.ts'
import { bodies, type OperatorHand, uid } from '../test/operator.ts'
import { claimsOf } from '../test/payload.ts'

let lab: ControllerLab
let operator: OperatorHand
let office: Awaited<ReturnType<typeof furnish>>
beforeAll(async () => {
  lab = await startControllerLab({ tenants: [{ name: 'default', accounts: ['ada@example.com'] }, { name: 'other' }] })
  office = await furnish(lab, ['ada@example.com'])
  operator = office.operator
})
afterAll(() => lab.close())

/** Writes rows behind the Controller's back, as those from before there was a limit. */
async function smuggle(kind: DeclaredKind, rows: Map<string, object>): Promise<void> {
  await lab.stop()
  const store = await openStore(sqliteDialect(join(lab.dir, 'controller.db')), Date.now)
  await store.withTransaction('default', async ({ db }) => {
    for (const [name, body] of rows) {
      const text = canonicalJson(body)
      const of = { tenant: 'default', uid: uid(name), kind, source: 'cluster', digest: secretHash(text), body: text }
      const resource = kind === 'resource' ? (body as Resource) : undefined // That kind's bodies are theirs.
      const sizes = { network: resource?.network ?? null, bytes: resource === undefined ? 0 : entryBytes(resource) }
      await db
        .insertInto('declared')
        .values({ ...of, ...sizes, revision: 1, programming: null })
        .execute()
    }
  })
  await store.close()
  await lab.start()
}

describe('the Relays of a tenant', () => {
  const names = ['r0', 'r1', ...Array.from({ length: MAX_TENANT_RELAYS - 2 }, (_, index) => `s${index + 10}`)]

  it('are refused beyond the limit, and each up to it reaches its Connectors', async () => {
    for (const name of names) await operator.put('relay', name, bodies.relay(name))
    expect(await operator.as('PUT', operator.path('relay', 'z'), bodies.relay('z'))).toMatchObject({
      status: 409,
      body: { error: 'limit_reached', message: 'the tenant has 64 Relay replicas, want at most 64' },
    })
    const { channel, next } = office.connector.connect()
    const { relays } = await next('relays')
    await channel.close()
    expect(relays.map(({ name }) => name)).toEqual(names.map(name => `${name}.relay.test`))
  })

  it('can be changed at the limit, and one that goes makes room; the limit is not another tenant’s', async () => {
    const moved = { ...bodies.relay('r1'), address: '127.0.0.1:10' }
    expect((await operator.put('relay', 'r1', moved)).changed).toBe(true)
    expect((await lab.operator({ tenant: 'other' }).put('relay', 'y', bodies.relay('y'))).changed).toBe(true)
    await operator.delete('relay', 's10')
    expect((await operator.put('relay', 'z', bodies.relay('z'))).changed).toBe(true)
  })

  it('beyond the limit in the database are not told of, and cut nobody off', async () => {
    await smuggle('relay', new Map([['zz', bodies.relay('zz')]]))
    const { channel, next } = office.connector.connect()
    const { relays } = await next('relays')
    await next('synced')
    await channel.close()
    expect(relays).toHaveLength(MAX_TENANT_RELAYS)
    expect(relays.map(({ name }) => name)).not.toContain('zz.relay.test')
  })
})

type Resource = ReturnType<typeof largest>
const longName = (name: string) => `${`${name}.${'x'.repeat(62)}.`.repeat(9).slice(0, MAX_HOST - 2)}.z`
const ranges = Array.from({ length: MAX_PORT_RANGES }, (_, at) => ({ start: 20_000 + 3 * at, end: 20_001 + 3 * at }))
const ports = { policy: 'Restricted', ports: ranges } as const
/** A Resource whose rule is as long as it may be. */
const largest = (name: string, network: string, groups: string[] = ['staff']) => {
  const spec = {
    address: longName(name),
    aliases: Array.from({ length: MAX_ALIASES }, (_, at) => longName(`${name}-${at}`)),
    protocols: { tcp: ports, udp: ports },
  }
  const { metadata, ...rest } = bodies.resource(name, network, groups)
  return { ...rest, metadata, spec: { ...rest.spec, ...spec } }
}
const LARGEST_BYTES = entryBytes(largest('office-100', 'office'))
const many = (count: number, network: string) =>
  new Map(
    Array.from({ length: count }, (_, at) => `${network}-${at + 100}`).map(name => [name, largest(name, network)]),
  )

describe('the Resources of a network', () => {
  const put = (name: string, body: object) => operator.as('PUT', operator.path('resource', name), body)
  const refused = { status: 409, body: { error: 'limit_reached' } }

  it('are refused beyond the limit, and what fits is a Connector ACL that can be read', async () => {
    await smuggle('resource', many(Math.floor(MAX_NETWORK_RESOURCE_BYTES / LARGEST_BYTES) - 1, 'office'))
    expect(await put('last', largest('last', 'office'))).toMatchObject({ status: 200 })
    expect(await put('hog', largest('hog', 'office'))).toMatchObject({
      ...refused,
      body: {
        message: expect.stringMatching(/^Resources of the network would take 30[0-9]{5} bytes, want at most 3000000$/),
      },
    })
    const { channel, next } = office.connector.connect()
    const { jwt } = await next('connectorAcl')
    await next('synced')
    await channel.close()
    expect(unverifiedIssuer(jwt)).toBe('sallyport://default')
    const told = claimsOf<{ resources: { uid: string }[] }>(jwt).resources.map(resource => resource.uid)
    expect(told).toEqual(expect.arrayContaining([uid('web'), uid('last')]))
    expect(told).not.toContain(uid('hog'))
  })

  it('can be changed at the limit, made smaller and deleted; a longer one is refused, another network is free', async () => {
    const { spec, ...rest } = largest('last', 'office', [])
    expect(await put('last', { ...rest, spec })).toMatchObject({ status: 200 })
    expect(await put('web', largest('web', 'office'))).toMatchObject(refused)
    expect(await put('last', { ...rest, spec: { ...spec, aliases: spec.aliases.slice(1) } })).toMatchObject({
      status: 200,
    })
    await operator.put('network', 'lab', bodies.network('lab'))
    expect(await put('hog', largest('hog', 'lab'))).toMatchObject({ status: 200 })
    expect(await put('hog', largest('hog', 'office'))).toMatchObject(refused)
    await operator.delete('resource', 'last')
    expect(await put('hog', largest('hog', 'office'))).toMatchObject({ status: 200 })
    await operator.delete('resource', 'hog')
  })
})

describe('the Resources of a tenant', () => {
  const ofAda = async () => {
    const ada = await lab.device('default', 'ada@example.com')
    const { channel, next, of } = ada.connect()
    const { resources } = await next('resources')
    await next('synced')
    await channel.close()
    return { resources, networks: of('network').length }
  }

  it('are refused beyond the limit, and a Client that may reach them all is told of all', async () => {
    const left = MAX_TENANT_RESOURCE_BYTES - MAX_NETWORK_RESOURCE_BYTES
    const perNetwork = Math.floor(left / 2 / LARGEST_BYTES)
    await operator.put('network', 'cave', bodies.network('cave'))
    await smuggle('resource', new Map([...many(perNetwork, 'lab'), ...many(perNetwork, 'cave')]))
    const names = Array.from({ length: 5 }, (_, at) => `more-${at}`)
    const answers = await Promise.all(
      names.map(name => operator.as('PUT', operator.path('resource', name), largest(name, 'lab'))),
    )
    expect(answers.map(({ status }) => status)).toContain(200)
    expect(answers.filter(({ status }) => status !== 200)).not.toHaveLength(0)
    for (const { status, body } of answers)
      if (status !== 200)
        expect(body).toMatchObject({ error: 'limit_reached', message: expect.stringContaining('of the tenant') })
    const { resources, networks } = await ofAda()
    expect(networks).toBe(3)
    expect(resources.map(resource => resource.uid)).toContain(uid('web'))
    expect(Buffer.byteLength(JSON.stringify(resources))).toBeGreaterThan(MAX_TENANT_RESOURCE_BYTES - 5 * LARGEST_BYTES)
  })
  it('beyond both limits in the database cut nobody off: Connectors have the oldest, Clients the narrowest', async () => {
    const late = [...many(20, 'late')].map(([name, { metadata, ...body }]) => {
      const createdAt = '2027-01-01T00:00:00Z'
      return [name, { ...body, network: uid('office'), metadata: { ...metadata, createdAt } }] as const
    })
    const wide = bodies.resource('wide', 'office', ['staff'], { address: '*.internal' })
    await smuggle('resource', new Map<string, object>([...late, ['wide', wide]]))
    const { channel, next } = office.connector.connect()
    const { jwt } = await next('connectorAcl')
    await next('synced')
    await channel.close()
    expect(unverifiedIssuer(jwt)).toBe('sallyport://default')
    const told = claimsOf<{ resources: { uid: string }[] }>(jwt).resources.map(resource => resource.uid)
    expect(told).toEqual(expect.arrayContaining([uid('web'), uid('wide')]))
    expect(told).not.toContain(uid('late-119'))
    const { resources, networks } = await ofAda()
    expect(networks).toBe(3)
    const mapped = resources.map(resource => resource.uid)
    expect(mapped).toContain(uid('web'))
    expect(mapped).not.toContain(uid('wide'))
  })
})
