import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { bodies, type ControllerLab, type DeviceHand, furnish, startControllerLab } from './test/lab.ts'

const scripts = join(import.meta.dirname, '../../../docs/operations/backup')
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
  const [ada, bob] = [await lab.device('default', ADA), await lab.device('default', BOB)]
  const connector = office.connector.connect()
  await connector.next('synced')
  const writes = DURING.map(name => office.operator.put('group', name, bodies.group(name, [])))
  const copy = await script('backup.mjs', path)
  await Promise.all(writes)

  const late = await lab.device('default', ADA)
  expect((await bob.as('POST', `/v1/admin/devices/${ada.id}/block`)).status).toBe(200)
  expect(await isBlocked(bob, ada)).toBe(true)
  const news = bodies.resource('news', office.network, [office.group])
  const { revision } = await office.operator.put('resource', 'news', news)
  await connector.next('synced', synced => synced.revision >= revision)
  await connector.channel.close()
  await lab.stop()
  expect((await script('restore.mjs', path, copy)).toString()).toMatch(/^tenant default as of revision \d+\n$/)
  await lab.start()

  const again = office.connector.connect()
  expect((await again.next('welcome')).revision).toBeGreaterThan(revision)
  expect((await again.next('synced')).revision).toBeGreaterThan(revision)
  expect((await office.operator.get('resource', 'news')).status).toBe(404)
  expect(await isBlocked(bob, ada)).toBe(false)
  expect((await ada.connect().next('synced')).revision).toBeGreaterThan(revision)
  expect((await late.as('GET', '/v1/admin/devices')).status).toBe(401)
})

it('a copy that is damaged is refused, and the database stays', async () => {
  const { path } = lab.input.database
  const before = readFileSync(path)
  await expect(script('restore.mjs', path, Buffer.from('not a database'))).rejects.toThrow(/not a database/)
  expect(readFileSync(path)).toEqual(before)
})

/** Runs a script of the backup page as its commands do. */
async function script(name: string, path: string, input?: Buffer): Promise<Buffer> {
  const source = readFileSync(join(scripts, name), 'utf8')
  const child = spawn(process.execPath, ['--input-type=module', '-e', source, path])
  const ended = new Promise(resolve => child.once('close', resolve))
  child.stdin.end(input)
  const [output, said] = await Promise.all([buffer(child.stdout), text(child.stderr)])
  if ((await ended) !== 0) throw new Error(`${name}: ${said}`)
  return output
}

async function isBlocked(admin: DeviceHand, { id }: DeviceHand): Promise<boolean | undefined> {
  const { body } = await admin.as('GET', '/v1/admin/devices')
  return (body as { items: { id: string; blocked: boolean }[] }).items.find(device => device.id === id)?.blocked
}
