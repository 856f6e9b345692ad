import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ControllerLab, furnish, startControllerLab } from '../test/lab.ts'
import { bodies } from '../test/operator.ts'

let lab: ControllerLab
let office: Awaited<ReturnType<typeof furnish>>
beforeAll(async () => {
  lab = await startControllerLab({ tenants: [{ name: 'default', sources: ['cluster', 'second'] }] })
  office = await furnish(lab, [])
})
afterAll(() => lab.close())

describe('a network that its source has removed', () => {
  it('is not made anew by another source while Connectors or Resources of the first are in it', async () => {
    const { operator, connector } = office
    const second = lab.operator({ source: 'second' })
    await operator.delete('network', 'office')
    const take = () => second.as('PUT', second.path('network', 'office'), bodies.network('office'))
    expect(await take()).toMatchObject({ status: 403, body: { error: 'uid_taken' } })
    await operator.delete('resource', 'web')
    expect(await take()).toMatchObject({ status: 403, body: { error: 'uid_taken' } })
    const there = connector.connect()
    await there.next('synced')
    await there.channel.close()
    await operator.delete('connector', 'connector-0')
    expect((await take()).status).toBe(200)
  })
})
