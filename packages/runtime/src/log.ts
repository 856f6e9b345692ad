import { type DestinationStream, type Logger, pino } from 'pino'

/** JSON lines; `log.info({ field }, 'sentence')`. */
export type Log = Logger

/** Levels of a process's log. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

const REDACTED_NAMES = [
  'token',
  'refreshToken',
  'accessToken',
  'authorization',
  'password',
  'secret',
  'clientSecret',
  'privateKey',
  'privateKeyPem',
  'jwt',
  'pass',
  'assertion',
  'cookie',
]

/** Log of the process `name`: one JSON object a line, to stdout unless `destination` says otherwise. */
export function createLog(name: string, level: LogLevel | 'silent' = 'info', destination?: DestinationStream): Log {
  const options = {
    name,
    level,
    base: { name },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: REDACTED_NAMES.flatMap(path => [path, `*.${path}`, `*.*.${path}`]), censor: '[redacted]' },
  }
  // Written at once and in order: what a process says last is what one needs when it has died.
  return pino(options, destination ?? pino.destination({ dest: 1, sync: true }))
}

/** A log that writes nothing; for tests. */
export const silentLog: Log = pino({ level: 'silent' })
