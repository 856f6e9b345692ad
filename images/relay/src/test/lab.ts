import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import {
  type ChannelState,
  type Clock,
  ControlChannel,
  createTunnelAcceptor,
  dialTunnel,
  type HostPort,
  messageParser,
  parseHostPort,
  silentLog,
  systemClock,
  type TunnelAcceptor,
} from '@sallyport/runtime'
import { type ConnectorId, type ConnectorToRelay, RELAY_EXPORTER_LABEL, RelayToConnector } from '@sallyport/schema'
import {
  type CertificateAuthority,
  connectorIdOf,
  createCa,
  createRelayAssertion,
  createRelayKey,
  generateKeyPair,
  issueIdentityCertificate,
  issueRelayPass,
  issueServingCertificate,
  type KeyPair,
  pinOf,
  privateKeyToPem,
  publicJwk,
  type RelayBinding,
  type RelayKey,
  relayKeyToText,
  sealCapability,
  signingKey,
  systemRandom,
  thumbprintOf,
  toBase64Url,
} from '@sallyport/trust'
import { capabilityServerName, encodeClientHello, refusalOfAlert, slotServerName } from '@sallyport/wire'
import type { RelayConfig } from '../config.ts'
import { type Relay, type RelayDeps, startRelay } from '../relay.ts'

export const TENANT = 'acme'
const HOUR = 3600
const life = () => ({ nowMs: systemClock.now(), lifeSeconds: HOUR })

export const installationCa = createCa({ commonName: 'installation CA' }, life())
export const tenantCa = createCa({ commonName: 'tenant CA' }, life())
export const passKey = signingKey('relayPass')

const cleanups: (() => unknown)[] = []

/** Has `cleanup` done when the test is over, the last one first. */
export function later(cleanup: () => unknown): void {
  cleanups.push(cleanup)
}

export async function cleanUp(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
}

/** A Relay that runs, with its Secret in a directory of its own. */
export class TestRelay {
  readonly name: string
  readonly directory = mkdtempSync(join(tmpdir(), 'relay-'))
  keys: RelayKey[] = [createRelayKey()]
  #relay: Relay | undefined

  constructor(name = 'relay-a.example') {
    this.name = name
    later(() => rmSync(this.directory, { recursive: true, force: true }))
  }

  async start(config: Partial<RelayConfig> = {}, deps: Partial<RelayDeps> = {}): Promise<this> {
    this.#relay = await startRelay(
      {
        directory: this.directory,
        listen: { host: '127.0.0.1', port: 0 },
        metricsListen: { host: '127.0.0.1', port: 0 },
        logLevel: 'error',
        drainSeconds: 0,
        maxTunnels: 1000,
        maxStrangers: 1000,
        maxStrangersPerAddress: 1000,
        ...config,
      },
      { log: silentLog, ...deps },
    )
    later(() => this.close())
    return this
  }

  get address(): HostPort {
    return parseHostPort(this.#relay!.address)!
  }

  async close(): Promise<void> {
    const relay = this.#relay
    this.#relay = undefined
    await relay?.close()
  }

  writeSecret({ name = this.name, ca = installationCa, keys = generateKeyPair() } = {}): this {
    const passJwks = { keys: [{ ...publicJwk(passKey.publicKey), kid: passKey.kid }] }
    const relayJson = { name, keys: this.keys.map(relayKeyToText), passJwks }
    writeFileSync(join(this.directory, 'relay.json'), JSON.stringify(relayJson))
    const certificate = issueServingCertificate(ca, { publicKey: keys.publicKey, dnsNames: [name] }, life())
    writeFileSync(join(this.directory, 'tls.crt'), certificate)
    writeFileSync(join(this.directory, 'tls.key'), privateKeyToPem(keys.privateKey))
    return this
  }

  /** A capability that leads to `connector`. */
  capability(connector: { id: ConnectorId }, change: { serial?: bigint; lifeMs?: number; key?: RelayKey } = {}) {
    const { serial = nextSerial++, lifeMs = 60_000, key = this.keys[0]! } = change
    return sealCapability({ connectorId: connector.id, expiresAtMs: systemClock.now() + lifeMs, serial }, key)
  }

  /** A TCP connection to the one port. */
  async dial({ host, port }: HostPort = this.address): Promise<Socket> {
    const socket = connect({ host, port, noDelay: true })
    socket.on('error', () => undefined)
    later(() => socket.destroy())
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return socket
  }

  /** Value of a metric; labels stand in the name, as in `refusals_total{reason="capability_refused"}`. */
  async metric(name: string): Promise<number> {
    const text = await (await this.get('/metrics')).text()
    const line = text.split('\n').find(line => line.startsWith(`sallyport_relay_${name} `))
    return line === undefined ? 0 : Number(line.split(' ').at(-1))
  }

  get(path: string): Promise<Response> {
    return fetch(`http://${this.#relay!.metricsAddress}${path}`)
  }
}

