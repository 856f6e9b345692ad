import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ResetCode } from '@sallyport/wire'
import { StreamResetError } from './error.ts'
import { TunnelStream } from './stream.ts'

/** Bytes written to one side and not yet taken, beyond which the other side is not read. */
const HIGH_WATER_BYTES = 512 * 1024
const LOW_WATER_BYTES = 256 * 1024
/** The same for the number of writes, which cost memory of their own. */
const HIGH_WATER_WRITES = 256
const LOW_WATER_WRITES = 128

/** How one side of a pump ended: with its last byte, or cut. */
export type PumpEnd = { kind: 'ended' } | { kind: 'reset'; code: ResetCode; error?: Error }

/** What a pump has moved, and how each side ended by itself; `ended` for the side that was cut because of the other. */
export type PumpResult = { aToB: number; bToA: number; a: PumpEnd; b: PumpEnd }

/** A pump under way: the counts can be read at any time. */
export type Pump = { readonly aToB: number; readonly bToA: number; readonly done: Promise<PumpResult> }

/**
 * Splices two duplexes with half close: what one reads the other writes, the end of one ends the other's writing side,
 * and a cut of one (RST, RESET, destroy) cuts the other. Sockets must have `allowHalfOpen`. `done` never rejects.
 */
export function pump(a: Duplex, b: Duplex): Pump {
  const there = new OneWay(a, b)
  const back = new OneWay(b, a)
  const done = new Promise<PumpResult>(resolve => {
    const ends: { a?: PumpEnd; b?: PumpEnd } = {}
    const watch = (side: 'a' | 'b', self: Duplex, other: Duplex) => {
      let error: Error | undefined
      self.on('error', cause => {
        error ??= cause
      })
      const onClose = () => {
        const whole = self.readableEnded && self.writableFinished && error === undefined
        const end = whole || ends[side] !== undefined ? ENDED : cutOf(error)
        ends[side] ??= end
        if (ends.a !== undefined && ends.b !== undefined && a.closed && b.closed) {
          resolve({ aToB: there.bytes, bToA: back.bytes, a: ends.a, b: ends.b })
          return
        }
        if (end.kind === 'ended' || other.destroyed) return
        ends[side === 'a' ? 'b' : 'a'] = ENDED
        cut(other, end.code)
      }
      if (self.closed) queueMicrotask(onClose)
      else self.once('close', onClose)
    }
    watch('a', a, b)
    watch('b', b, a)
  })
  return {
    get aToB() {
      return there.bytes
    },
    get bToA() {
      return back.bytes
    },
    done,
  }
}

const ENDED: PumpEnd = { kind: 'ended' }

/** One direction of a pump: few and large writes, reading stopped while the other side is slow. */
class OneWay {
  bytes = 0
  readonly #from: Duplex
  readonly #to: Duplex
  readonly #corks: boolean
  #writes = 0
  #corked = false
  #paused = false

  constructor(from: Duplex, to: Duplex) {
    this.#from = from
    this.#to = to
    this.#corks = to instanceof Socket
    from.on('data', this.#onData)
    from.once('end', () => {
      if (!to.destroyed) to.end()
    })
  }

  readonly #onData = (chunk: Uint8Array): void => {
    const to = this.#to
    this.bytes += chunk.length
    if (to.destroyed) return
    if (this.#corks && !this.#corked) {
      this.#corked = true
      to.cork()
      setImmediate(this.#uncork)
    }
    this.#writes++
    to.write(chunk, this.#onWritten)
    if (to.writableLength < HIGH_WATER_BYTES && this.#writes < HIGH_WATER_WRITES) return
    this.#paused = true
    this.#from.pause()
  }

  readonly #uncork = (): void => {
    this.#corked = false
    this.#to.uncork()
  }

  readonly #onWritten = (): void => {
    this.#writes--
    if (!this.#paused || this.#to.writableLength > LOW_WATER_BYTES || this.#writes > LOW_WATER_WRITES) return
    this.#paused = false
    this.#from.resume()
  }
}

function cutOf(error: Error | undefined): PumpEnd {
  const code = error instanceof StreamResetError ? error.code : 'closed'
  return error === undefined ? { kind: 'reset', code } : { kind: 'reset', code, error }
}

/** Ends a side so that its peer sees a cut, not an end. */
function cut(side: Duplex, code: ResetCode): void {
  if (side instanceof TunnelStream) side.destroy(new StreamResetError(code))
  else if (side instanceof Socket) side.resetAndDestroy()
  else side.destroy()
}
