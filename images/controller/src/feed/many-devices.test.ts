/** What a Connector is told of many devices is longer than what may wait for it at a time. */
import { MAX_QUEUE_BYTES } from '@sallyport/runtime'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { DeviceHand } from '../test/device.ts'
import { type ControllerLab, furnish, startControllerLab } from '../test/lab.ts'
import { bodies } from '../test/operator.ts'
import { claimsOf } from '../test/payload.ts'

const RESOURCES = 1_500
const DEVICES = 170
/** Time for some 2 000 requests, on a machine that has other work. */
const SETUP_MS = 600_000
/** Requests at a time. */
const AT_ONCE = 10
const members = ['ada@example.com']

let lab: ControllerLab
let office: Awaited<ReturnType<typeof furnish>>
let devices: DeviceHand[]
beforeAll(async () => {
  lab = await startControllerLab({ tenants: [{ name: 'default', accounts: members }] })
  office = await furnish(lab, members)
  await times(RESOURCES, at => {
    const name = `resource-${at}`
    return office.operator.put('resource', name, bodies.resource(name, 'office', ['staff']))
  })
  devices = await times(DEVICES, () => lab.device('default', members[0]!))
}, SETUP_MS)
afterAll(() => lab.close())

it('comes whole, and so does a change of it, while the Connector stays connected', async () => {
  const sessions = devices.map(({ id: device }) => ({
    ...{
      session: `s-${device.slice(0, 6)}`,
      device,
      user: 'u',
      path: 'relay:r0.relay.test',
      startedAtMs: 1,
      streams: 1,
    },
  }))
  const connector = office.connector.connect(sessions)
  const { revision: first } = await connector.next('synced')
  const told = connector.of('clientAcl')
  expect(told.map(({ device }) => device).sort()).toEqual(devices.map(({ id }) => id).sort())
  expect(told.reduce((sum, { jwt }) => sum + jwt.length, 0)).toBeGreaterThan(MAX_QUEUE_BYTES)

  await office.operator.put('resource', 'one-more', bodies.resource('one-more', 'office', ['staff']))
  await connector.next('synced', ({ revision }) => revision > first)
  const again = connector.of('clientAcl').slice(told.length)
  expect(again.map(({ device }) => device).sort()).toEqual(devices.map(({ id }) => id).sort())
  for (const { jwt } of again) expect(claimsOf<{ res: unknown[] }>(jwt).res).toHaveLength(RESOURCES + 2)
  expect(connector.states.map(({ kind }) => kind)).not.toContain('down')
  await connector.channel.close()
})

/** What `make` gives for each of `count` numbers. */
async function times<T>(count: number, make: (at: number) => Promise<T>): Promise<T[]> {
  const made: T[] = []
  for (let at = 0; at < count; at += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - at) }, (_, more) => make(at + more))
    made.push(...(await Promise.all(some)))
  }
  return made
}
