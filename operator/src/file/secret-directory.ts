import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readlink, rename, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '@sallyport/runtime'

/** Link to the version that counts, as the kubelet has it: all entries change at once. */
const CURRENT = '..data'

/** Writes the entries of a Secret as files of a directory, all at once for whoever reads them. */
export async function writeSecretDirectory(
  directory: string,
  entries: Record<string, Uint8Array>,
  version: string,
): Promise<void> {
  const next = `..${version}`
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await rm(join(directory, next), { recursive: true, force: true })
  await mkdir(join(directory, next), { mode: 0o700 })
  for (const [name, bytes] of Object.entries(entries)) await writeFileAtomic(join(directory, next, name), bytes)
  const former = await readlink(join(directory, CURRENT)).catch(() => undefined)
  await replaceLink(next, join(directory, CURRENT))
  for (const name of Object.keys(entries)) {
    const link = join(directory, name)
    if ((await readlink(link).catch(() => undefined)) !== join(CURRENT, name)) {
      await replaceLink(join(CURRENT, name), link)
    }
  }
  for (const name of await readdir(directory)) {
    const isOld = name === former || (!name.startsWith('..') && !(name in entries))
    if (isOld && name !== next) await rm(join(directory, name), { recursive: true, force: true })
  }
}

/** Reads the entries of a Secret, in base64; undefined when the directory is not there. */
export function readSecretDirectory(directory: string): Record<string, string> | undefined {
  if (!existsSync(directory)) return undefined
  const entries: Record<string, string> = {}
  for (const name of readdirSync(directory)) {
    if (name.startsWith('..')) continue
    try {
      entries[name] = readFileSync(join(directory, name)).toString('base64')
    } catch {
      // A link whose file has been taken away: the entry is not there.
    }
  }
  return entries
}

async function replaceLink(target: string, path: string): Promise<void> {
  const temporary = `${path}.link`
  await rm(temporary, { force: true })
  await symlink(target, temporary)
  await rename(temporary, path)
}
