import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { DeviceHand } from '../test/device.ts'
import { type ControllerLab, furnish, startControllerLab } from '../test/lab.ts'
import { claimsOf } from '../test/payload.ts'
import { COALESCE_MS } from './coalescer.ts'

type Connection = { connectors: { relays: { name: string; capabilities: string[] }[] }[] }

let lab: ControllerLab
let office: Awaited<ReturnType<typeof furnish>>
let ada: DeviceHand
let client: ReturnType<DeviceHand['connect']>
beforeAll(async () => {
  lab = await startControllerLab({ tenants: [{ name: 'default', accounts: ['ada@example.com'] }] })
  office = await furnish(lab, ['ada@example.com'])
  ada = await lab.device('default', 'ada@example.com')
})
afterAll(() => lab.close())
afterEach(() => client.channel.close())

type There = ReturnType<typeof office.connector.connect>
const report = ({ channel }: There, ready: boolean, ...registered: string[]) => {
  const relays = ['r0.relay.test', 'r1.relay.test'].map(name => ({ name, registered: registered.includes(name) }))
  channel.send({ type: 'heartbeat', nowMs: 1, ready, relays })
}
const relaysIn = (connection: string) =>
  claimsOf<Connection>(connection).connectors.flatMap(({ relays }) => relays.map(({ name }) => name))
const capabilitiesIn = (connection: string) =>
  claimsOf<Connection>(connection).connectors.flatMap(({ relays }) => relays.flatMap(relay => relay.capabilities))

/** The connection token that the Client is sent for what `act` does. */
async function pushedBy(act: () => unknown): Promise<string> {
  const before = client.messages.length
  await act()
  const { connection } = await client.next('network', () => true, before)
  return connection
}

describe('a Client learns at once', () => {
  it('of a Connector that comes, registers at a Relay or no longer is, goes, and is back', async () => {
    client = ada.connect()
    await client.next('synced')
    let there = office.connector.connect()
    await there.next('synced')
    await pushedBy(() => report(there, false))
    expect(relaysIn(await pushedBy(() => report(there, true, 'r1.relay.test')))[0]).toBe('r1.relay.test')
    expect(relaysIn(await pushedBy(() => report(there, true, 'r0.relay.test')))[0]).toBe('r0.relay.test')
    await pushedBy(() => there.channel.close())
    await pushedBy(async () => {
      there = office.connector.connect()
      await there.next('welcome')
      report(there, true, 'r0.relay.test')
    })
    // A second connection takes the place of the first, which nobody has seen end.
    const again = office.connector.connect()
    await pushedBy(async () => {
      await again.next('welcome')
      report(again, true, 'r0.relay.test')
    })
    await Promise.all([there.channel.close(), again.channel.close()])
  })

  it('of many changes in few messages', async () => {
    client = ada.connect()
    await client.next('synced')
    const there = office.connector.connect()
    await there.next('synced')
    const before = client.of('network').length
    const startedMs = performance.now()
    for (let round = 0; round < 50; round++) report(there, true, ...(round % 2 === 0 ? ['r0.relay.test'] : []))
    report(there, true, 'r1.relay.test')
    await client.next('network', ({ connection }) => relaysIn(connection)[0] === 'r1.relay.test')
    const pushes = client.of('network').length - before
    expect(pushes).toBeLessThanOrEqual(2 + (performance.now() - startedMs) / COALESCE_MS)
    await there.channel.close()
  })
})

describe('a Client that connects anew', () => {
  it('gets capabilities that it has not had', async () => {
    client = ada.connect()
    const first = await client.next('network')
    await client.next('synced')
    const next = await pushedBy(() => client.channel.reconnect())
    const had = new Set(capabilitiesIn(first.connection))
    expect(had.size).toBe(8)
    expect(capabilitiesIn(next).filter(capability => had.has(capability))).toEqual([])
  })
})
