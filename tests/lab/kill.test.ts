/** Any process killed at any moment comes back by itself, and what was promised still holds. */
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ADA, bySocks, eventually, GREETING, httpGet, Lab, SECRET_HOST, WEB_HOST } from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** A left slot is vacant after 15 s, and the longest back-off of a control channel is 30 s: several of them may add up. */
const SLOW = { timeout: 300_000 }
const PATIENCE = { timeoutMs: 120_000 }
/** The reply to what is not granted; another one tells of what is not there. */
const DENIED = 'SOCKS reply 2'

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start({ members: [ADA] })
  await lab.login()
})
afterAll(() => lab?.close())

const get = () => httpGet(bySocks(lab.socks), WEB_HOST, lab.web.port).then(({ body }) => body.toString())
const back = (what: string) => eventually(`access after ${what}`, get, PATIENCE)

describe('killed and started again', () => {
  it.each(['controller', 'operator', 'relay-0', 'relay-1', 'office-a', 'office-b'])('%s', SLOW, async name => {
    await lab.installation.kill(name)
    lab.installation.revive(name)
    expect(await back(name)).toBe(`${GREETING}\n`)
    await expect(httpGet(bySocks(lab.socks), SECRET_HOST, lab.secret.port)).rejects.toThrow(DENIED)
    expect(lab.secret.accepted()).toBe(0)
    expect(lab.installation.fallen).toEqual([])
  })

  it(
    'a revocation that was committed stays, though everything but the services is killed right after',
    SLOW,
    async () => {
      lab.setMembers([])
      await eventually('the revocation', () =>
        get().then(
          () => false,
          (error: Error) => error.message.includes(DENIED),
        ),
      )
      const accepted = lab.web.accepted()
      for (const name of lab.installation.parts) await lab.installation.kill(name)
      for (const name of lab.installation.parts) lab.installation.revive(name)
      await eventually(
        'the Client to be connected again',
        async () => (await lab.device.json<{ state: string }>(['status'])).state === 'connected',
        PATIENCE,
      )
      await expect(get()).rejects.toThrow(DENIED)
      expect(lab.web.accepted()).toBe(accepted)
      lab.setMembers([ADA])
      expect(await back('the grant')).toBe(`${GREETING}\n`)
    },
  )

  it('a Connector with an empty directory and a used token gets the next one', SLOW, async () => {
    const used = readFileSync(lab.installation.file('office-a', 'token'), 'utf8')
    await lab.installation.kill('office-a')
    rmSync(lab.installation.connectorState('office-a'), { recursive: true })
    lab.installation.revive('office-a')
    await eventually(
      'the Connector to be enrolled anew',
      () => lab.installation.log('office-a').some(line => line.includes('"enrolled"')),
      PATIENCE,
    )
    await lab.installation.ready('Connector', 'office-a')
    expect(readFileSync(lab.installation.file('office-a', 'token'), 'utf8')).not.toBe(used)
  })
})

describe('the logs of all that', () => {
  it('hold no secret', () => {
    const dir = join(lab.installation.dir, 'log')
    const secret =
      /spe_[A-Za-z0-9_-]{20}|spr_[A-Za-z0-9_-]{20}|eyJ[A-Za-z0-9_-]{10,}\.eyJ|PRIVATE KEY|"key":"[A-Za-z0-9_-]{43}"/
    const found = readdirSync(dir).flatMap(name =>
      readFileSync(join(dir, name), 'utf8')
        .split('\n')
        .filter(line => secret.test(line))
        .map(line => `${name}: ${line.slice(0, 200)}`),
    )
    expect(found).toEqual([])
  })
})
