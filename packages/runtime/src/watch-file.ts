import { type FSWatcher, readdirSync, statSync, watch } from 'node:fs'
import { join } from 'node:path'
import { type Clock, systemClock, type Timer } from './clock.ts'

/** Quiet time after which an edit counts as done. */
const DEBOUNCE_MS = 20
/** Longest time that an edit waits for quiet. */
const MAX_DEBOUNCE_MS = 60
/** Interval at which the directory is read in case the kernel's notices fail. */
const POLL_MS = 1_000
/** Most files that are looked at. */
const MAX_FILES = 10_000

/** Watches a directory. */
export type DirectoryWatch = { close(): void }

/**
 * Calls `onChange` after files in `directory` have been written, replaced, added or removed, also by the swap of a symbolic link (as a mounted
 * Secret is updated); not for what is there when it is called: begin to watch, then read. The directory may come into being later. Notices
 * within 100 ms as a rule, within about a second always. Subdirectories are looked into when `recursive`. Names that begin with a dot are
 * passed over.
 */
export function watchDirectory(
  directory: string,
  onChange: () => void,
  { clock = systemClock, recursive = false }: { clock?: Clock; recursive?: boolean } = {},
): DirectoryWatch {
  let closed = false
  let watcher: FSWatcher | undefined
  let watched: string | undefined
  let debounce: Timer | undefined
  let noticedAt: number | undefined
  let poll: Timer | undefined

  const rewatch = () => {
    const identity = identityOf(directory)
    if (identity === watched) return
    watcher?.close()
    watcher = undefined
    watched = undefined
    if (identity === undefined) return
    try {
      watcher = watch(directory, { recursive }, notice)
      watcher.on('error', () => {
        watcher?.close()
        watched = undefined
      })
      watched = identity
    } catch {
      // It vanished this moment, or the kernel has no notices left: the poll sees what happens.
    }
  }
  const notice = () => {
    const now = clock.monotonic()
    noticedAt ??= now
    debounce?.cancel()
    const waitMs = Math.min(DEBOUNCE_MS, noticedAt + MAX_DEBOUNCE_MS - now)
    debounce = clock.timer(waitMs, look)
  }
  const look = () => {
    noticedAt = undefined
    if (closed) return
    rewatch()
    const seen = signatureOf(directory, recursive)
    if (seen === known) return
    known = seen
    onChange()
  }
  const tick = () => {
    poll = clock.timer(POLL_MS, tick)
    look()
  }

  rewatch()
  let known = signatureOf(directory, recursive)
  poll = clock.timer(POLL_MS, tick)
  return {
    close: () => {
      closed = true
      debounce?.cancel()
      poll?.cancel()
      watcher?.close()
    },
  }
}

function identityOf(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false })
  return found === undefined ? undefined : `${found.dev}:${found.ino}`
}

function signatureOf(directory: string, recursive: boolean): string {
  const lines: string[] = []
  const visit = (folder: string): void => {
    for (const name of namesIn(folder)) {
      if (lines.length >= MAX_FILES) return
      const path = join(folder, name)
      const found = statSync(path, { bigint: true, throwIfNoEntry: false })
      if (found === undefined) lines.push(`${path} -`)
      else if (!found.isDirectory()) lines.push(`${path} ${found.ino} ${found.size} ${found.mtimeNs}`)
      else if (recursive) visit(path)
    }
  }
  visit(directory)
  return lines.join('\n')
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter(name => !name.startsWith('.'))
      .sort()
  } catch {
    // Not there, or not any more: as good as empty.
    return []
  }
}
