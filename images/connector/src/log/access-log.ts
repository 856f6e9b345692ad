import { appendFile, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, type Log, Supervisor, type Timer } from '@sallyport/runtime'
import { AccessLogRecord, parser } from '@sallyport/schema'

/** Records of one file; a file is removed when the Controller has them all. */
const SEGMENT_RECORDS = 500
/** Most records that wait for the Controller; beyond, the oldest file is given up, counted and logged. */
export const MAX_WAITING_RECORDS = 100_000
/** Records of one message. */
const BATCH_RECORDS = 500
/** How long records gather before they are written and sent. */
const GATHER_MS = 50

type Segment = { name: string; waiting: Map<string, AccessLogRecord>; size: number }

const recordParser = parser(AccessLogRecord)

export type AccessLogOptions = {
  directory: string
  clock: Clock
  log: Log
  /** Sends records to the Controller; false when there is no connection. */
  send: (records: AccessLogRecord[]) => boolean
  onDropped: (records: number) => void
}

/** Records on their way to the Controller: on disk until it has acknowledged them, sent at least once. */
export class AccessLog {
  readonly #options: AccessLogOptions
  readonly #writes: Supervisor
  #segments: Segment[] = []
  #fresh: AccessLogRecord[] = []
  #inFlight = new Set<string>()
  #gather: Timer | undefined
  #writing: Promise<void> = Promise.resolve()
  #number = 0
  #onEmpty: (() => void)[] = []

  private constructor(options: AccessLogOptions) {
    this.#options = options
    this.#writes = new Supervisor((name, error) =>
      options.log.error({ err: error, task: name }, 'access log not written'),
    )
  }

  /** Opens the log with what waits from earlier. */
  static async open(options: AccessLogOptions): Promise<AccessLog> {
    const log = new AccessLog(options)
    await mkdir(options.directory, { recursive: true, mode: 0o700 })
    for (const name of (await readdir(options.directory)).filter(name => name.endsWith('.jsonl')).sort()) {
      await log.#load(name)
    }
    return log
  }

  /** Records that the Controller has not acknowledged. */
  get waiting(): number {
    return this.#segments.reduce((sum, { waiting }) => sum + waiting.size, this.#fresh.length)
  }

  add(record: AccessLogRecord): void {
    this.#fresh.push(record)
    this.#gather ??= this.#options.clock.timer(GATHER_MS, () => this.#flush())
  }

  /** There is a new connection: what was in flight is sent again. */
  connected(): void {
    this.#inFlight.clear()
    this.#flush()
  }

  /** The Controller has these. */
  acknowledged(ids: readonly string[]): void {
    for (const id of ids) {
      this.#inFlight.delete(id)
      for (const segment of this.#segments) if (segment.waiting.delete(id)) break
    }
    this.#prune()
    this.#sendNext()
    if (this.waiting === 0) for (const resolve of this.#onEmpty.splice(0)) resolve()
  }

  /** Writes what is new, and waits up to `timeoutMs` for the Controller to acknowledge all. */
  async close(timeoutMs: number): Promise<void> {
    this.#flush()
    if (this.waiting > 0 && timeoutMs > 0) {
      await new Promise<void>(resolve => {
        const timer = this.#options.clock.timer(timeoutMs, resolve)
        this.#onEmpty.push(() => {
          timer.cancel()
          resolve()
        })
      })
    }
    await this.#writes.settled()
  }

  #flush(): void {
    this.#gather?.cancel()
    this.#gather = undefined
    for (let at = 0; at < this.#fresh.length; ) {
      const segment = this.#openSegment()
      const records = this.#fresh.slice(at, at + SEGMENT_RECORDS - segment.size)
      at += records.length
      segment.size += records.length
      for (const record of records) segment.waiting.set(record.id, record)
      this.#append(segment.name, records)
    }
    this.#fresh = []
    this.#limit()
    this.#sendNext()
  }

  #openSegment(): Segment {
    const last = this.#segments.at(-1)
    if (last !== undefined && last.size < SEGMENT_RECORDS) return last
    const segment = { name: segmentName(++this.#number), waiting: new Map(), size: 0 }
    this.#segments.push(segment)
    return segment
  }

  #sendNext(): void {
    if (this.#inFlight.size > 0) return
    const records: AccessLogRecord[] = []
    for (const { waiting } of this.#segments) {
      for (const record of waiting.values()) {
        if (records.length === BATCH_RECORDS) break
        records.push(record)
      }
    }
    if (records.length > 0 && this.#options.send(records)) for (const { id } of records) this.#inFlight.add(id)
  }

  #limit(): void {
    while (this.waiting > MAX_WAITING_RECORDS) {
      const oldest = this.#segments.shift()
      if (oldest === undefined) return
      this.#remove(oldest.name)
      this.#options.onDropped(oldest.waiting.size)
      this.#options.log.warn(
        { records: oldest.waiting.size },
        'access log records given up: too many wait for the Controller',
      )
    }
  }

  /** Removes files whose records are all acknowledged; the last one is kept while it still takes records. */
  #prune(): void {
    const done = this.#segments.filter(({ waiting, size }) => waiting.size === 0 && size > 0)
    this.#segments = this.#segments.filter(segment => !done.includes(segment))
    for (const { name } of done) this.#remove(name)
  }

  async #load(name: string): Promise<void> {
    const text = await readFile(join(this.#options.directory, name), 'utf8')
    const waiting = new Map<string, AccessLogRecord>()
    for (const line of text.split('\n')) {
      const record = parseLine(line)
      if (record !== undefined) waiting.set(record.id, record)
    }
    this.#number = Math.max(this.#number, Number.parseInt(name, 10) || 0)
    // Full for good: what comes goes into a new file.
    this.#segments.push({ name, waiting, size: SEGMENT_RECORDS })
    this.#prune()
  }

  #append(name: string, records: AccessLogRecord[]): void {
    const text = records.map(record => `${JSON.stringify(record)}\n`).join('')
    this.#write(() => appendFile(join(this.#options.directory, name), text, { mode: 0o600 }))
  }

  #remove(name: string): void {
    this.#write(() => rm(join(this.#options.directory, name), { force: true }))
  }

  /** One after the other, so that a file is not made again after it was removed. */
  #write(act: () => Promise<void>): void {
    const write = this.#writing.then(act)
    this.#writing = write.catch(() => undefined)
    this.#writes.run('access log', write)
  }
}

/** A process that was killed may leave half a line. */
function parseLine(line: string): AccessLogRecord | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return recordParser.check(value) ? value : undefined
  } catch {
    return undefined
  }
}

const segmentName = (number: number) => `${String(number).padStart(10, '0')}.jsonl`
