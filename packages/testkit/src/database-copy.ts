import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'

const scripts = join(import.meta.dirname, '../../../docs/operations/backup')

/** Copies a Controller's database that may be in use, as the page on backups says. */
export const backUpDatabase = (path: string): Promise<Buffer> => script('backup.mjs', path)

/** Puts a copy into the place of a database that nobody has open, as the page on backups says; gives what is printed. */
export const restoreDatabase = async (path: string, copy: Buffer): Promise<string> =>
  (await script('restore.mjs', path, copy)).toString()

async function script(name: string, path: string, input?: Buffer): Promise<Buffer> {
  const source = readFileSync(join(scripts, name), 'utf8')
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source, path])
  const ended = new Promise(resolve => child.once('close', resolve))
  // A script that refuses does not read it; why it does is in what it says.
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const [output, said] = await Promise.all([buffer(child.stdout), text(child.stderr)])
  if ((await ended) !== 0) throw new Error(`${name}: ${said}`)
  return output
}
