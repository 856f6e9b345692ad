import type { DatabaseSync } from 'node:sqlite'
import { type Clock, type Log, sleep } from '@sallyport/runtime'
import { openFile } from './sqlite.ts'

const RETRY_MS = 200
/** SQLITE_BUSY: another process has the lock. */
const BUSY = 5

/**
 * Keeps every other Controller away from the database at `path` until it is closed, or the process has ended, however that was: two that write
 * would sign by states that differ. Waits for one that is still ending. Throws Error after `waitSeconds`.
 *
 * The lock is SQLite's own, on a file beside the database, so that the database stays open to a backup.
 */
export async function lockDatabase(
  path: string,
  {
    waitSeconds,
    clock,
    log,
    signal,
  }: { waitSeconds: number; clock: Clock; log: Log; signal?: AbortSignal | undefined },
): Promise<{ close(): void }> {
  const untilMs = clock.monotonic() + waitSeconds * 1000
  for (let told = false; ; told = true) {
    const lock = tryLock(path)
    if (lock !== undefined) return lock
    if (clock.monotonic() >= untilMs)
      throw new Error(`database.path ${path}: another Controller still has it after ${waitSeconds} s; only one may run`)
    if (!told) log.warn({ path }, 'waiting for another Controller to leave the database')
    await sleep(clock, RETRY_MS, signal)
  }
}

function tryLock(path: string): DatabaseSync | undefined {
  const database = openFile(path, '-lock')
  try {
    database.exec('begin exclusive')
    return database
  } catch (error) {
    database.close()
    if ((error as { errcode?: number }).errcode === BUSY) return undefined
    throw error
  }
}
