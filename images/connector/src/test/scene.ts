import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NO_PROXY, StreamResetError, silentLog, systemClock } from '@sallyport/runtime'
import type { ResourceRule, ToConnector } from '@sallyport/schema'
import { type DnsServer, eventually, type PrivateService, startDnsServer, startEchoService } from '@sallyport/testkit'
import { createEnrolmentToken } from '@sallyport/trust'
import { afterEach, beforeEach } from 'vitest'
import { startConnector } from '../connector.ts'
import { startClient } from './client.ts'
import { startTestController, type TestController } from './controller.ts'
import { installationCa, tenantCa } from './identity.ts'
import { startTestRelay, type TestRelay } from './relay.ts'
import {
  clientAcl,
  clientAclJwks,
  connectorAcl,
  connectorAclJwks,
  device,
  NETWORK,
  rule,
  TENANT,
  WEB,
} from './world.ts'

class Scene {
  controller!: TestController
  relays!: TestRelay[]
  /** What the Connector is to reach: an echo service behind `web.internal`. */
  service!: PrivateService
  dns!: DnsServer
  token!: { value: string }
  /** The mounted Secret. */
  secret!: string
  /** The state directory. */
  state!: string
  readonly cleanups: (() => unknown)[] = []
}

/** Everything around the Connector of the test that runs. */
export const scene = new Scene()

/** Makes a fresh scene for each test of the file. */
export function useScene(): void {
  beforeEach(async () => {
    scene.token = { value: createEnrolmentToken().token }
    scene.controller = await startTestController(scene.token)
    scene.relays = await Promise.all([startTestRelay('r0.test'), startTestRelay('r1.test')])
    scene.service = await startEchoService('')
    scene.dns = await startDnsServer({ 'web.internal': ['127.0.0.1'] })
    const directory = mkdtempSync(join(tmpdir(), 'connector-'))
    scene.secret = join(directory, 'secret')
    scene.state = join(directory, 'state')
    mkdirSync(scene.secret)
    writeFileSync(join(scene.secret, 'token'), scene.token.value)
    writeFileSync(join(scene.secret, 'trust.json'), JSON.stringify(trustFile()))
    scene.cleanups.push(
      () => scene.controller.close(),
      () => Promise.all(scene.relays.map(relay => relay.close())),
      () => scene.service.close(),
      () => scene.dns.close(),
      () => rmSync(directory, { recursive: true, force: true }),
    )
  })

  afterEach(async () => {
    for (const cleanup of scene.cleanups.splice(0).reverse()) await cleanup()
  })
}

/** What the operator writes. */
export const trustFile = () => ({
  tenant: TENANT,
  issuer: `sallyport://${TENANT}`,
  network: NETWORK,
  controllerUrl: scene.controller.url,
  installationCa: installationCa.certificatePem,
  tenantCa: tenantCa.certificatePem,
  jwks: { clientAcl: clientAclJwks, connectorAcl: connectorAclJwks },
})

/** The time of the machine. */
export const nowMs = () => systemClock.now()
/** A rule for the service on its port, or on these. */
export const web = (...ports: number[]) => rule('web.internal', ...(ports.length === 0 ? [scene.service.port] : ports))
type Options = Parameters<typeof connectorAcl>[1]

/** A batch as the Controller sends it. */
export function batch(resources: Record<string, ResourceRule>, revision = 1, options: Options = {}): ToConnector[] {
  const guardExceptions = ['127.0.0.0/8']
  return [
    {
      type: 'connectorAcl',
      jwt: connectorAcl(resources, { rev: revision, nowMs: nowMs(), guardExceptions, ...options }),
    },
    {
      type: 'relays',
      relays: scene.relays.map(({ name, address }) => ({ name, address, pass: scene.controller.passFor(name) })),
    },
    { type: 'synced', revision },
  ]
}

/** A Connector that has just been started. */
export async function start(resolver = scene.dns.address) {
  const connector = await startConnector(
    {
      directory: scene.secret,
      stateDirectory: scene.state,
      metricsListen: { host: '127.0.0.1', port: 0 },
      logLevel: 'info',
      resolvers: [resolver],
      drainSeconds: 5,
      connectTimeoutMs: 2_000,
      proxy: NO_PROXY,
    },
    { log: silentLog, random: () => 0.05 },
  )
  const stopped = { done: false }
  const stop = async () => {
    if (!stopped.done) await connector.close()
    stopped.done = true
  }
  scene.cleanups.push(stop)
  const ready = async () => (await fetch(`http://${connector.metricsAddress}/readyz`)).status === 200
  return { ...connector, close: stop, ready }
}

/** Idle sockets at each Relay. */
export const idleSockets = () => Promise.all(scene.relays.map(relay => relay.idle()))

/** A Connector that is enrolled, registered and ready. */
export async function startReady(
  resources: Record<string, ResourceRule> = { [WEB]: web() },
  options?: Options,
  resolver?: string,
) {
  scene.controller.state.onOpen = push => batch(resources, 1, options).forEach(push)
  const connector = await start(resolver)
  await eventually('a ready Connector', connector.ready)
  await eventually('idle sockets', async () => (await idleSockets()).every(idle => idle >= 2))
  return connector
}

/** A Client ACL as of this moment. */
export const granted = (resources: Record<string, ResourceRule>, options: Parameters<typeof clientAcl>[1] = {}) =>
  clientAcl(resources, { nowMs: nowMs(), ...options })
/** A device with a session. */
export async function connect(acl: string, relay = scene.relays[0]!, holder = device) {
  const client = await startClient(relay, scene.controller.enrolled.at(-1)!, acl, holder)
  scene.cleanups.push(() => client.socket.destroy())
  return client
}
/** The reset code with which a stream is cut. */
export const codeOf = (stream: NodeJS.EventEmitter) =>
  new Promise<string>(resolve => {
    stream.once('error', error => resolve(error instanceof StreamResetError ? error.code : String(error)))
  })
