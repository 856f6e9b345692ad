import { type AddressInfo, connect as connectTcp, createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  type CertificateAuthority,
  connectorIdOf,
  createCa,
  generateKeyPair,
  issueIdentityCertificate,
  type KeyPair,
  pinOf,
  privateKeyToPem,
  type Role,
} from '@sallyport/trust'
import { systemClock } from '../../clock.ts'
import { type AcceptedTunnel, createTunnelAcceptor, type TunnelAcceptor } from '../accept.ts'
import type { DialTunnelOptions, TunnelIdentity } from '../dial.ts'
import type { TunnelError } from '../error.ts'

export const TENANT = 'acme'
const HOUR = 3600

/** A key with a certificate of `ca`. */
export type Party = { keys: KeyPair; id: string; pin: string; identity: TunnelIdentity }

export function makeCa(commonName = 'tenant CA'): CertificateAuthority {
  return createCa({ commonName }, { nowMs: systemClock.now(), lifeSeconds: 24 * HOUR })
}

export function makeParty(
  ca: CertificateAuthority,
  role: Role,
  {
    tenant = TENANT,
    keys = generateKeyPair(),
    ageSeconds = 0,
  }: { tenant?: string; keys?: KeyPair; ageSeconds?: number } = {},
): Party {
  const life = { nowMs: systemClock.now() - ageSeconds * 1000, lifeSeconds: HOUR }
  const certificatePem = issueIdentityCertificate(ca, { publicKey: keys.publicKey, tenant, role }, life)
  const identity = { certificatePem, privateKeyPem: privateKeyToPem(keys.privateKey) }
  return { keys, id: connectorIdOf(keys.publicKey), pin: pinOf(keys.publicKey), identity }
}

/** A Connector's acceptor behind a TCP port, and what it has seen. */
export class Door {
  readonly tunnels: AcceptedTunnel[] = []
  readonly refusals: TunnelError[] = []
  readonly acceptor: TunnelAcceptor
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #waiting: (() => void)[] = []
  port = 0
  /** Payload that came through tunnels. */
  payloadBytes = 0

  constructor(ca: CertificateAuthority, connector: Party, onTunnel?: (tunnel: AcceptedTunnel) => void, limits = {}) {
    this.acceptor = createTunnelAcceptor({
      trust: { identity: connector.identity, tenantCaPem: ca.certificatePem },
      tenant: TENANT,
      onTunnel: tunnel => {
        tunnel.socket.on('error', () => {})
        tunnel.socket.on('data', bytes => {
          this.payloadBytes += bytes.length
        })
        this.tunnels.push(tunnel)
        onTunnel?.(tunnel)
        this.#tell()
      },
      onRefused: error => {
        this.refusals.push(error)
        this.#tell()
      },
      ...limits,
    })
    this.#server = createServer({ noDelay: true, allowHalfOpen: false }, socket => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      this.acceptor.accept(socket)
    })
  }

  async open(): Promise<this> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    this.port = (this.#server.address() as AddressInfo).port
    return this
  }

  /** Resolves with the code of the first refusal. */
  async refusal(): Promise<string> {
    while (this.refusals.length === 0) await new Promise<void>(resolve => this.#waiting.push(resolve))
    return this.refusals[0]!.code
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #tell(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }
}

/** Connects without a proxy. */
export function connect(host: string, port: number, signal: AbortSignal): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port, noDelay: true, signal })
    socket.once('connect', () => resolve(socket)).once('error', reject)
  })
}

export function dialOptions(
  ca: CertificateAuthority,
  device: Party,
  connector: Party,
  port: number,
  change: Partial<DialTunnelOptions> = {},
): DialTunnelOptions {
  return {
    target: {
      host: '127.0.0.1',
      port,
      relayName: 'relay.example',
      capability: new Uint8Array(61).fill(1),
      connectorId: connector.id,
      pin: connector.pin,
    },
    identity: device.identity,
    tenant: TENANT,
    tenantCaPem: ca.certificatePem,
    connect,
    ...change,
  }
}
