import { join } from 'node:path'
import { canonicalJson, MAX_MEMBERS } from '@sallyport/schema'
import { eventually } from '@sallyport/testkit'
import { secretHash } from '@sallyport/trust'
import { expect, it } from 'vitest'
import { appendAudit, auditHash, FIRST_HASH, MAX_AUDIT_ROWS, MAX_VALUE_BYTES, sweepAudit } from './audit.ts'
import { LOG_MS } from './housekeeping.ts'
import { ensureTenant, openStore, sqliteDialect } from './store/index.ts'
import { openFile } from './store/sqlite.ts'
import { ShiftedClock, startControllerLab } from './test/lab.ts'
import { bodies, uid } from './test/operator.ts'

it('each row of the audit log vouches for the one before, so that a change of any shows', async () => {
  const store = await openStore(sqliteDialect(':memory:'), () => 1)
  for (const tenant of ['default', 'other']) await ensureTenant(store, tenant, 0)
  const add = (tenant: string, target: string) =>
    store.withTransaction(tenant, tx =>
      appendAudit(tx, { actor: 'user:a', action: 'x', target, after: { b: 1, a: 2 } }, 5),
    )
  await add('default', 'one')
  await add('other', 'elsewhere')
  await Promise.all([add('default', 'two'), add('default', 'three')])
  const rows = await store.db.selectFrom('audit').selectAll().where('tenant', '=', 'default').orderBy('seq').execute()
  await store.close()
  expect(rows.map(({ seq, target }) => [seq, target])).toEqual([
    [1, 'one'],
    [2, 'two'],
    [3, 'three'],
  ])
  expect(rows.map(({ previousHash }) => previousHash)).toEqual([FIRST_HASH, rows[0]?.hash, rows[1]?.hash])
  for (const row of rows) expect(auditHash(row)).toBe(row.hash)
  expect(auditHash({ ...rows[1], target: 'forged' })).not.toBe(rows[1]?.hash)
})

it('a row holds a value up to the limit, and of a longer one its length and digest', async () => {
  const store = await openStore(sqliteDialect(':memory:'), () => 1)
  await ensureTenant(store, 'default', 0)
  const fits = { text: 'x'.repeat(MAX_VALUE_BYTES - '{"text":""}'.length) }
  const long = { text: `${fits.text}x` }
  await store.withTransaction('default', tx =>
    appendAudit(tx, { actor: 'operator:a', action: 'x', target: 'one', before: fits, after: long }, 5),
  )
  const row = await store.db.selectFrom('audit').selectAll().executeTakeFirstOrThrow()
  await store.close()
  expect(row.before).toBe(canonicalJson(fits))
  const digest = secretHash(canonicalJson(long))
  expect(row.after).toBe(canonicalJson({ bytes: MAX_VALUE_BYTES + 1, digest }))
  expect(auditHash(row)).toBe(row.hash)
})

it('rows that are old or too many are dropped, and what is left is a chain that goes on', async () => {
  const store = await openStore(sqliteDialect(':memory:'), () => 1)
  for (const tenant of ['default', 'other']) await ensureTenant(store, tenant, 0)
  const add = (tenant: string, times: number[]) =>
    store.withTransaction(tenant, async tx => {
      for (const atMs of times) await appendAudit(tx, { actor: 'user:a', action: 'x', target: 'thing' }, atMs)
    })
  const kept = async (tenant: string) => {
    const rows = await store.db.selectFrom('audit').selectAll().where('tenant', '=', tenant).orderBy('seq').execute()
    for (const [index, row] of rows.entries()) {
      expect(auditHash(row)).toBe(row.hash)
      if (index > 0) expect(row.previousHash).toBe(rows[index - 1]?.hash)
    }
    return { seqs: rows.map(({ seq }) => seq), start: rows[0]?.previousHash, end: rows.at(-1)?.hash }
  }
  await add('other', [10])
  await add('default', [10, 19])
  const dropped = (await kept('default')).end
  // A clock that was set back: the young row before it keeps it.
  await add('default', [20, 15, 30])
  await sweepAudit(store, 'default', 20)
  expect(await kept('default')).toMatchObject({ seqs: [3, 4, 5], start: dropped })
  expect((await kept('other')).seqs).toEqual([1])
  await sweepAudit(store, 'default', 31)
  const { end } = await kept('default')
  await add('default', [32])
  expect((await kept('default')).seqs).toEqual([5, 6])
  expect((await store.db.selectFrom('audit').select('previousHash').where('seq', '=', 6).execute())[0]).toEqual({
    previousHash: end,
  })
  // Rows of as many changes as make the last but one row the first beyond the limit.
  const seq = 6 + MAX_AUDIT_ROWS - 1
  const last = await store.db.selectFrom('audit').selectAll().where('seq', '=', 6).executeTakeFirstOrThrow()
  await store.db
    .insertInto('audit')
    .values({ ...last, seq })
    .execute()
  await sweepAudit(store, 'default', 0)
  const seqs = async () =>
    (await store.db.selectFrom('audit').select('seq').where('tenant', '=', 'default').orderBy('seq').execute()).map(
      row => row.seq,
    )
  expect(await seqs()).toEqual([6, seq])
  await add('default', [33])
  await sweepAudit(store, 'default', 0)
  expect(await seqs()).toEqual([seq, seq + 1])
  await store.close()
})

it('edits of a Group of the greatest size take little room, and go when they are old', async () => {
  const clock = new ShiftedClock()
  const lab = await startControllerLab({ clock })
  const members = Array.from({ length: MAX_MEMBERS }, (_, at) => `${at}@${'x'.repeat(200)}.example.com`)
  for (const count of [MAX_MEMBERS, MAX_MEMBERS - 1])
    await lab.operator().put('group', 'staff', bodies.group('staff', members.slice(0, count)))
  const database = openFile(join(lab.dir, 'controller.db'))
  const rows = () => database.prepare('select seq, target, before, after from audit order by seq').all()
  const [created, updated] = rows()
  expect(created?.after).toBe(updated?.before)
  expect(JSON.stringify(updated).length).toBeLessThan(3 * MAX_VALUE_BYTES)
  clock.pass(LOG_MS + 60_000)
  await lab.operator().put('group', 'young', bodies.group('young', []))
  const left = await eventually('that the old rows are gone', () => (rows().length === 1 ? rows() : undefined))
  expect(left).toMatchObject([{ seq: 3, target: uid('young') }])
  database.close()
  await lab.close()
})
