/** What a Relay, or whoever stands at it, can see. */
import { randomBytes } from 'node:crypto'
import {
  ADA,
  byPort,
  bySocks,
  GREETING,
  httpGet,
  Lab,
  TCP_GREETING,
  TCP_HOST,
  take,
  WEB_HOST,
} from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serverHellos } from './server-hello.ts'

/** A name that stands in nothing else. */
const TENANT = 'umbrella-tenant'
const X25519MLKEM768 = 0x11ec
const TLS_1_3 = 0x0304

let lab: Lab
const marker = `marker-${randomBytes(16).toString('hex')}`
beforeAll(async () => {
  lab = await Lab.start({ record: true, members: [ADA], tenant: TENANT })
  await lab.login()
  await httpGet(bySocks(lab.socks), WEB_HOST, lab.web.port)
  const socket = await byPort(await lab.device.forward(TCP_HOST, lab.tcp.port))()
  await take(socket, TCP_GREETING.length + 1)
  socket.write(`${marker}\n`)
  expect((await take(socket, marker.length + 1)).toString()).toBe(`${marker}\n`)
  socket.destroy()
})
afterAll(() => lab?.close())

describe('a recording splice at the Relay', () => {
  it('has recorded the connections', () => {
    expect(lab.recorders.reduce((sum, { connections }) => sum + connections, 0)).toBeGreaterThan(4)
  })

  it('holds neither payload, name, e-mail, tenant nor Connector ID', async () => {
    const seen = Buffer.concat(lab.recorders.flatMap(({ chunks }) => chunks))
    expect(seen.length).toBeGreaterThan(10_000)
    const { device, sessions } = await lab.device.json<{ device: string; sessions: { connector: string }[] }>([
      'status',
    ])
    const connector = sessions[0]!.connector
    expect(connector).toMatch(/^[a-z2-7]{32}$/)
    const hidden = {
      marker,
      GREETING,
      WEB_HOST,
      TCP_HOST,
      ADA,
      TENANT,
      connector,
      device,
      network: 'office',
    }
    const found = Object.entries(hidden).filter(([, text]) => seen.includes(text))
    expect(found).toEqual([])
    // The search itself finds what is there: the name of a Relay stands in the clear.
    expect(seen.includes('sallyport.internal')).toBe(true)
  })

  it('sees TLS 1.3 with X25519MLKEM768 between Client and Connector', () => {
    const hellos = serverHellos(lab.recorders.flatMap(({ chunks }) => chunks))
    expect(hellos.length).toBeGreaterThan(0)
    expect(new Set(hellos.map(({ version }) => version))).toEqual(new Set([TLS_1_3]))
    expect(hellos.map(({ group }) => group)).toContain(X25519MLKEM768)
  })
})