let nextSerial = 1n

export async function startTestRelay(config: Partial<RelayConfig> = {}, deps: Partial<RelayDeps> = {}) {
  return new TestRelay().writeSecret().start(config, deps)
}

/** A device with its certificate. */
export function makeDevice(ca: CertificateAuthority = tenantCa) {
  const keys = generateKeyPair()
  const certificatePem = issueIdentityCertificate(
    ca,
    { publicKey: keys.publicKey, tenant: TENANT, role: 'device' },
    life(),
  )
  return { certificatePem, privateKeyPem: privateKeyToPem(keys.privateKey) }
}

/** What a Connector shows at registration; each can be replaced. */
export type Shown = {
  pass: (connector: TestConnector) => string
  assertion: (connector: TestConnector, binding: RelayBinding) => string
}

export const honest: Shown = {
  pass: ({ id, keys, relay }) =>
    issueRelayPass(passKey, { connectorId: id, jkt: thumbprintOf(keys.publicKey), relay: relay.name }, life()),
  assertion: ({ keys }, binding) => createRelayAssertion(keys, binding, systemClock.now()),
}

/** A Connector made of the parts of `@sallyport/runtime`: it registers, keeps idle sockets, and echoes what comes through tunnels. */
export class TestConnector {
  readonly keys: KeyPair
  readonly id: ConnectorId
  readonly pin: string
  readonly relay: TestRelay
  readonly acceptor: TunnelAcceptor
  readonly channel: ControlChannel<RelayToConnector, ConnectorToRelay>
  readonly received: RelayToConnector[] = []
  readonly states: ChannelState[] = []
  readonly tunnels: TLSSocket[] = []
  readonly idle = new Set<Socket>()
  readonly slotKeys: string[] = []
  /** Data sockets on which a Client's first bytes came. */
  taken = 0
  /** Payload that came through tunnels. */
  payloadBytes = 0
  wanted: number
  readonly #at: HostPort | undefined
  readonly #onTaken: (socket: Socket, connector: TestConnector) => void

  constructor(
    relay: TestRelay,
    {
      wanted = 2,
      keys = generateKeyPair(),
      shown = honest,
      onTaken = (socket, connector) => connector.acceptor.accept(socket),
      clock = systemClock,
      at,
    }: {
      wanted?: number
      keys?: KeyPair
      shown?: Shown
      onTaken?: (socket: Socket, connector: TestConnector) => void
      clock?: Clock
      /** Where it connects in place of the Relay's address. */
      at?: HostPort
    } = {},
  ) {
    this.relay = relay
    this.wanted = wanted
    this.keys = keys
    this.id = connectorIdOf(keys.publicKey)
    this.pin = pinOf(keys.publicKey)
    this.#onTaken = onTaken
    this.#at = at
    const certificatePem = issueIdentityCertificate(
      tenantCa,
      { publicKey: keys.publicKey, tenant: TENANT, role: 'connector' },
      life(),
    )
    this.acceptor = createTunnelAcceptor({
      trust: {
        identity: { certificatePem, privateKeyPem: privateKeyToPem(keys.privateKey) },
        tenantCaPem: tenantCa.certificatePem,
      },
      tenant: TENANT,
      onTunnel: ({ socket }) => this.#echo(socket),
      onRefused: () => undefined,
    })
    this.channel = new ControlChannel<RelayToConnector, ConnectorToRelay>({
      url: () => `wss://${relay.name}/v1/connector`,
      dial: () => at ?? relay.address,
      ca: () => installationCa.certificatePem,
      serverName: relay.name,
      incoming: messageParser(RelayToConnector),
      heartbeat: () => ({ type: 'heartbeat', nowMs: clock.now() }),
      onMessage: message => {
        this.received.push(message)
        if (message.type === 'challenge') this.#register(message.nonce, shown)
        if (message.type === 'registered') this.fill()
        if (message.type === 'slots') for (const key of message.keys) this.#keepSlot(key)
      },
      onState: state => void this.states.push(state),
      clock,
    })
    later(() => this.close())
  }

