import type { IncomingMessage } from 'node:http'
import { ErrorBody, parser } from '@sallyport/schema'
import type { Clock } from '../clock.ts'
import type { LinkEndCode } from './link.ts'

/** Longest answer to an upgrade that is read. */
const MAX_REFUSAL_BYTES = 64 * 1024

/** Why there is no connection: as of a link, or it was never made: `refused` by an HTTP status, or `unreachable`. */
export type ChannelEnd = {
  code: LinkEndCode | 'refused' | 'unreachable'
  message: string
  /** HTTP status of a refusal. */
  status?: number
  /** Code of the Controller's error table in a refusal. */
  error?: string
}

const errorBody = parser(ErrorBody)

/** Reads the answer to an upgrade that was refused; what does not come in time counts for nothing. */
export async function readRefusal(response: IncomingMessage, clock: Clock, timeoutMs: number): Promise<ChannelEnd> {
  const status = response.statusCode ?? 0
  const timer = clock.timer(timeoutMs, () => response.destroy())
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > MAX_REFUSAL_BYTES) break
      chunks.push(chunk)
    }
  } catch {
    // What has arrived is enough to name the status.
  } finally {
    timer.cancel()
  }
  const body = parseJson(Buffer.concat(chunks).toString())
  if (!errorBody.check(body)) return { code: 'refused', status, message: `answered ${status} to the upgrade` }
  return { code: 'refused', status, error: body.error.slice(0, 64), message: body.message.slice(0, 500) }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
