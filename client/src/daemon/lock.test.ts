import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { takeLock } from './lock.ts'

const dirs: string[] = []
const home = () => {
  const dir = mkdtempSync(join(tmpdir(), 'sp-lock-'))
  dirs.push(dir)
  return dir
}
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true })
})

/** The pid of a process that has ended. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', '0'])
  await new Promise(resolve => child.on('close', resolve))
  return child.pid ?? 0
}

it('a lock is held by one until it lets go', () => {
  const dir = home()
  const lock = takeLock(dir, process.pid)
  if ('heldBy' in lock) throw new Error('not taken')
  expect(takeLock(dir, process.ppid)).toEqual({ heldBy: process.pid })
  lock.release()
  expect('release' in takeLock(dir, process.ppid)).toBe(true)
  expect(readdirSync(dir)).toEqual(['daemon.lock'])
})

it.each(['a process that is gone', 'garbage'])('a lock of %s is taken over', async whose => {
  const dir = home()
  writeFileSync(join(dir, 'daemon.lock'), whose === 'garbage' ? '???' : String(await deadPid()))
  expect('release' in takeLock(dir)).toBe(true)
  expect(readFileSync(join(dir, 'daemon.lock'), 'utf8')).toBe(`${process.pid}\n`)
  expect(readdirSync(dir)).toEqual(['daemon.lock'])
})

it('a lock that another has taken meanwhile is not let go', () => {
  const dir = home()
  const lock = takeLock(dir)
  writeFileSync(join(dir, 'daemon.lock'), `${process.ppid}\n`)
  if ('release' in lock) lock.release()
  expect(readFileSync(join(dir, 'daemon.lock'), 'utf8')).toBe(`${process.ppid}\n`)
})
