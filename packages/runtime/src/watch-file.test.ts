import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '@sallyport/testkit'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { type DirectoryWatch, watchDirectory } from './watch-file.ts'
import { writeFileAtomic } from './write-file.ts'

const watches: DirectoryWatch[] = []
afterEach(() => {
  for (const watch of watches.splice(0)) watch.close()
})

function watched(directory: string) {
  const seen = { changes: 0 }
  watches.push(
    watchDirectory(directory, () => {
      seen.changes++
    }),
  )
  return seen
}

const root = mkdtempSync(join(tmpdir(), 'sallyport-watch-'))
afterAll(() => rmSync(root, { recursive: true }))
const folder = () => mkdtempSync(join(root, 'watch-'))

describe('watching a directory', () => {
  it('notices an edit in place, and only once for one that comes in pieces', async () => {
    const directory = folder()
    writeFileSync(join(directory, 'a'), '1')
    const seen = watched(directory)
    writeFileSync(join(directory, 'a'), '2')
    writeFileSync(join(directory, 'a'), '23')
    await eventually('the change', () => seen.changes > 0, { everyMs: 2 })
    expect(seen.changes).toBe(1)
  })

  it('notices files that come, go and are replaced', async () => {
    const directory = folder()
    const seen = watched(directory)
    writeFileSync(join(directory, 'a'), '1')
    await eventually('the new file', () => seen.changes === 1)
    writeFileSync(join(root, 'next'), '2')
    renameSync(join(root, 'next'), join(directory, 'a'))
    await eventually('the replacement', () => seen.changes === 2)
    unlinkSync(join(directory, 'a'))
    await eventually('the removal', () => seen.changes === 3)
  })

  it('notices the swap of a link, as a mounted Secret is updated', async () => {
    const directory = folder()
    for (const version of ['1', '2']) {
      mkdirSync(join(directory, `..v${version}`))
      writeFileSync(join(directory, `..v${version}`, 'token'), version)
    }
    symlinkSync('..v1', join(directory, '..data'))
    symlinkSync('..data/token', join(directory, 'token'))
    const seen = watched(directory)
    symlinkSync('..v2', join(directory, '..data_tmp'))
    renameSync(join(directory, '..data_tmp'), join(directory, '..data'))
    await eventually('the swap', () => seen.changes > 0)
    expect(await readFile(join(directory, 'token'), 'utf8')).toBe('2')
  })

  it('waits for a directory that is not there yet, and follows one that is made again', async () => {
    const directory = join(folder(), 'later')
    const seen = watched(directory)
    mkdirSync(directory)
    writeFileSync(join(directory, 'a'), '1')
    await eventually('the directory', () => seen.changes > 0)
    rmSync(directory, { recursive: true })
    await eventually('its removal', () => seen.changes > 1)
    mkdirSync(directory)
    writeFileSync(join(directory, 'a'), '3')
    await eventually('the new one', () => seen.changes > 2)
  })

  it('says nothing after it has been closed', async () => {
    const directory = folder()
    const closed = watched(directory)
    watches.pop()!.close()
    const open = watched(directory)
    writeFileSync(join(directory, 'a'), '1')
    await eventually('the change', () => open.changes > 0)
    expect(closed.changes).toBe(0)
  })
})

describe('writing a file at once', () => {
  it('replaces the content, for the owner only, and leaves nothing else behind', async () => {
    const path = join(folder(), 'made', 'state.json')
    await writeFileAtomic(path, 'one')
    await writeFileAtomic(path, 'two')
    expect(await readFile(path, 'utf8')).toBe('two')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(await readdir(join(path, '..'))).toEqual(['state.json'])
  })

  it('never shows a reader half of it', async () => {
    const path = join(folder(), 'state')
    const contents = ['a', 'b'].map(letter => letter.repeat(200_000))
    await writeFileAtomic(path, contents[0]!)
    const writes = (async () => {
      for (let i = 0; i < 20; i++) await writeFileAtomic(path, contents[i % 2]!)
    })()
    for (let i = 0; i < 50; i++) expect(contents).toContain(await readFile(path, 'utf8'))
    await writes
  })
})
