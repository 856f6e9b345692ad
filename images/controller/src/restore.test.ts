import { readFileSync, writeFileSync } from 'node:fs'
import { backUpDatabase, restoreDatabase } from '@sallyport/testkit'
import { createDpopProof } from '@sallyport/trust'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { DeviceHand } from './test/device.ts'
import { type ControllerLab, furnish, startControllerLab } from './test/lab.ts'
import { bodies } from './test/operator.ts'

const [ADA, BOB] = ['ada@example.com', 'bob@example.com']
const DURING = Array.from({ length: 40 }, (_, index) => `during-${index}`)

let lab: ControllerLab
let office: Awaited<ReturnType<typeof furnish>>
beforeAll(async () => {
  lab = await startControllerLab({ tenants: [{ name: 'default', accounts: [ADA, BOB], admins: [BOB] }] })
  office = await furnish(lab, [ADA])
})
afterAll(() => lab.close())

it('a Controller restored from a backup made in the middle of writes goes on with later revisions, for the Connectors and devices that it knew', async () => {
  const { path } = lab.input.database
  const [ada, bob, eve] = await Promise.all([ADA, BOB, ADA].map(email => lab.device('default', email)))
  const before = await eve!.again()
  const connector = office.connector.connect()
  await connector.next('synced')
  const writes = DURING.map(name => office.operator.put('group', name, bodies.group(name, [])))
  const copy = await backUpDatabase(path)
  await Promise.all(writes)

  const { refresh_token: renewed } = (await refresh(eve!, before)).body as { refresh_token: string }
  const late = await lab.device('default', ADA)
  expect((await bob!.as('POST', `/v1/admin/devices/${ada!.id}/block`)).status).toBe(200)
  expect(await isBlocked(bob!, ada!)).toBe(true)
  const news = bodies.resource('news', office.network, [office.group])
  const { revision } = await office.operator.put('resource', 'news', news)
  await connector.next('synced', synced => synced.revision >= revision)
  await connector.channel.close()
  await lab.stop()
  expect(await restoreDatabase(path, copy)).toMatch(/^tenant default as of revision \d+\n$/)
  await lab.start()

  const channel = office.connector.connect()
  expect((await channel.next('welcome')).revision).toBeGreaterThan(revision)
  expect((await channel.next('synced')).revision).toBeGreaterThan(revision)
  expect((await office.operator.get('resource', 'news')).status).toBe(404)
  expect(await isBlocked(bob!, ada!)).toBe(false)
  expect((await ada!.connect().next('synced')).revision).toBeGreaterThan(revision)
  expect((await late.as('GET', '/v1/admin/devices')).status).toBe(401)
  const again = await refresh(eve!, renewed)
  expect([again.status, again.body.error]).toEqual([400, 'invalid_grant'])
  await eve!.again()
})

it('a copy that is damaged is refused, as is any while a Controller runs, and the database stays', async () => {
  const { path } = lab.input.database
  const before = readFileSync(path)
  await expect(restoreDatabase(path, before)).rejects.toThrow(/a Controller has the database open/)
  expect(readFileSync(path)).toEqual(before)
  const nobodys = `${path}.nobody`
  writeFileSync(nobodys, before)
  await expect(restoreDatabase(nobodys, Buffer.from('not a database'))).rejects.toThrow(/not a database/)
  expect(readFileSync(nobodys)).toEqual(before)
})

async function isBlocked(admin: DeviceHand, { id }: DeviceHand): Promise<boolean | undefined> {
  const { body } = await admin.as('GET', '/v1/admin/devices')
  return (body as { items: { id: string; blocked: boolean }[] }).items.find(device => device.id === id)?.blocked
}

function refresh({ keys }: DeviceHand, token: string) {
  const form = new URLSearchParams({ grant_type: 'refresh_token', client_id: 'sallyport', refresh_token: token })
  const dpop = createDpopProof(keys, { method: 'POST', url: `${lab.url}/oauth/token` }, Date.now())
  const headers = { 'content-type': 'application/x-www-form-urlencoded', dpop }
  return lab.call('POST', '/oauth/token', { headers, body: form.toString() })
}
