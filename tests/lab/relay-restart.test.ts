/** Relays are restarted one after the other under load: what is open there may end by itself, and nothing new is refused or cut. */
import {
  ADA,
  byPort,
  bySocks,
  eventually,
  httpGet,
  Lab,
  TCP_GREETING,
  TCP_HOST,
  take,
  WEB_HOST,
} from '@sallyport/testkit'
import { afterAll, beforeAll, expect, it } from 'vitest'

const PARALLEL = 4

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start({ members: [ADA] })
  await lab.login()
})
afterAll(() => lab?.close())

it('Relays that are restarted in order fail no new connection, and end none before its time', {
  timeout: 180_000,
}, async () => {
  const { installation } = lab
  let over = false
  let answered = 0
  const failures: string[] = []
  const load = Array.from({ length: PARALLEL }, async () => {
    while (!over) {
      await httpGet(bySocks(lab.socks), WEB_HOST, lab.web.port).then(
        () => answered++,
        error => failures.push(String(error)),
      )
    }
  })
  const served = async () => {
    const before = answered
    await eventually('further answers', () => answered > before + 4 * PARALLEL)
  }
  await served()
  for (const relay of ['relay-0', 'relay-1']) {
    const long = await byPort(await lab.device.forward(TCP_HOST, lab.tcp.port))()
    await take(long, TCP_GREETING.length + 1)
    const ended = installation.kill(relay, 'SIGTERM')
    await served()
    // It may be open at the Relay that ends, or at the other one: either way it is good until its own end.
    long.write('still here\n')
    expect((await take(long, 11)).toString()).toBe('still here\n')
    long.end()
    expect(await ended).toBe(0)
    installation.revive(relay)
    await eventually(
      `both Connectors at ${relay}`,
      async () => (await installation.metric(relay, 'sallyport_relay_connectors')) === 2,
    )
    await served()
  }
  over = true
  await Promise.all(load)
  expect(failures).toEqual([])
})
