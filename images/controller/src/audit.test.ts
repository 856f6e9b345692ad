import { expect, it } from 'vitest'
import { appendAudit, auditHash, FIRST_HASH } from './audit.ts'
import { ensureTenant, openStore, sqliteDialect } from './store/index.ts'

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
