import type { Duplex } from 'node:stream'
import { connectTcp, RuntimeError } from '@sallyport/runtime'
import { ClientError, type ClientErrorCode } from '../error.ts'

const CODES: Partial<Record<RuntimeError['code'], ClientErrorCode>> = {
  name_not_found: 'name_not_found',
  refused: 'refused',
  timeout: 'timeout',
  unreachable: 'unreachable',
}

/** Connects to a destination that is no Resource, as if there were no Sallyport. Throws ClientError. */
export async function dialDirect(host: string, port: number, signal: AbortSignal): Promise<Duplex> {
  try {
    const socket = await connectTcp(host, port, { signal })
    socket.allowHalfOpen = true
    return socket
  } catch (error) {
    const code = error instanceof RuntimeError ? CODES[error.code] : undefined
    throw new ClientError(code ?? 'failed', error instanceof Error ? error.message : String(error), { cause: error })
  }
}
