import { request } from 'node:https'
import { eventually } from '@sallyport/testkit'
import { createControllerAssertion, generateKeyPair, type KeyPair } from '@sallyport/trust'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DeviceHand } from '../test/device.ts'
import { type ControllerLab, furnish, ShiftedClock, startControllerLab } from '../test/lab.ts'
import { bodies } from '../test/operator.ts'

const HOUR_MS = 3_600_000

let lab: ControllerLab
let office: Awaited<ReturnType<typeof furnish>>
let root: DeviceHand
const clock = new ShiftedClock()
beforeAll(async () => {
  lab = await startControllerLab({
    tenants: [{ name: 'default', accounts: ['root@example.com'], admins: ['root@example.com'] }],
    clock,
  })
  office = await furnish(lab, [])
  root = await lab.device('default', 'root@example.com')
})
afterAll(() => lab.close())

/** Asks for a Connector's control channel with `assertion`; the refusal, or `open`. */
function upgrade(assertion: string): Promise<string> {
  const headers = {
    ...{ connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' },
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    authorization: `Bearer ${assertion}`,
  }
  return new Promise((resolve, reject) => {
    const sent = request(`${lab.url}/v1/connector`, { ca: lab.ca.certificatePem, agent: false, headers }, response => {
      let text = ''
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
      response.on('end', () => resolve((JSON.parse(text) as { error: string }).error))
    })
    sent.on('upgrade', (_response, socket) => {
      socket.destroy()
      resolve('open')
    })
    sent.on('error', reject)
    sent.end()
  })
}
const assertionOf = (keys: KeyPair) => createControllerAssertion(keys, clock.now())

describe("a Connector's assertion", () => {
  it('is good once, and one of an unknown key takes no room from others', async () => {
    const own = assertionOf(office.connector.keys)
    expect([await upgrade(own), await upgrade(own)]).toEqual(['open', 'unauthenticated'])
    const stranger = assertionOf(generateKeyPair())
    expect([await upgrade(stranger), await upgrade(stranger)]).toEqual(['unknown_connector', 'unknown_connector'])
  })
})

describe('what a peer repeats on its channel', () => {
  it('is written once: a Client says once who it is', async () => {
    const client = root.connect()
    await client.next('synced')
    const hello = { type: 'hello', version: '1.0.0', platform: 'test', revision: 0, nowMs: clock.now() } as const
    client.channel.send({ ...hello, host: 'first' })
    client.channel.send({ ...hello, host: 'second' })
    const host = async () => {
      const { items } = (await root.as('GET', '/v1/admin/devices')).body as { items: { host: string }[] }
      return items[0]?.host
    }
    await eventually('the first hello', async () => (await host()) === 'first')
    await client.channel.close()
    await eventually('the end', async () => {
      const { items } = (await root.as('GET', '/v1/admin/devices')).body as { items: { connected: boolean }[] }
      return items[0]?.connected === false
    })
    expect(await host()).toBe('first')
  })

  it('does not fill the memory: sessions are counted up to a limit', async () => {
    const there = office.connector.connect()
    await there.next('synced')
    const sessionsFrom = (from: number) =>
      Array.from({ length: 15_000 }, (_, index) => ({
        ...{ session: `s-${from + index}`, device: root.id, user: 'u', path: 'relay:r', startedAtMs: 1, streams: 0 },
      }))
    there.channel.send({ type: 'sessions', complete: false, sessions: sessionsFrom(0) })
    there.channel.send({ type: 'sessions', complete: false, sessions: sessionsFrom(15_000) })
    const sessions = async () => {
      const { items } = (await root.as('GET', '/v1/admin/connectors')).body as { items: { sessions: number }[] }
      return items[0]?.sessions ?? 0
    }
    await eventually('the sessions', async () => (await sessions()) >= 20_000)
    expect(await sessions()).toBe(20_000)
    await there.channel.close()
  })
})

describe('a Connector key that drains', () => {
  it('is retired at the end of the longest drain, however lively its holder', async () => {
    const { operator } = office
    await operator.put('connector', 'worn', bodies.connector('worn', 'office'))
    const old = lab.connector()
    await old.enrol((await operator.enrolmentToken('worn')).token)
    const there = old.connect()
    await there.next('synced')
    there.channel.send({ type: 'draining' })
    const young = lab.connector()
    const { token } = await operator.enrolmentToken('worn')
    await eventually('the vacant slot', async () => (await young.enrol(token)).status === 200)
    clock.pass(HOUR_MS - 60_000)
    expect(there.of('goodbye')).toEqual([])
    clock.pass(180_000)
    expect(await there.next('goodbye')).toMatchObject({ code: 'unknown_connector' })
    const end = await eventually('a refusal', () => {
      const down = there.states.findLast(state => state.kind === 'down')
      return down?.kind === 'down' && down.end.code === 'refused' ? down.end : undefined
    })
    expect(end).toMatchObject({ error: 'unknown_connector' })
    const fresh = young.connect()
    await fresh.next('synced')
    await Promise.all([there.channel.close(), fresh.channel.close()])
  })
})
