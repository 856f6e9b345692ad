import type { ErrorBody } from '@sallyport/schema'

/** Every way in which the edges of a process can fail for reasons outside of it. */
export const runtimeErrorCodes = {
  invalid_config: 'Environment, flags or configuration file are not what the process needs; every problem is listed.',
  name_not_found: 'The name of the other side does not resolve.',
  refused: 'The other side refused the connection.',
  unreachable: 'There is no way to the other side.',
  timeout: 'The other side did not answer in time.',
  aborted: 'The caller gave up.',
  proxy_failed: 'The HTTP proxy did not make the connection.',
  tls_failed: 'The other side did not prove to be who it must be.',
  connection_lost: 'The connection ended before the answer.',
  bad_answer: 'The answer is not what it must be.',
  pin_mismatch: 'No certificate of the other side has the pinned key.',
} as const

export type RuntimeErrorCode = keyof typeof runtimeErrorCodes

/** A failure at the edge of a process. Messages never contain a secret. */
export class RuntimeError extends Error {
  override readonly name: string = 'RuntimeError'
  readonly code: RuntimeErrorCode

  constructor(code: RuntimeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** An answer of the Controller that is not a success; `code` is that of its table of errors. */
export class ControllerError extends Error {
  override readonly name = 'ControllerError'
  readonly status: number
  readonly code: string
  readonly fields: NonNullable<ErrorBody['fields']>

  constructor(status: number, { error, message, fields = [] }: ErrorBody) {
    super(message)
    this.status = status
    this.code = error
    this.fields = fields
  }
}

/** Puts what Node says of a failed connection into one of our codes. */
export function connectionError(what: string, cause: unknown): RuntimeError {
  if (cause instanceof RuntimeError) return cause
  const { code, detail } = describe(cause)
  return new RuntimeError(code, `${what}: ${detail}`, { cause })
}

function describe(cause: unknown): { code: RuntimeErrorCode; detail: string } {
  if (cause instanceof AggregateError && cause.errors.length > 0) {
    const told = cause.errors.map(describe)
    return { code: told[0]!.code, detail: told.map(({ detail }) => detail).join('; ') }
  }
  const detail = cause instanceof Error ? cause.message : String(cause)
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  if (cause instanceof Error && cause.name === 'AbortError') return { code: 'aborted', detail }
  if (code === 'ECONNREFUSED') return { code: 'refused', detail }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'ENODATA') return { code: 'name_not_found', detail }
  if (code === 'ETIMEDOUT') return { code: 'timeout', detail }
  if (code === 'ECONNRESET' || code === 'EPIPE' || code === 'ECONNABORTED') return { code: 'connection_lost', detail }
  if (code.startsWith('ERR_TLS') || code.startsWith('ERR_SSL') || TLS_CODES.test(code)) {
    return { code: 'tls_failed', detail }
  }
  return { code: 'unreachable', detail }
}

/** OpenSSL's verdicts on certificates, as Node names them. */
const TLS_CODES = /CERT|SELF_SIGNED|UNABLE_TO|HOSTNAME_MISMATCH|CRL|INVALID_(CA|PURPOSE)/
