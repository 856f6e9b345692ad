import { eventually } from '@sallyport/testkit'
import { generateKeyPair, publicJwk } from '@sallyport/trust'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ControllerLab, ShiftedClock, startControllerLab } from '../test/lab.ts'
import { bodies, type OperatorHand, uid } from '../test/operator.ts'

let lab: ControllerLab
let operator: OperatorHand
const clock = new ShiftedClock()
beforeAll(async () => {
  lab = await startControllerLab({ clock, tenants: [{ name: 'default' }, { name: 'other' }] })
  operator = lab.operator()
  await operator.put('network', 'office', bodies.network('office'))
})
afterAll(() => lab.close())

async function slot(name: string) {
  await operator.put('connector', name, bodies.connector(name, 'office'))
  return operator.enrolmentToken(name)
}
const state = async (name: string) => (await operator.get('connector', name)).body.slot as Record<string, unknown>

describe('an enrolment token', () => {
  it('binds one key, and with that key answers the same again', async () => {
    const { token, id } = await slot('again')
    expect(await state('again')).toMatchObject({ tokenId: id, tokenState: 'live' })
    const connector = lab.connector()
    const first = await connector.enrol(token)
    expect(first).toMatchObject({
      status: 200,
      body: { connectorId: connector.id, slot: uid('again'), network: uid('office') },
    })
    const second = await connector.enrol(token)
    expect(second).toMatchObject({ status: 200, body: { connectorId: connector.id, slot: uid('again') } })
    expect(await state('again')).toMatchObject({ tokenState: 'used', connectorId: connector.id })
  })

  it('is refused to another key once it is used', async () => {
    const { token } = await slot('used')
    const first = lab.connector()
    await first.enrol(token)
    expect(await lab.connector().enrol(token)).toMatchObject({ status: 409, body: { error: 'token_used' } })
    expect(await state('used')).toMatchObject({ connectorId: first.id })
  })

  it('tried by 50 at once is won by exactly one', async () => {
    const { token } = await slot('race')
    const answers = await Promise.all(Array.from({ length: 50 }, () => lab.connector().enrol(token)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(answers.filter(({ body }) => body.error === 'token_used')).toHaveLength(49)
  })

  it('is void once another has been issued', async () => {
    const { token } = await slot('replaced')
    const next = await operator.enrolmentToken('replaced')
    expect(await lab.connector().enrol(token)).toMatchObject({ status: 401, body: { error: 'unknown_token' } })
    expect(await lab.connector().enrol(next.token)).toMatchObject({ status: 200 })
  })

  it('is void once its slot is gone', async () => {
    const { token } = await slot('gone')
    await operator.delete('connector', 'gone')
    expect(await lab.connector().enrol(token)).toMatchObject({ status: 401, body: { error: 'unknown_token' } })
  })

  it('is not good without the proof of the key that it is to bind', async () => {
    const { token } = await slot('proof')
    const honest = lab.connector().enrolRequest(token)
    const stolen = { ...honest, publicKey: publicJwk(generateKeyPair().publicKey) }
    expect(await lab.call('POST', '/v1/enroll', { body: stolen })).toMatchObject({ status: 401 })
    const { proof } = lab.connector().enrolRequest(`spe_${'A'.repeat(43)}`)
    expect(await lab.call('POST', '/v1/enroll', { body: { ...honest, proof } })).toMatchObject({ status: 401 })
    expect(await state('proof')).toMatchObject({ tokenState: 'live' })
  })

  it('nobody issued is unknown', async () => {
    const answer = await lab.connector().enrol(`spe_${'A'.repeat(43)}`)
    expect(answer).toMatchObject({ status: 401, body: { error: 'unknown_token' } })
  })
})

describe('an occupied slot', () => {
  it('is refused to the holder of a fresh token, visibly, while its Connector lives', async () => {
    const { token } = await slot('living')
    const living = lab.connector()
    await living.enrol(token)
    const channel = living.connect()
    await channel.next('synced')
    const { token: stolen } = await operator.enrolmentToken('living')
    expect(await lab.connector().enrol(stolen)).toMatchObject({ status: 409, body: { error: 'slot_occupied' } })
    expect(await state('living')).toMatchObject({
      connectorId: living.id,
      conflictAtMs: expect.any(Number),
      tokenState: 'live',
    })
    expect(channel.of('goodbye')).toEqual([])
    await channel.channel.close()
  })

  it('is vacant as soon as its Connector drains, whose own key stays good', async () => {
    const { token } = await slot('draining')
    const old = lab.connector()
    await old.enrol(token)
    const channel = old.connect()
    await channel.next('synced')
    const feed = lab.operatorChannel(operator.token())
    await feed.next('snapshot')
    channel.channel.send({ type: 'draining' })
    await feed.next('row', ({ row }) => row.uid === uid('draining') && row.slot?.draining === true)
    const { token: next } = await operator.enrolmentToken('draining')
    const young = lab.connector()
    expect((await young.enrol(next)).text).toContain(young.id)
    expect(await state('draining')).toMatchObject({ connectorId: young.id, draining: false })
    expect(channel.of('goodbye')).toEqual([])
    await feed.channel.close()
    await channel.channel.close()
  })

  it('stays so after a restart of the Controller, for a Connector that has not come back yet', async () => {
    const { token } = await slot('restart')
    const old = lab.connector()
    await old.enrol(token)
    const { token: fresh } = await operator.enrolmentToken('restart')
    await lab.stop()
    await lab.start()
    expect(await lab.connector().enrol(fresh)).toMatchObject({ status: 409, body: { error: 'slot_occupied' } })
    const channel = old.connect()
    await channel.next('synced')
    await channel.channel.close()
  })
})

describe('a Connector that is gone', () => {
  it('leaves its slot vacant 15 s later, and not before', async () => {
    const { token } = await slot('dead')
    const old = lab.connector()
    await old.enrol(token)
    const channel = old.connect()
    await channel.next('synced')
    await channel.channel.close()
    await eventually('the end of its channel', async () => (await state('dead')).connected === false)
    const { token: next } = await operator.enrolmentToken('dead')
    clock.pass(13_000)
    expect(await lab.connector().enrol(next)).toMatchObject({ status: 409, body: { error: 'slot_occupied' } })
    clock.pass(2_000)
    const young = lab.connector()
    expect(await young.enrol(next)).toMatchObject({ status: 200 })
    const end = await old.connect().refused()
    expect(end).toMatchObject({ status: 401, error: 'unknown_connector' })
  })

  it('that was there when the Controller stopped keeps its slot for 60 s of the next run', async () => {
    const { token } = await slot('slow')
    await lab.connector().enrol(token)
    const { token: next } = await operator.enrolmentToken('slow')
    await lab.stop()
    await lab.start()
    clock.pass(50_000)
    expect(await lab.connector().enrol(next)).toMatchObject({ status: 409, body: { error: 'slot_occupied' } })
    clock.pass(10_000)
    expect(await lab.connector().enrol(next)).toMatchObject({ status: 200 })
  })
})

describe('a key', () => {
  it('that holds a slot cannot take another one, of its tenant or of any other', async () => {
    const { token } = await slot('first-slot')
    const connector = lab.connector()
    await connector.enrol(token)
    const second = await slot('second-slot')
    expect(await connector.enrol(second.token)).toMatchObject({ status: 409, body: { error: 'key_taken' } })
    const other = lab.operator({ tenant: 'other' })
    await other.put('network', 'theirs', bodies.network('theirs'))
    await other.put('connector', 'their-slot', bodies.connector('their-slot', 'theirs'))
    const { token: theirs } = await other.enrolmentToken('their-slot')
    expect(await connector.enrol(theirs)).toMatchObject({ status: 409, body: { error: 'key_taken' } })
  })
})

describe('a token that has expired', () => {
  it('enrols nobody', async () => {
    const { token } = await slot('late')
    expect(await state('late')).toMatchObject({ tokenState: 'live' })
    clock.pass(604_800_000)
    expect(await lab.connector().enrol(token)).toMatchObject({ status: 401, body: { error: 'enrolment_expired' } })
  })
})
