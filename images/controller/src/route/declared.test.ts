import {
  API_VERSION,
  canonicalJson,
  type GroupSpec,
  MAX_EMAIL,
  MAX_GROUP_BODY_BYTES,
  MAX_MEMBERS,
  MAX_NAME,
  MAX_TEXT,
  validateObject,
} from '@sallyport/schema'
import { secretHash } from '@sallyport/trust'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ControllerLab, startControllerLab } from '../test/lab.ts'
import { bodies, type OperatorHand, uid } from '../test/operator.ts'

let lab: ControllerLab
let operator: OperatorHand
let elsewhere: OperatorHand
beforeAll(async () => {
  lab = await startControllerLab({ tenants: [{ name: 'default', sources: ['cluster', 'elsewhere'] }] })
  operator = lab.operator()
  elsewhere = lab.operator({ source: 'elsewhere' })
  await operator.put('network', 'office', bodies.network('office'))
})
afterAll(() => lab.close())

describe('PUT', () => {
  it('of the same body again changes nothing and takes no revision', async () => {
    const body = bodies.group('staff', ['ada@example.com'])
    const first = await operator.put('group', 'staff', body)
    expect(first.changed).toBe(true)
    const { metadata, spec } = body
    expect(await operator.put('group', 'staff', { spec, metadata })).toEqual({
      revision: first.revision,
      changed: false,
    })
    const row = await operator.get('group', 'staff')
    expect(row.body).toMatchObject({ digest: secretHash(canonicalJson(body)), revision: first.revision })
  })

  it('names every field that is wrong', async () => {
    const body = { ...bodies.resource('bad', 'office', ['staff']), groups: 'x', extra: 1 }
    const answer = await operator.as('PUT', operator.path('resource', 'bad'), body)
    expect(answer.status).toBe(400)
    expect(answer.body.error).toBe('invalid_body')
    const fields = (answer.body.fields as { field: string }[]).map(({ field }) => field)
    expect(fields).toEqual(expect.arrayContaining(['groups', 'extra']))
    expect((await operator.get('resource', 'bad')).status).toBe(404)
  })

  it('takes every Group that may be declared, and of other kinds no body of that size', async () => {
    const long = (start: number, length: number) => String(start).padEnd(length, '\u0001')
    const { metadata } = bodies.group('large', [])
    const spec: GroupSpec = {
      displayName: long(0, MAX_TEXT),
      members: Array.from({ length: MAX_MEMBERS }, (_, index) => `${long(index, 64)}@${long(0, MAX_EMAIL - 65)}`),
      identityProviderGroups: Array.from({ length: MAX_MEMBERS }, (_, index) => ({
        provider: 'p'.repeat(MAX_NAME),
        name: long(index, MAX_TEXT),
      })),
    }
    const manifest = { apiVersion: API_VERSION, kind: 'Group', metadata: { name: 'large' }, spec }
    expect(validateObject('Group', manifest)).toEqual([])
    const size = Buffer.byteLength(JSON.stringify({ metadata, spec }))
    expect(size).toBeGreaterThan(3_000_000)
    expect(size).toBeLessThan(MAX_GROUP_BODY_BYTES)
    expect(await operator.put('group', 'large', { metadata, spec })).toMatchObject({ changed: true })
    const other = { ...bodies.network('large'), extra: ' '.repeat(size) }
    const answer = await operator.as('PUT', operator.path('network', 'large'), other)
    expect(answer).toMatchObject({ status: 413, body: { error: 'too_large' } })
  })

  it.each([
    ['a CIDR with host bits', { address: '10.0.0.1/8' }],
    ['an alias of a wildcard', { address: '*.internal', aliases: ['db'] }],
    [
      'a range that ends before it starts',
      { protocols: { tcp: { policy: 'Restricted', ports: [{ start: 9, end: 1 }] } } },
    ],
  ])('refuses %s, with a reason', async (_, spec) => {
    const answer = await operator.as(
      'PUT',
      operator.path('resource', 'bad'),
      bodies.resource('bad', 'office', [], spec),
    )
    expect(answer).toMatchObject({
      status: 400,
      body: { error: 'invalid_body', fields: [{ field: expect.stringContaining('spec') }] },
    })
  })

  it('refuses a UID that another source holds, and leaves it as it was', async () => {
    const before = await operator.get('network', 'office')
    const answer = await elsewhere.as('PUT', operator.path('network', 'office'), bodies.network('stolen'))
    expect(answer).toMatchObject({ status: 403, body: { error: 'uid_taken' } })
    expect((await operator.get('network', 'office')).body).toEqual(before.body)
  })

  it("refuses a Resource in another source's network", async () => {
    const answer = await elsewhere.as(
      'PUT',
      operator.path('resource', 'intruder'),
      bodies.resource('intruder', 'office', []),
    )
    expect(answer).toMatchObject({ status: 404, body: { error: 'unknown_network' } })
  })

  it('refuses a second Relay of the same name', async () => {
    await operator.put('relay', 'r0', bodies.relay('r0'))
    const answer = await elsewhere.as('PUT', operator.path('relay', 'twin'), bodies.relay('r0'))
    expect(answer).toMatchObject({ status: 409, body: { error: 'name_taken' } })
  })
})

describe('DELETE', () => {
  it('removes a row, and of one that is not there says so', async () => {
    await operator.put('group', 'brief', bodies.group('brief', []))
    expect((await operator.delete('group', 'brief')).body.changed).toBe(true)
    expect(await operator.delete('group', 'brief')).toMatchObject({ status: 404, body: { error: 'not_found' } })
    expect((await operator.get('group', 'brief')).status).toBe(404)
  })

  it("of another source's row is 404 and removes nothing", async () => {
    expect((await elsewhere.delete('network', 'office')).status).toBe(404)
    expect((await operator.get('network', 'office')).status).toBe(200)
  })

  it('of a source removes its rows and no others', async () => {
    await elsewhere.put('group', 'theirs', bodies.group('theirs', []))
    expect(await operator.as('DELETE', '/v1/sources/elsewhere')).toMatchObject({ status: 404 })
    expect(await elsewhere.as('DELETE', '/v1/sources/elsewhere')).toMatchObject({ status: 200, body: { removed: 1 } })
    expect((await elsewhere.get('group', 'theirs')).status).toBe(404)
    expect((await operator.get('network', 'office')).status).toBe(200)
  })
})

describe("a Relay's keys", () => {
  it('are used from the acknowledgement of the first one on', async () => {
    await operator.put('relay', 'keys', bodies.relay('keys'))
    const path = `/v1/relays/${uid('keys')}/keys`
    const { keys } = (await operator.as('GET', path)).body as { keys: { id: string }[] }
    expect(keys).toHaveLength(1)
    const ids = keys.map(({ id }) => id)
    expect((await operator.get('relay', 'keys')).body.relay).toEqual({
      keyIds: ids,
      acknowledgedKeyIds: [],
      registered: false,
    })
    expect((await operator.as('POST', path, { keyIds: ['none'] })).body.error).toBe('unknown_key')
    expect((await operator.as('POST', path, { keyIds: ids })).status).toBe(204)
    expect((await operator.get('relay', 'keys')).body.relay).toMatchObject({ acknowledgedKeyIds: ids })
    expect((await elsewhere.as('GET', path)).status).toBe(404)
    expect((await elsewhere.as('POST', path, { keyIds: ids })).status).toBe(404)
  })
})
