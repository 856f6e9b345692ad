import type { AddressInfo } from 'node:net'
import { type Clock, formatHostPort, type Log, type Service, startHealthServer, systemClock } from '@sallyport/runtime'
import { type RandomBytes, systemRandom } from '@sallyport/trust'
import type { RelayConfig } from './config.ts'
import { ControlEndpoint } from './control.ts'
import { FrontDoor } from './front-door.ts'
import { BACKLOG, SWEEP_MS } from './limit.ts'
import { relayMetrics } from './metrics.ts'
import { Registry } from './registry.ts'
import { SecretDirectory } from './secret-directory.ts'
import { Tunnels } from './tunnels.ts'

export type { RelayConfig } from './config.ts'
export { readConfig } from './config.ts'

/** A Relay that runs. */
export type Relay = Service & {
  /** host:port of its one port. */
  address: string
  metricsAddress: string
}

/** What a Relay takes from its surroundings. */
export type RelayDeps = { log: Log; clock?: Clock; random?: RandomBytes }

/**
 * Starts a Relay. It serves as soon as its Secret is whole, and takes up a changed one at once. `close` lets nobody in and waits for the
 * tunnels, at most the time to drain.
 */
export async function startRelay(
  config: RelayConfig,
  { log, clock = systemClock, random = systemRandom }: RelayDeps,
): Promise<Relay> {
  let draining = false
  const registry = new Registry({ clock, log, random })
  const metrics = relayMetrics({
    connectors: () => registry.size,
    idleSockets: () => registry.idleSockets,
    waitingClients: () => registry.waitingClients,
    tunnels: () => tunnels.open,
    strangers: () => door.strangers,
  })
  const secret = new SecretDirectory(config.directory, { clock, log, onChange: () => serving()?.control.renew() })
  let control: ControlEndpoint | undefined
  const serving = () => {
    const { identity } = secret
    if (identity === undefined) return undefined
    control ??= new ControlEndpoint({
      identity: () => secret.identity ?? identity,
      clock,
      random,
      onConnector: (id, channel, connection) => {
        if (draining) return 'draining'
        const registration = registry.register(id, channel)
        if (registration === undefined) return 'too_many_connectors'
        metrics.registrations.inc({ outcome: 'registered' })
        door.registered(connection)
        return registration
      },
      onRefused: code => {
        metrics.registrations.inc({ outcome: code })
        log.warn({ code }, 'registration of a Connector refused')
      },
    })
    return { identity, control }
  }
  const tunnels = new Tunnels({ registry, metrics, clock, log, maxTunnels: config.maxTunnels })
  const { maxStrangers, maxStrangersPerAddress } = config
  const door = new FrontDoor({ serving, registry, tunnels, metrics, clock, log, maxStrangers, maxStrangersPerAddress })
  const sweep = () => {
    registry.sweep()
    tunnels.sweep()
    sweeper = clock.timer(SWEEP_MS, sweep)
  }
  let sweeper = clock.timer(SWEEP_MS, sweep)

  const address = await listen(door, config)
  const health = await startHealthServer({
    listen: config.metricsListen,
    metrics: metrics.metrics,
    readiness: [
      { name: 'secret', failing: () => (secret.identity === undefined ? secret.problem : undefined) },
      { name: 'accepting', failing: () => (draining ? 'the Relay is shutting down' : undefined) },
    ],
  })
  log.info({ address, metricsAddress: health.address }, 'Relay listens')
  return {
    address,
    metricsAddress: health.address,
    close: async () => {
      draining = true
      door.close()
      registry.drain()
      const deadline = clock.timer(config.drainSeconds * 1000, () => tunnels.cut())
      await tunnels.ended()
      deadline.cancel()
      sweeper.cancel()
      secret.close()
      await health.close()
    },
  }
}

function listen({ server }: FrontDoor, { listen: { host, port } }: RelayConfig): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.off('error', reject)
      const bound = server.address() as AddressInfo
      resolve(formatHostPort({ host: bound.address, port: bound.port }))
    })
  })
}
