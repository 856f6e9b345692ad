import {
  configFromEnvironment,
  type HostPort,
  type LogLevel,
  type ProxySettings,
  proxyFromEnvironment,
  requireHostPort,
} from '@sallyport/runtime'
import { ConnectorConfigSchema } from '@sallyport/schema'

/** What a Connector runs with. */
export type ConnectorConfig = {
  /** Mounted Secret: `token`, `trust.json`. */
  directory: string
  stateDirectory: string
  metricsListen: HostPort
  logLevel: LogLevel
  /** Addresses of DNS servers; the system's resolver when absent. */
  resolvers?: string[]
  drainSeconds: number
  connectTimeoutMs: number
  proxy: ProxySettings
}

/** Reads the configuration of a Connector. Throws ConfigError with all problems. */
export function readConfig(environment: NodeJS.ProcessEnv = process.env): ConnectorConfig {
  const values = configFromEnvironment(ConnectorConfigSchema, environment)
  return {
    directory: values.SALLYPORT_CONNECTOR_DIR,
    stateDirectory: values.SALLYPORT_STATE_DIR,
    metricsListen: requireHostPort(values.SALLYPORT_METRICS_LISTEN),
    logLevel: values.SALLYPORT_LOG_LEVEL,
    ...(values.SALLYPORT_RESOLVER === undefined ? {} : { resolvers: values.SALLYPORT_RESOLVER.split(',') }),
    drainSeconds: values.SALLYPORT_DRAIN_SECONDS,
    connectTimeoutMs: values.SALLYPORT_CONNECT_TIMEOUT_SECONDS * 1000,
    proxy: proxyFromEnvironment(environment),
  }
}
