import { configFromEnvironment, type HostPort, type LogLevel, requireHostPort } from '@sallyport/runtime'
import { RelayConfigSchema } from '@sallyport/schema'

/** What a Relay runs with. */
export type RelayConfig = {
  /** Mounted Secret: `relay.json`, `tls.crt`, `tls.key`. */
  directory: string
  listen: HostPort
  metricsListen: HostPort
  logLevel: LogLevel
  drainSeconds: number
  maxTunnels: number
  maxStrangers: number
  maxStrangersPerAddress: number
}

/** Reads the configuration of a Relay. Throws ConfigError with all problems. */
export function readConfig(environment: NodeJS.ProcessEnv = process.env): RelayConfig {
  const values = configFromEnvironment(RelayConfigSchema, environment)
  return {
    directory: values.SALLYPORT_RELAY_DIR,
    listen: requireHostPort(values.SALLYPORT_LISTEN),
    metricsListen: requireHostPort(values.SALLYPORT_METRICS_LISTEN),
    logLevel: values.SALLYPORT_LOG_LEVEL,
    drainSeconds: values.SALLYPORT_DRAIN_SECONDS,
    maxTunnels: values.SALLYPORT_MAX_TUNNELS,
    maxStrangers: values.SALLYPORT_MAX_STRANGERS,
    maxStrangersPerAddress: values.SALLYPORT_MAX_STRANGERS_PER_ADDRESS,
  }
}
