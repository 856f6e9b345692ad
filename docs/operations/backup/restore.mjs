// Puts the copy at standard input into the place of the SQLite database at argv[1], which no Controller may have open.
import { createWriteStream, renameSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { pipeline } from 'node:stream/promises'

const path = process.argv[1]
const copy = `${path}.restore`
// A Controller holds it for as long as it runs.
const lock = new DatabaseSync(`${path}-lock`)
try {
  lock.exec('begin exclusive')
} catch (cause) {
  throw new Error('a Controller has the database open: end it first', { cause })
}
try {
  await pipeline(process.stdin, createWriteStream(copy, { mode: 0o600 }))
  const database = new DatabaseSync(copy)
  const { integrity_check: verdict } = database.prepare('pragma integrity_check').get()
  const tenants = database.prepare('select name, revision from tenants').all()
  database.close()
  if (verdict !== 'ok') throw new Error(`the copy is damaged: ${verdict}`)
  // What belongs to the database that is replaced.
  for (const suffix of ['-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true })
  renameSync(copy, path)
  for (const { name, revision } of tenants) console.log(`tenant ${name} as of revision ${revision}`)
} finally {
  lock.close()
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${copy}${suffix}`, { force: true })
}
