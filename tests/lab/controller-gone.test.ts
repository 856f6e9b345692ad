/** The Controller stopped: known Clients go on, Relays restart, and everything ends when the ACL does. */
import {
  ADA,
  byPort,
  bySocks,
  eventually,
  GREETING,
  httpGet,
  Lab,
  TCP_GREETING,
  TCP_HOST,
  take,
  WEB_HOST,
} from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const ACL_SECONDS = 45

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start({ members: [ADA], controller: { acl: { defaultLifetimeSeconds: ACL_SECONDS } } })
  await lab.login()
})
afterAll(() => lab?.close())

describe('with the Controller killed', () => {
  it('open and new streams go on, a Relay restarted meanwhile serves, and the end of the ACL ends them with a reason', async () => {
    const get = () => httpGet(bySocks(lab.socks), WEB_HOST, lab.web.port).then(({ body }) => body.toString())
    expect(await get()).toBe(`${GREETING}\n`)
    await lab.installation.kill('controller')

    for (const relay of ['relay-0', 'relay-1']) {
      await lab.installation.kill(relay)
      lab.installation.revive(relay)
      await eventually(
        `${relay} to serve again`,
        async () => (await lab.installation.metric(relay, 'sallyport_relay_connectors')) >= 2,
      )
      expect(await get()).toBe(`${GREETING}\n`)
    }

    const open = await byPort(await lab.device.forward(TCP_HOST, lab.tcp.port))()
    await take(open, TCP_GREETING.length + 1)
    open.write('still here\n')
    expect((await take(open, 11)).toString()).toBe('still here\n')
    const closed = new Promise(resolve => open.once('close', resolve))
    open.on('error', () => {})
    open.resume()
    await closed
    const accepted = lab.web.accepted()
    await expect(get()).rejects.toThrow(/SOCKS reply/)
    expect(lab.web.accepted()).toBe(accepted)
    const why = await lab.device.run(['why', `${WEB_HOST}:${lab.web.port}`])
    expect(why.stdout).toMatch(/expired/)
    expect(why.code).toBe(4)
  })

  it('everything is back when the Controller is', async () => {
    lab.installation.revive('controller')
    const answer = await eventually('access to be back', () => httpGet(bySocks(lab.socks), WEB_HOST, lab.web.port))
    expect(answer.body.toString()).toBe(`${GREETING}\n`)
  })
})
