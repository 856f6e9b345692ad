import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Attempts at a lock that others let go of at the same moment. */
const MAX_ATTEMPTS = 8

/** Held by the one daemon of a state directory. */
export type Lock = {
  /** False when somebody has removed it or taken it over. */
  isHeld(): boolean
  release(): void
}

/** Takes the lock of `home` for this process; the pid of who holds it otherwise. A lock whose process is gone is taken over. */
export function takeLock(home: string, pid: number = process.pid): Lock | { heldBy: number } {
  const path = join(home, 'daemon.lock')
  const own = join(home, `daemon.lock.${pid}`)
  writeFileSync(own, `${pid}\n`, { mode: 0o600 })
  try {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (linked(own, path)) return { isHeld: () => holderOf(path) === pid, release: () => release(path, pid) }
      const holder = holderOf(path)
      if (holder === undefined) continue
      if (holder !== pid && isAlive(holder)) return { heldBy: holder }
      discard(path, holder, own)
    }
    return { heldBy: holderOf(path) ?? 0 }
  } finally {
    rmSync(own, { force: true })
  }
}

function linked(own: string, path: string): boolean {
  try {
    // Fails when there is one already: of several that try, one gets it.
    linkSync(own, path)
    return true
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false
    throw error
  }
}

/** Removes the lock of a process that is gone, but never one that another has taken meanwhile. */
function discard(path: string, holder: number, own: string): void {
  const aside = `${own}.old`
  try {
    renameSync(path, aside)
    if (holderOf(aside) !== holder) linked(aside, path)
    rmSync(aside, { force: true })
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error
  }
}

function release(path: string, pid: number): void {
  if (holderOf(path) === pid) rmSync(path, { force: true })
}

function holderOf(path: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(path, 'utf8'), 10)
    return Number.isInteger(pid) && pid > 0 ? pid : -1
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined
    throw error
  }
}

function isAlive(pid: number): boolean {
  if (pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return isCode(error, 'EPERM')
  }
}

const isCode = (error: unknown, code: string) => error instanceof Error && 'code' in error && error.code === code
