import { ConfigError, createLog } from '@sallyport/runtime'
import { readDaemonConfig } from '../config.ts'
import { ClientError } from '../error.ts'
import { startDaemon } from './daemon.ts'

/** Runs a daemon in this process until it is told to stop. `home` is the state directory of who has started it. Throws ClientError. */
export async function runDaemon(home: string | undefined): Promise<number> {
  const config = configOf(home)
  const log = createLog('sallyport', config.logLevel)
  const daemon = await startDaemon(config, { log })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void daemon.close())
  process.on('SIGHUP', () => undefined) // The terminal of the verb that has started it may close.
  await daemon.ended
  return 0
}

function configOf(home: string | undefined) {
  try {
    const config = readDaemonConfig()
    return home === undefined ? config : { ...config, home }
  } catch (error) {
    if (error instanceof ConfigError) throw new ClientError('bad_config', error.message, { cause: error })
    throw error
  }
}
