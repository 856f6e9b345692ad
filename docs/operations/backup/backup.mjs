// Writes a consistent copy of the SQLite database at argv[1] to standard output, while it is in use.
import { createReadStream, rmSync } from 'node:fs'
import { backup, DatabaseSync } from 'node:sqlite'
import { pipeline } from 'node:stream/promises'

const path = process.argv[1]
const copy = `${path}.backup`
try {
  const database = new DatabaseSync(path, { readOnly: true })
  await backup(database, copy)
  database.close()
  await pipeline(createReadStream(copy), process.stdout)
} finally {
  rmSync(copy, { force: true })
}
