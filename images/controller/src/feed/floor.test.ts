import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DeviceHand } from '../test/device.ts'
import { type ControllerLab, furnish, ShiftedClock, startControllerLab } from '../test/lab.ts'
import { bodies } from '../test/operator.ts'
import { claimsOf } from '../test/payload.ts'

const MINUTE_MS = 60_000

let lab: ControllerLab
let office: Awaited<ReturnType<typeof furnish>>
let ada: DeviceHand
const clock = new ShiftedClock()
const staff = (...members: string[]) => office.operator.put('group', 'staff', bodies.group('staff', members))
const lifetime = (life: string) =>
  office.operator.put('network', 'office', bodies.network('office', { acl: { lifetime: life } }))

beforeAll(async () => {
  lab = await startControllerLab({ tenants: [{ name: 'default', accounts: ['ada@example.com'] }], clock })
  office = await furnish(lab, ['ada@example.com'])
  ada = await lab.device('default', 'ada@example.com')
})
afterAll(() => lab.close())

/** The floors that a Connector is told when it comes back. */
async function floors() {
  const there = office.connector.connect()
  const first = await there.next('floors')
  await there.channel.close()
  return first.floors
}

describe('a floor outlives every Client ACL that it refuses', () => {
  it('also one that was signed before the network shortened their life', async () => {
    await lifetime('24h')
    const client = ada.connect()
    const long = claimsOf<{ exp: number; rev: number }>((await client.next('network')).acl)
    await lifetime('5m')
    await client.next('network', ({ acl }) => claimsOf<{ exp: number }>(acl).exp < long.exp)
    await client.channel.close()
    // Beyond the life of the short one, and of all that an earlier process may have signed.
    clock.pass(45 * MINUTE_MS)
    await staff()
    const [floor] = await floors()
    expect(floor?.device).toBe(ada.id)
    expect(floor!.rev).toBeGreaterThan(long.rev)
    expect(floor!.untilMs).toBeGreaterThanOrEqual(long.exp * 1000)

    await staff('ada@example.com')
    await ada.again()
    const again = ada.connect()
    await again.next('network')
    await again.channel.close()
    const { revision } = await staff()
    const [second] = await floors()
    expect(second).toMatchObject({ device: ada.id, rev: revision })
    expect(second!.untilMs).toBeGreaterThanOrEqual(long.exp * 1000)
    await lab.stop()
    await lab.start()
    expect((await floors())[0]).toEqual(second)
  })
})
