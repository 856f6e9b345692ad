/** The Controller's database back to a former copy, with everyone else as they are: who goes on, who comes back, and what holds then. */
import { join } from 'node:path'
import {
  ADA,
  backUpDatabase,
  bySocks,
  eventually,
  GREETING,
  httpGet,
  Lab,
  restoreDatabase,
  WEB_HOST,
} from '@sallyport/testkit'
import { afterAll, beforeAll, expect, it } from 'vitest'

const KNOWN = ['office-a', 'office-b']
const LATE = 'office-late'

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start({ members: [ADA] })
  await lab.login()
})
afterAll(() => lab?.close())

const get = () => httpGet(bySocks(lab.socks), WEB_HOST, lab.web.port).then(({ body }) => body.toString())
const refused = () =>
  eventually('Ada to be refused', () =>
    get().then(
      () => false,
      (error: Error) => error.message.includes('SOCKS reply 2'),
    ),
  )
const connectorId = (name: string) =>
  (lab.installation.status('Connector', name) as { connectorID?: string }).connectorID
const contact = (name: string, wanted: 0 | 1) =>
  eventually(`contact ${wanted} of ${name} with the Controller`, async () => {
    const value = await lab.installation.metric(name, 'sallyport_connector_controller_connected')
    return value === wanted ? true : undefined
  })

it('after a restore Connectors go on or enrol again, what is declared holds, and access comes by the next change', {
  timeout: 300_000,
}, async () => {
  const { installation } = lab
  const database = join(installation.dir, 'controller.sqlite')
  expect(await get()).toBe(`${GREETING}\n`)
  const before = KNOWN.map(connectorId)
  const copy = await backUpDatabase(database)

  const { metadata, ...one } = installation.read('Connector', 'office-a')
  installation.write({ ...one, metadata: { ...metadata, name: LATE } })
  await installation.startConnector(LATE)
  await installation.ready('Connector', LATE)
  const late = connectorId(LATE)
  lab.setMembers([])
  await refused()

  await expect(restoreDatabase(database, copy)).rejects.toThrow('a Controller has the database open')
  await installation.kill('controller')
  for (const name of [...KNOWN, LATE]) await contact(name, 0)
  await restoreDatabase(database, copy)
  installation.revive('controller')
  for (const name of [...KNOWN, LATE]) await contact(name, 1)
  for (const name of [...KNOWN, LATE]) await installation.ready('Connector', name)
  expect(KNOWN.map(connectorId)).toEqual(before)
  await eventually('another Connector in the slot that the copy lacks', () => connectorId(LATE) !== late)
  await refused()

  lab.setMembers([ADA])
  expect(await eventually('access', () => get().catch(() => undefined))).toBe(`${GREETING}\n`)
})
