import { spawn } from 'node:child_process'
import { randomUUID, sign } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { type RunningConnector, startConnector } from '@sallyport/connector'
import { type Relay, startRelay } from '@sallyport/relay'
import {
  ControlChannel,
  channelUrl,
  createControllerClient,
  messageParser,
  NO_PROXY,
  silentLog,
} from '@sallyport/runtime'
import { EnrolmentToken, type FromOperator, parser, RelayKeys, ToOperator } from '@sallyport/schema'
import { eventually, freePorts, startDnsServer } from '@sallyport/testkit'
import { generateKeyPair, publicJwk } from '@sallyport/trust'
import { closers, scratch, startTestController } from './client-lab.ts'

const NETWORK = randomUUID()
const GROUP = randomUUID()
const LOOPBACK = { host: '127.0.0.1', port: 0 }
const RELAYS = ['relay-0.test', 'relay-1.test']

const metadata = (name: string) => ({ namespace: 'default', name, createdAt: '2026-01-01T00:00:00Z', generation: 1 })
const incoming = messageParser(ToOperator)

/** A Resource of the chain: its name is its address. */
export type Declared = { address: string; ports: number[]; expiresAt?: string }

/** A whole installation: a Controller, two Relays, two Connectors, and the operator's part played by hand. */
export async function startChain({
  records,
  maxAclSeconds = 1800,
}: {
  records: Record<string, string[]>
  maxAclSeconds?: number
}) {
  const keys = generateKeyPair()
  const controller = await startTestController({
    tenant: {
      operators: [{ issuer: 'test', jwks: { keys: [publicJwk(keys.publicKey)] }, subject: 'operator', source: 'test' }],
    },
    controller: { acl: { defaultLifetimeSeconds: maxAclSeconds } },
  })
  const token = () => {
    const now = Math.floor((performance.timeOrigin + performance.now()) / 1000)
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const claims = { iss: 'test', sub: 'operator', aud: controller.url, iat: now, exp: now + 600 }
    const signed = `${part({ alg: 'ES256', typ: 'JWT' })}.${part(claims)}`
    const signature = sign('sha256', Buffer.from(signed), { key: keys.privateKey, dsaEncoding: 'ieee-p1363' })
    return `${signed}.${signature.toString('base64url')}`
  }
  const headers = async () => ({ authorization: `Bearer ${token()}` })
  const rest = createControllerClient({ url: controller.url, ca: () => controller.ca, headers })
  closers.push(() => rest.close())
  const put = (kind: string, uid: string, body: object) =>
    rest.request({ method: 'PUT', path: `/v1/${kind}/${uid}`, body })

  await put('networks', NETWORK, { metadata: metadata('office'), spec: { guardExceptions: ['127.0.0.0/8'] } })
  const setGroup = (...members: string[]) => put('groups', GROUP, { metadata: metadata('people'), spec: { members } })
  await setGroup('ada@example.com')
  const uids = new Map<string, string>()
  const declare = ({ address, ports, expiresAt }: Declared) => {
    const uid = uids.get(address) ?? randomUUID()
    uids.set(address, uid)
    const access = [{ group: 'people', ...(expiresAt === undefined ? {} : { expiresAt }) }]
    const tcp = { policy: 'Restricted', ports: ports.map(port => ({ start: port, end: port })) }
    const spec = { remoteNetworkRef: { name: 'office' }, address, protocols: { tcp }, access, visible: true }
    return put('resources', uid, {
      metadata: metadata(address.replaceAll('.', '-')),
      network: NETWORK,
      spec,
      groups: [GROUP],
    })
  }

  const relays = new Map<string, Part>()
  const ports = await freePorts(RELAYS.length)
  for (const [index, name] of RELAYS.entries()) {
    const address = `127.0.0.1:${ports[index]}`
    const uid = randomUUID()
    await put('relays', uid, { metadata: metadata(`relay-${index}`), index, name, address })
    const found = await rest.request({ method: 'GET', path: `/v1/relays/${uid}/keys`, answer: parser(RelayKeys) })
    const trust = await operatorTrust(controller.url, controller.ca, headers)
    const dir = scratch()
    const { certificate, key } = controller.issue(name)
    writeFileSync(join(dir, 'tls.crt'), certificate)
    writeFileSync(join(dir, 'tls.key'), key)
    writeFileSync(join(dir, 'relay.json'), JSON.stringify({ name, keys: found.keys, passJwks: trust.jwks.relayPass }))
    await rest.request({
      method: 'POST',
      path: `/v1/relays/${uid}/keys`,
      body: { keyIds: found.keys.map(({ id }) => id) },
    })
    relays.set(
      name,
      restartable(() => startRelayIn(dir, ports[index] ?? 0)),
    )
  }

  const resolver = await startDnsServer(records)
  closers.push(() => resolver.close())
  const connectors: Part[] = []
  const anew: (() => Promise<void>)[] = []
  for (const index of [0, 1]) {
    const uid = randomUUID()
    await put('connectors', uid, {
      metadata: metadata(`office-${index}`),
      network: NETWORK,
      spec: { remoteNetworkRef: { name: 'office' }, deployment: 'External' },
    })
    const trust = await operatorTrust(controller.url, controller.ca, headers)
    const dir = scratch()
    const { clientAcl, connectorAcl } = trust.jwks
    const { tenant, issuer, tenantCa } = trust
    const known = { tenant, issuer, tenantCa, network: NETWORK, jwks: { clientAcl, connectorAcl } }
    const invite = async () => {
      const path = `/v1/connectors/${uid}/token`
      const issued = await rest.request({ method: 'POST', path, answer: parser(EnrolmentToken) })
      writeFileSync(join(dir, 'token'), issued.token)
    }
    await invite()
    writeFileSync(
      join(dir, 'trust.json'),
      JSON.stringify({ ...known, controllerUrl: controller.url, installationCa: controller.ca }),
    )
    const stateDirectory = join(dir, 'state')
    mkdirSync(stateDirectory)
    const config = {
      directory: dir,
      stateDirectory,
      metricsListen: LOOPBACK,
      logLevel: 'error' as const,
      resolvers: [resolver.address],
      drainSeconds: 0,
      connectTimeoutMs: 1000,
      proxy: NO_PROXY,
    }
    const connector = restartable((): Promise<RunningConnector> => startConnector(config, { log: silentLog }))
    connectors.push(connector)
    anew.push(async () => {
      await eventually('the Connector to reach the Controller', () => reachesController(connector))
      await connector.stop()
      rmSync(stateDirectory, { recursive: true })
      mkdirSync(stateDirectory)
      await invite()
      await connector.start()
    })
  }
  for (const relay of relays.values()) await relay.start()
  for (const connector of connectors) await connector.start()
  /** Whether every Connector is registered at every Relay. */
  const isWhole = async () => {
    const counts = await Promise.all([...relays.values()].map(registeredAt))
    return counts.every(count => count === connectors.length)
  }
  /** Puts a Connector that nobody has seen yet in the place of each. */
  const replaceConnectors = async () => {
    for (const replace of anew) await replace()
  }
  return { controller, declare, setGroup, relays, connectors, isWhole, replaceConnectors }
}
export type Chain = Awaited<ReturnType<typeof startChain>>

