import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Log, refuseUpgrade } from '@sallyport/runtime'
import { ApiError } from '../error.ts'

/** A request to become a control channel; `path` is without query. */
export type Upgrade = { request: IncomingMessage; socket: Duplex; head: Buffer; path: string }
export type UpgradeHandler = (upgrade: Upgrade) => Promise<void>

/** Paths of the control channels. */
export const CHANNEL_PATHS = ['/v1/connector', '/v1/client', '/v1/operator'] as const
export type ChannelPath = (typeof CHANNEL_PATHS)[number]

/** Hands upgrade requests of `server` to the handler of their path; a refusal is answered as any other request's is. */
export function serveUpgrades(
  server: Server,
  handlers: Readonly<Record<ChannelPath, UpgradeHandler>>,
  { log, isStopping }: { log: Log; isStopping: () => boolean },
): void {
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const onError = () => socket.destroy()
    socket.on('error', onError)
    const path = (request.url ?? '').split('?')[0] ?? ''
    const known = CHANNEL_PATHS.find(candidate => candidate === path)
    const serve = async () => {
      if (isStopping()) throw new ApiError('unavailable')
      if (known === undefined) throw new ApiError('not_found')
      await handlers[known]({ request, socket, head, path })
    }
    serve().catch(error => {
      const refusal = error instanceof ApiError ? error : new ApiError('internal', undefined, { cause: error })
      if (refusal.code === 'internal') log.error({ err: error, path }, 'control channel failed')
      else log.info({ path, code: refusal.code, detail: causeOf(refusal) }, 'control channel refused')
      refuseUpgrade(socket, refusal.status, refusal.body())
    })
  })
}

const causeOf = ({ cause, message }: ApiError) => (cause instanceof Error ? cause.message : message)
