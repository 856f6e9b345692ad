import { mkdir, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

let count = 0

/**
 * Replaces a file at once: readers see the old content or the new, and after a crash one of the two is there. Content and directory are
 * on disk when it resolves. Directories that are missing are made, for the owner only.
 */
export async function writeFileAtomic(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  const folder = dirname(path)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const temporary = `${path}.${process.pid}.${count++}.tmp`
  try {
    const file = await open(temporary, 'wx', mode)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw error
  }
  const directory = await open(folder, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
