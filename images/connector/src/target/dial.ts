import { connect, type Socket } from 'node:net'
import type { Clock } from '@sallyport/runtime'
import type { ResetCode } from '@sallyport/wire'
import { dialFailure, worstFailure } from './choose.ts'

/** Time after which the next address is tried beside the one that has not answered (RFC 8305, section 5). */
const ATTEMPT_DELAY_MS = 250

/** A connection to a Resource, or why there is none. */
export type Dialled = { socket: Socket } | { code: ResetCode }

/**
 * Connects to the first of `addresses` that answers, each the very address that was checked. Never rejects; when `signal` aborts, all attempts
 * end and the code is `cancelled`.
 */
export function dialAddresses(
  addresses: readonly string[],
  port: number,
  { clock, timeoutMs, signal }: { clock: Clock; timeoutMs: number; signal: AbortSignal },
): Promise<Dialled> {
  return new Promise(resolve => {
    const attempts = new Set<Socket>()
    const failures: ResetCode[] = []
    let next = 0
    let settled = false
    const settle = (result: Dialled) => {
      if (settled) return
      settled = true
      signal.removeEventListener('abort', onAbort)
      deadline.cancel()
      stagger?.cancel()
      for (const socket of attempts) socket.destroy()
      resolve(result)
    }
    const attempt = () => {
      const address = addresses[next++]
      if (address === undefined) return
      const socket = connect({ host: address, port, allowHalfOpen: true, noDelay: true })
      attempts.add(socket)
      const onError = (error: NodeJS.ErrnoException) => {
        attempts.delete(socket)
        failures.push(dialFailure(error.code))
        if (attempts.size === 0 && next >= addresses.length) return settle({ code: worstFailure(failures) })
        if (next < addresses.length) later(0)
      }
      socket.once('error', onError)
      socket.once('connect', () => {
        attempts.delete(socket)
        if (settled) return socket.destroy()
        socket.off('error', onError)
        settle({ socket })
      })
      later(ATTEMPT_DELAY_MS)
    }
    const later = (delayMs: number) => {
      stagger?.cancel()
      stagger = next < addresses.length ? clock.timer(delayMs, attempt) : undefined
    }
    const onAbort = () => settle({ code: 'cancelled' })
    let stagger: { cancel(): void } | undefined
    const deadline = clock.timer(timeoutMs, () => settle({ code: worstFailure([...failures, 'timeout']) }))
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    if (addresses.length === 0) settle({ code: 'unreachable' })
    else attempt()
  })
}
