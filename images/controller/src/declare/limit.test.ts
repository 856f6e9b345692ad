import { join } from 'node:path'
import { canonicalJson, MAX_TENANT_RELAYS } from '@sallyport/schema'
import { secretHash } from '@sallyport/trust'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore, sqliteDialect } from '../store/index.ts'
import { bodies, type ControllerLab, furnish, type OperatorHand, startControllerLab, uid } from '../test/lab.ts'

let lab: ControllerLab
let operator: OperatorHand
let office: Awaited<ReturnType<typeof furnish>>
beforeAll(async () => {
  lab = await startControllerLab({ tenants: [{ name: 'default' }, { name: 'other' }] })
  office = await furnish(lab, ['ada@example.com'])
  operator = office.operator
})
afterAll(() => lab.close())

/** Writes a row behind the Controller's back, as one from before there was a limit. */
async function smuggle(kind: 'relay', name: string, body: { metadata: object }): Promise<void> {
  const store = await openStore(sqliteDialect(join(lab.dir, 'controller.db')), Date.now)
  const text = canonicalJson(body)
  const row = { tenant: 'default', uid: uid(name), kind, source: 'cluster', digest: secretHash(text), body: text }
  await store.db
    .insertInto('declared')
    .values({ ...row, revision: 1, programming: null })
    .execute()
  await store.close()
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
    await lab.stop()
    await smuggle('relay', 'zz', bodies.relay('zz'))
    await lab.start()
    const { channel, next } = office.connector.connect()
    const { relays } = await next('relays')
    await next('synced')
    await channel.close()
    expect(relays).toHaveLength(MAX_TENANT_RELAYS)
    expect(relays.map(({ name }) => name)).not.toContain('zz.relay.test')
  })
})
