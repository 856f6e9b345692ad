import { ConfigError, createLog, type Log } from '@sallyport/runtime'
import { type DaemonConfig, readDaemonConfig } from '../config.ts'
import { ClientError } from '../error.ts'
import { Daemon, startDaemon } from './daemon.ts'

/** Time in which a failed start is explained. */
const EXPLAIN_MS = 100

/** Runs a daemon in this process until it is told to stop. `home` is the state directory of who has started it. Throws ClientError. */
export async function runDaemon(home: string | undefined): Promise<number> {
  const config = configOf(home)
  const log = createLog('sallyport', config.logLevel)
  try {
    const daemon = home === undefined ? await startDaemon(config, { log }) : await startFor(config, log)
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void daemon.close())
    process.on('SIGHUP', () => undefined) // The terminal of the verb that has started it may close.
    await daemon.ended
  } catch (error) {
    setTimeout(() => process.exit(), EXPLAIN_MS)
    throw error
  }
  // Not by running out of work: Node 24 was seen to wait for ever, at full load, for a handle of a broken connection to close.
  return process.exit(0)
}

/** Starts for a verb, which has made the state directory: where it is gone, the verb and its person are as well. */
async function startFor(config: DaemonConfig, log: Log): Promise<Daemon> {
  const daemon = new Daemon(config, { log })
  await daemon.start()
  return daemon
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
