import { hostname } from 'node:os'
import { configFromEnvironment, type LogLevel, type ProxySettings, proxyFromEnvironment } from '@sallyport/runtime'
import { ClientConfigSchema } from '@sallyport/schema'
import { homeOf } from './local/home.ts'

/** Configuration of the daemon. */
export type DaemonConfig = {
  /** State directory. */
  home: string
  logLevel: LogLevel
  idleMs: number
  openTimeoutMs: number
  proxy: ProxySettings
  /** Shown to admins. */
  host: string
  platform: string
}

type Environment = Readonly<Record<string, string | undefined>>

/** Reads the environment. Throws ConfigError with all problems. */
export function readDaemonConfig(environment: Environment = process.env): DaemonConfig {
  const config = configFromEnvironment(ClientConfigSchema, environment)
  return {
    home: homeOf(environment),
    logLevel: config.SALLYPORT_LOG_LEVEL ?? 'info',
    idleMs: (config.SALLYPORT_SESSION_IDLE_SECONDS ?? 300) * 1000,
    openTimeoutMs: (config.SALLYPORT_OPEN_TIMEOUT_SECONDS ?? 20) * 1000,
    proxy: proxyFromEnvironment(environment),
    host: hostname().slice(0, 253),
    platform: `${process.platform} ${process.arch}`,
  }
}
