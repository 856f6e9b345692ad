import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CamelCasePlugin, Kysely } from 'kysely'
import { Migrator } from 'kysely/migration'
import { afterAll, afterEach, expect, it } from 'vitest'
import { entryBytes } from '../state/map-entry.ts'
import { bodies, uid } from '../test/operator.ts'
import { type Commit, ensureTenant, openStore, type Store, sqliteDialect } from './index.ts'
import { migrations } from './migration.ts'

const dir = mkdtempSync(join(tmpdir(), 'sallyport-store-'))
const open: Store[] = []

afterEach(async () => {
  for (const store of open.splice(0)) await store.close()
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

async function storeAt(now: () => number, path = ':memory:') {
  const store = await openStore(sqliteDialect(path), now)
  open.push(store)
  await ensureTenant(store, 'default', 0)
  await ensureTenant(store, 'other', 0)
  return store
}

it('a revision is the time in ms, or one more than the last where that is later', async () => {
  let now = 1_000
  const store = await storeAt(() => now)
  const next = () => store.withTransaction('default', tx => tx.revision())
  expect(await next()).toBe(1_000)
  expect(await next()).toBe(1_001)
  now = 999
  expect(await next()).toBe(1_002)
  now = 5_000
  expect(await next()).toBe(5_000)
})

it('one transaction takes one revision, of its own tenant', async () => {
  const store = await storeAt(() => 7)
  const [first, second] = await store.withTransaction('default', async tx => [await tx.revision(), await tx.revision()])
  expect([first, second]).toEqual([7, 7])
  const other = await store.db.selectFrom('tenants').select('revision').where('name', '=', 'other').executeTakeFirst()
  expect(other?.revision).toBe(0)
})

it('listeners hear of a commit after it, and never of what was rolled back', async () => {
  const store = await storeAt(() => 7)
  const heard: Commit[] = []
  store.onCommit(commit => heard.push(commit))
  await expect(
    store.withTransaction('default', async tx => {
      await tx.revision()
      tx.changed({ kind: 'user', id: 'a' })
      throw new Error('no')
    }),
  ).rejects.toThrow('no')
  expect(heard).toEqual([])
  await store.withTransaction('default', async tx => {
    await tx.revision()
    tx.changed({ kind: 'user', id: 'b' })
    expect(heard).toEqual([])
  })
  expect(heard).toEqual([{ tenant: 'default', revision: 7, changes: [{ kind: 'user', id: 'b' }] }])
})

it('transactions started together run one after the other', async () => {
  const store = await storeAt(() => 1)
  const revisions = await Promise.all(
    Array.from({ length: 20 }, () => store.withTransaction('default', tx => tx.revision())),
  )
  expect([...revisions].sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
})

it('what was committed is there when the file is opened again', async () => {
  const path = join(dir, 'controller.db')
  const first = await storeAt(() => 42, path)
  await first.withTransaction('default', tx => tx.revision())
  await first.close()
  open.pop()
  const second = await storeAt(() => 1, path)
  const row = await second.db.selectFrom('tenants').select('revision').where('name', '=', 'default').executeTakeFirst()
  expect(row?.revision).toBe(42)
})

it('a database of the first version learns where its rows stand and how large its Resources are', async () => {
  const path = join(dir, 'first.db')
  const db = new Kysely<Record<string, Record<string, unknown>>>({
    dialect: sqliteDialect(path),
    plugins: [new CamelCasePlugin()],
  })
  await new Migrator({ db, provider: migrations }).migrateTo('0001-first-tables')
  const web = bodies.resource('web', 'office', [])
  const rows = { network: bodies.network('office'), connector: bodies.connector('c', 'office'), resource: web }
  const common = { tenant: 'default', source: 'cluster', digest: 'x', revision: 1, programming: null }
  for (const [kind, body] of Object.entries(rows))
    await db
      .insertInto('declared')
      .values({ ...common, uid: uid(kind), kind, body: JSON.stringify(body) })
      .execute()
  await db.destroy()
  const { db: read } = await storeAt(() => 1, path)
  expect(await read.selectFrom('declared').select(['kind', 'network', 'bytes']).orderBy('kind').execute()).toEqual([
    { kind: 'connector', network: uid('office'), bytes: 0 },
    { kind: 'network', network: null, bytes: 0 },
    { kind: 'resource', network: uid('office'), bytes: entryBytes(web) },
  ])
})

it('a database that cannot be opened is named, with what it needs', () => {
  const path = join(dir, 'missing', 'controller.db')
  expect(() => sqliteDialect(path)).toThrow(
    `database.path ${path}: unable to open database file; its directory must exist`,
  )
})
