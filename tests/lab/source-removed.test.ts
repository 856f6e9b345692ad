/** An operator is gone for good: an admin ends what it has declared, and with it all access. */
import { ADA, BOB, bySocks, eventually, GREETING, httpGet, Lab, WEB_HOST } from '@sallyport/testkit'
import { afterAll, beforeAll, expect, it } from 'vitest'

const SOURCE = 'files'

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start({ members: [ADA] })
  await lab.login()
})
afterAll(() => lab?.close())

it('an admin removes the source of an operator that is gone, which nobody else can', { timeout: 120_000 }, async () => {
  const { installation, device: ada } = lab
  const get = () => httpGet(bySocks(lab.socks), WEB_HOST, lab.web.port).then(({ body }) => body.toString())
  const bob = installation.device('bob')
  await bob.login(installation.loginUrl, BOB, installation.caFile)
  await installation.kill('operator')

  expect(await ada.run(['admin', 'sources', 'remove', SOURCE])).toMatchObject({ code: 4 })
  expect(await bob.run(['admin', 'sources', 'remove', 'elsewhere'])).toMatchObject({ code: 1 })
  expect(await get()).toBe(`${GREETING}\n`)

  const { removed } = await bob.json<{ removed: number }>(['admin', 'sources', 'remove', SOURCE])
  expect(removed).toBeGreaterThan(0)
  const refusal = await eventually('Ada to be refused', () => get().then(() => undefined, String))
  expect(refusal).toContain('SOCKS reply')

  installation.revive('operator')
  expect(await eventually('access as it is declared', () => get().catch(() => undefined))).toBe(`${GREETING}\n`)
  await bob.close()
})
