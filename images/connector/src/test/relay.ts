import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startRelay } from '@sallyport/relay'
import { requireHostPort, silentLog, systemClock } from '@sallyport/runtime'
import type { ConnectorId } from '@sallyport/schema'
import { createRelayKey, firstOf, jwksOf, relayKeyToText, sealCapability } from '@sallyport/trust'
import { relayPassKey } from './controller.ts'
import { serving } from './identity.ts'

/** Longer than what a test leaves open at a Relay that ends. */
const DRAIN_SECONDS = 30

/** A Relay with a Secret of its own. */
export async function startTestRelay(name: string) {
  const directory = mkdtempSync(join(tmpdir(), 'relay-'))
  const { cert, key } = serving(name)
  const relayKey = createRelayKey()
  const secret = { name, keys: [relayKeyToText(relayKey)], passJwks: jwksOf(firstOf(relayPassKey)) }
  writeFileSync(join(directory, 'relay.json'), JSON.stringify(secret))
  writeFileSync(join(directory, 'tls.crt'), cert)
  writeFileSync(join(directory, 'tls.key'), key)
  const relay = await startRelay(
    {
      directory,
      listen: { host: '127.0.0.1', port: 0 },
      metricsListen: { host: '127.0.0.1', port: 0 },
      logLevel: 'error',
      drainSeconds: DRAIN_SECONDS,
      maxTunnels: 100,
      maxStrangers: 100,
      maxStrangersPerAddress: 100,
    },
    { log: silentLog },
  )
  let serial = 0n
  const metric = async (pattern: RegExp) => {
    const text = await (await fetch(`http://${relay.metricsAddress}/metrics`)).text()
    return Number(pattern.exec(text)?.[1] ?? 0)
  }
  return {
    name,
    address: relay.address,
    ...requireHostPort(relay.address),
    registrations: () => metric(/registrations_total\{outcome="registered"\} (\d+)/),
    idle: () => metric(/idle_sockets (\d+)/),
    capability: (connectorId: string) =>
      sealCapability(
        { connectorId: connectorId as ConnectorId, expiresAtMs: systemClock.now() + 60_000, serial: ++serial },
        relayKey,
      ),
    close: async () => {
      await relay.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
export type TestRelay = Awaited<ReturnType<typeof startTestRelay>>
