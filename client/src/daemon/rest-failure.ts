import { ControllerError } from '@sallyport/runtime'
import { ClientError } from '../error.ts'

/** Puts a failed request into words for people. */
export function restFailure(error: unknown): ClientError {
  if (error instanceof ClientError) return error
  if (error instanceof ControllerError) {
    if (error.status === 401) return new ClientError('not_logged_in', error.message, { cause: error })
    if (error.status === 403) return new ClientError('forbidden', error.message, { cause: error })
    return new ClientError('controller_refused', `${error.code}: ${error.message}`, { cause: error })
  }
  const message = error instanceof Error ? error.message : String(error)
  return new ClientError('controller_down', message, { cause: error })
}