function startRelayIn(directory: string, port: number): Promise<Relay> {
  const config = {
    directory,
    listen: { host: '127.0.0.1', port },
    metricsListen: LOOPBACK,
    logLevel: 'error' as const,
    drainSeconds: 0,
    maxTunnels: 1000,
    maxStrangers: 1000,
    maxStrangersPerAddress: 1000,
  }
  return startRelay(config, { log: silentLog })
}

type Running = { close(): Promise<unknown>; metricsAddress: string }
/** A process of the chain that can be ended and started again. */
export type Part = { start(): Promise<void>; stop(): Promise<void>; metricsAddress(): string | undefined }

function restartable(begin: () => Promise<Running>): Part {
  let running: Running | undefined
  const stop = async () => {
    const last = running
    running = undefined
    await last?.close()
  }
  closers.push(stop)
  return {
    start: async () => {
      running = await begin()
    },
    stop,
    metricsAddress: () => running?.metricsAddress,
  }
}

async function registeredAt(relay: Part): Promise<number> {
  const answer = await fetch(`http://${relay.metricsAddress()}/metrics`)
  return Number(/^sallyport_relay_connectors\S* ([0-9]+)$/m.exec(await answer.text())?.[1])
}

async function reachesController(connector: Part): Promise<boolean> {
  const answer = await fetch(`http://${connector.metricsAddress()}/metrics`)
  return /^sallyport_connector_controller_connected\S* 1$/m.test(await answer.text())
}

/** A service that neither accepts nor refuses: it is stopped, with its queue of connections full. */
export async function startSilentService(): Promise<number> {
  const listen =
    "require('net').createServer().listen({host:'127.0.0.1',port:0,backlog:1},function(){console.log(this.address().port)})"
  const child = spawn(process.execPath, ['-e', listen], { stdio: ['ignore', 'pipe', 'inherit'] })
  closers.push(() => child.kill('SIGKILL'))
  const port = Number(await new Promise(resolve => child.stdout.once('data', resolve)))
  child.kill('SIGSTOP')
  for (let count = 0; count < 8; count++) {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined)
    closers.push(() => socket.destroy())
  }
  return port
}

async function operatorTrust(url: string, ca: string, headers: () => Promise<Record<string, string>>) {
  const { promise, resolve } = Promise.withResolvers<Extract<ToOperator, { type: 'trust' }>['trust']>()
  const channel = new ControlChannel<ToOperator, FromOperator>({
    url: () => channelUrl(url, '/v1/operator'),
    ca: () => ca,
    headers,
    incoming,
    heartbeat: () => ({ type: 'heartbeat', nowMs: 0 }),
    onMessage: message => {
      if (message.type === 'welcome') channel.send({ type: 'hello', version: 'test', nowMs: 0 })
      if (message.type === 'trust') resolve(message.trust)
    },
  })
  const trust = await promise
  await channel.close()
  return trust
}
