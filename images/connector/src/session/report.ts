import type { FromConnector, LiveSession } from '@sallyport/schema'

/** Sessions in one message. */
const MAX_REPORTED = 5_000

/** Messages that say which sessions there are: the first replaces what was said before, the others add to it. */
export function* sessionMessages(
  sessions: readonly LiveSession[],
): Generator<Extract<FromConnector, { type: 'sessions' }>> {
  for (let at = 0; at === 0 || at < sessions.length; at += MAX_REPORTED)
    yield { type: 'sessions', complete: at === 0, sessions: sessions.slice(at, at + MAX_REPORTED) }
}