  get registered(): boolean {
    return this.received.some(({ type }) => type === 'registered')
  }

  /** Code of the refusal that it was told. */
  get refusal(): string | undefined {
    const refused = this.received.find(message => message.type === 'refused')
    return refused?.type === 'refused' ? refused.code : undefined
  }

  fill(count = this.wanted - this.idle.size): void {
    if (count > 0) this.channel.send({ type: 'needSlots', count })
  }

  /** Offers a data socket under `key`. */
  async offer(key: string): Promise<Socket> {
    const socket = await this.relay.dial(this.#at)
    socket.write(encodeClientHello(slotServerName(key, this.relay.name), systemRandom(32)))
    return socket
  }

  async close(): Promise<void> {
    await this.channel.close()
    for (const socket of [...this.idle, ...this.tunnels]) socket.destroy()
  }

  #register(nonce: string, shown: Shown): void {
    const exporter = toBase64Url(this.channel.exporter(RELAY_EXPORTER_LABEL, 32)!)
    const assertion = shown.assertion(this, { relay: this.relay.name, nonce, exporter })
    this.channel.send({ type: 'register', pass: shown.pass(this), assertion })
  }

  #keepSlot(key: string): void {
    this.slotKeys.push(key)
    if (this.idle.size >= this.wanted) return
    this.offer(key).then(
      socket => {
        this.idle.add(socket)
        const onReadable = () => {
          socket.off('readable', onReadable)
          this.idle.delete(socket)
          if (socket.readableLength === 0) return socket.destroy()
          this.taken++
          this.#onTaken(socket, this)
          this.fill(1)
        }
        socket.on('readable', onReadable)
        socket.once('close', () => this.idle.delete(socket))
      },
      () => undefined,
    )
  }

  #echo(tunnel: TLSSocket): void {
    this.tunnels.push(tunnel)
    tunnel.on('error', () => undefined)
    tunnel.on('data', bytes => {
      this.payloadBytes += bytes.length
      tunnel.write(bytes)
    })
  }
}

/** A ClientHello that asks for a Connector by `capability`. */
export function clientHello(relay: TestRelay, capability: Uint8Array): Uint8Array {
  return encodeClientHello(capabilityServerName(capability, relay.name), systemRandom(32))
}

/** All that comes on `socket` until it ends or is closed. */
export function drained(socket: Socket): Promise<Buffer> {
  return new Promise(resolve => {
    const chunks: Buffer[] = []
    socket.on('data', chunk => chunks.push(chunk))
    const done = () => resolve(Buffer.concat(chunks))
    if (socket.closed) done()
    else socket.once('end', done).once('close', done)
  })
}

/** The refusal that comes on `socket` as a TLS alert; `closed` when it is closed without one. */
export async function refusal(socket: Socket): Promise<string> {
  const bytes = await drained(socket)
  if (bytes.length === 0) return 'closed'
  return refusalOfAlert(bytes[6] ?? 0) ?? `${bytes.length} bytes`
}

/** Dials `connector` through its Relay as the Client does. */
export async function dialThrough(
  relay: TestRelay,
  connector: TestConnector,
  { capability = relay.capability(connector), port = relay.address.port, device = makeDevice() } = {},
): Promise<TLSSocket> {
  const socket = await dialTunnel({
    target: {
      host: '127.0.0.1',
      port,
      relayName: relay.name,
      capability,
      connectorId: connector.id,
      pin: connector.pin,
    },
    identity: device,
    tenant: TENANT,
    tenantCaPem: tenantCa.certificatePem,
    connect: (host, port) =>
      new Promise((resolve, reject) => {
        const tcp = connect({ host, port, noDelay: true })
        tcp.once('connect', () => resolve(tcp)).once('error', reject)
      }),
  })
  socket.on('error', () => undefined)
  later(() => socket.destroy())
  return socket
}
