import { afterEach, describe, expect, it } from 'vitest'
import { openStore, type Store, sqliteDialect } from '../store/index.ts'
import { MAX_PENDING_LOGINS, makeRoom, putRecord, readRecord } from './record.ts'

const NOW = 1_000_000
let store: Store
afterEach(() => store.close())

describe('logins that were begun and not ended', () => {
  it('are kept up to a limit: the oldest makes room, another tenant keeps its own', async () => {
    store = await openStore(sqliteDialect(':memory:'), () => NOW)
    const put = (tenant: string, id: string, expiresAtMs: number) =>
      putRecord(store.db, { tenant, kind: 'authorize', id }, id, { expiresAtMs })
    const there = (tenant: string, id: string) => readRecord(store.db, { tenant, kind: 'authorize', id }, NOW)
    await put('b', 'other', NOW + 1)
    for (let index = 0; index < MAX_PENDING_LOGINS; index++) await put('a', `login-${index}`, NOW + 10 + index)
    await makeRoom(store.db, 'a')
    expect(await there('a', 'login-0')).toBeUndefined()
    expect(await there('a', 'login-1')).toBe('login-1')
    await put('a', 'new', NOW + 100_000)
    await makeRoom(store.db, 'a')
    expect(await there('a', 'login-1')).toBeUndefined()
    expect(await there('a', 'new')).toBe('new')
    expect(await there('b', 'other')).toBe('other')
  })
})
