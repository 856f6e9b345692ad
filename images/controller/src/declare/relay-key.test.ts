import { FakeClock } from '@sallyport/runtime'
import { createStoreKey } from '@sallyport/trust'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { usableRelayKey } from '../issue/issuer.ts'
import { createSealer } from '../key/store-key.ts'
import { TenantState } from '../state/tenant-state.ts'
import { ensureTenant, openStore, type Store, sqliteDialect } from '../store/index.ts'
import { bodies, uid } from '../test/operator.ts'
import { checkBody } from './body.ts'
import { putDeclared } from './declare.ts'
import { acknowledgeRelayKeys, readRelayKeys, rotateRelayKeys } from './relay-key.ts'

const clock = new FakeClock()
const operator = { tenant: 'default', source: 'cluster' }
const sealer = createSealer(createStoreKey())
const relay = uid('r0')
let store: Store
beforeAll(async () => {
  store = await openStore(sqliteDialect(':memory:'), () => clock.now())
  await ensureTenant(store, 'default', 0)
})
afterAll(() => store.close())

const deps = () => ({ store, sealer, clock, relayKeys: { activationSeconds: 600, rotationSeconds: 86_400 } })
const ids = async () => (await readRelayKeys(deps(), operator, relay)).keys.map(({ id }) => id)
const acknowledge = (keyIds: string[]) =>
  acknowledgeRelayKeys(deps(), operator, relay, { keyIds, overlapMs: 3_600_000 })
async function used() {
  const state = new TenantState(store, sealer, 'default')
  await state.load()
  return usableRelayKey(state.relayKeys.get(relay) ?? [], clock.now())?.key.id
}

describe("a Relay's key", () => {
  it('is used when it is acknowledged, its successor ten minutes after that, and it goes when nothing is sealed with it', async () => {
    await putDeclared(deps(), operator, { kind: 'relay', uid: relay, body: checkBody('relay', bodies.relay('r0')) })
    const [first = ''] = await ids()
    expect(await used()).toBeUndefined()
    await acknowledge([first])
    expect(await used()).toBe(first)
    await rotateRelayKeys(deps(), 'default')
    expect(await ids()).toEqual([first])

    clock.advance(86_400_000)
    await rotateRelayKeys(deps(), 'default')
    await rotateRelayKeys(deps(), 'default')
    const [, second = ''] = await ids()
    expect(await ids()).toEqual([first, second])
    clock.advance(86_400_000)
    expect(await used()).toBe(first)
    await acknowledge([first, second])
    clock.advance(599_999)
    expect(await used()).toBe(first)
    clock.advance(1)
    expect(await used()).toBe(second)
    clock.advance(3_599_999)
    expect(await ids()).toEqual([first, second])
    clock.advance(1)
    expect(await ids()).toEqual([second])
    await rotateRelayKeys(deps(), 'default')
    expect((await store.db.selectFrom('relayKeys').select('id').execute()).map(({ id }) => id)).toContain(second)
    expect((await store.db.selectFrom('relayKeys').select('id').execute()).map(({ id }) => id)).not.toContain(first)
  })

  it('stands in the database sealed', async () => {
    const { keys } = await readRelayKeys(deps(), operator, relay)
    const rows = await store.db.selectFrom('relayKeys').selectAll().execute()
    for (const { key } of keys) expect(JSON.stringify(rows)).not.toContain(key)
  })
})
