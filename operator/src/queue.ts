import { Backoff, type Clock, type Timer } from '@sallyport/runtime'

/** Keys that are worked on at the same time. */
const CONCURRENCY = 16
/** Longest wait at the end for what runs. */
const CLOSE_MS = 10_000

export type QueueOptions = {
  clock: Clock
  /** Brings one key to rest. Answers when it wants to be called again, in milliseconds since the epoch. Rejects to be called again with back-off. */
  work: (key: string) => Promise<number | undefined>
  onError: (key: string, error: unknown) => void
  /** From 0 up to, not including, 1. */
  random: () => number
  /** Whether someone waits for work on a key: it goes before all that nobody waits for. */
  isAwaited: (key: string) => boolean
  concurrency?: number
}

type Entry = { backoff: Backoff; wake?: { atMs: number; timer: Timer }; running: boolean; dirty: boolean }

/** Work by key: one worker at a time for each, many requests are one, failures are tried again with back-off. */
export class Queue {
  readonly #options: QueueOptions
  readonly #entries = new Map<string, Entry>()
  readonly #awaited = new Set<string>()
  readonly #ready = new Set<string>()
  readonly #idle = new Set<() => void>()
  #running = 0
  #closed = false

  constructor(options: QueueOptions) {
    this.#options = options
  }

  /** Asks for work on `key` as soon as may be. */
  add(key: string): void {
    if (this.#closed) return
    const entry = this.#entry(key)
    if (entry.running) entry.dirty = true
    else this.#enqueue(key)
    this.#pump()
  }

  /** Asks for work on `key` at a time, unless it is asked for sooner. */
  addAt(key: string, atMs: number): void {
    if (this.#closed) return
    const entry = this.#entry(key)
    if (entry.wake !== undefined && entry.wake.atMs <= atMs) return
    entry.wake?.timer.cancel()
    const { clock } = this.#options
    const timer = clock.timer(Math.max(0, atMs - clock.now()), () => {
      delete entry.wake
      this.add(key)
    })
    entry.wake = { atMs, timer }
  }

  /** Nothing runs and nothing waits but for its time. */
  get isIdle(): boolean {
    return this.length === 0
  }

  get length(): number {
    return this.#awaited.size + this.#ready.size + this.#running
  }

  /** Begins nothing more; resolves when what runs has ended, or after 10 s. */
  async close(): Promise<void> {
    this.#closed = true
    this.#awaited.clear()
    this.#ready.clear()
    for (const { wake } of this.#entries.values()) wake?.timer.cancel()
    if (this.#running === 0) return
    await new Promise<void>(resolve => {
      const timer = this.#options.clock.timer(CLOSE_MS, resolve)
      this.#idle.add(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  /** Whether nothing more is begun: work of many steps ends before its next. */
  get isClosed(): boolean {
    return this.#closed
  }

  #entry(key: string): Entry {
    const known = this.#entries.get(key)
    if (known !== undefined) return known
    const entry = { backoff: new Backoff(this.#options.random), running: false, dirty: false }
    this.#entries.set(key, entry)
    return entry
  }

  #enqueue(key: string): void {
    if (this.#awaited.has(key)) return
    if (!this.#options.isAwaited(key)) {
      this.#ready.add(key)
      return
    }
    this.#ready.delete(key)
    this.#awaited.add(key)
  }

  #pump(): void {
    for (const keys of [this.#awaited, this.#ready])
      for (const key of keys) {
        if (this.#running >= (this.#options.concurrency ?? CONCURRENCY)) return
        keys.delete(key)
        void this.#run(key, this.#entry(key))
      }
  }

  async #run(key: string, entry: Entry): Promise<void> {
    this.#running++
    entry.running = true
    entry.dirty = false
    try {
      const againAtMs = await this.#options.work(key)
      entry.backoff.reset()
      entry.wake?.timer.cancel()
      delete entry.wake
      if (againAtMs !== undefined) this.addAt(key, againAtMs)
    } catch (error) {
      this.#options.onError(key, error)
      this.addAt(key, this.#options.clock.now() + Math.max(50, entry.backoff.next()))
    }
    entry.running = false
    this.#running--
    if (entry.dirty && !this.#closed) this.#enqueue(key)
    else if (entry.wake === undefined) this.#entries.delete(key)
    this.#pump()
    if (this.#running === 0) for (const resolve of this.#idle) resolve()
  }
}
