import { X509Certificate } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { equalSecrets, identityOf, pinOf, spkiOf, TrustError } from '@sallyport/trust'
import { capabilityServerName, TUNNEL_ALPN, TUNNEL_GROUPS } from '@sallyport/wire'
import { type Clock, systemClock } from '../clock.ts'
import { handshakeError, TunnelError } from './error.ts'

/** Time for the TCP connection to the Relay, that of a proxy included. */
export const RELAY_CONNECT_TIMEOUT_MS = 3_000
/** Time for the TLS handshake with the Connector, the Relay's wait for a socket included. */
export const TUNNEL_HANDSHAKE_TIMEOUT_MS = 5_000

/** Opens a TCP connection, by itself or through a proxy. */
export type Connect = (host: string, port: number, signal: AbortSignal) => Promise<Duplex>

/** Certificate and key that this end shows, PEM both. */
export type TunnelIdentity = { certificatePem: string; privateKeyPem: string }

/** Whom a tunnel is to reach, and through which Relay. */
export type TunnelTarget = {
  /** Address that is dialled. */
  host: string
  port: number
  /** Name of the Relay: what stands behind the capability in the server name. */
  relayName: string
  /** 61 bytes. */
  capability: Uint8Array
  connectorId: string
  /** SHA-256 of the Connector's SubjectPublicKeyInfo, base64url. */
  pin: string
}

export type DialTunnelOptions = {
  target: TunnelTarget
  identity: TunnelIdentity
  tenant: string
  /** PEM bundle: nothing else is trusted. */
  tenantCaPem: string
  connect: Connect
  clock?: Clock
  connectTimeoutMs?: number
  handshakeTimeoutMs?: number
  signal?: AbortSignal
}

/**
 * Dials a Connector through a Relay and resolves with a tunnel whose every check has passed: chain to the tenant CA,
 * URI SAN, pin, TLS 1.3, no resumed session. Throws TunnelError; WireError for a Relay name that is too long.
 */
export async function dialTunnel(options: DialTunnelOptions): Promise<TLSSocket> {
  const { target, clock = systemClock, signal } = options
  const servername = capabilityServerName(target.capability, target.relayName)
  const deadline = new AbortController()
  const giveUp = () => deadline.abort(new TunnelError('aborted'))
  signal?.addEventListener('abort', giveUp, { once: true })
  if (signal?.aborted) giveUp()
  const expire = (what: string, ms: number) =>
    clock.timer(ms, () => deadline.abort(new TunnelError('timeout', `${what}: no answer within ${ms} ms`)))
  let timer = expire('connection to the Relay', options.connectTimeoutMs ?? RELAY_CONNECT_TIMEOUT_MS)
  try {
    const socket = await connectRelay(options, deadline.signal)
    timer.cancel()
    timer = expire('handshake with the Connector', options.handshakeTimeoutMs ?? TUNNEL_HANDSHAKE_TIMEOUT_MS)
    return await handshake(socket, servername, options, deadline.signal)
  } finally {
    timer.cancel()
    signal?.removeEventListener('abort', giveUp)
  }
}

async function connectRelay({ target, connect }: DialTunnelOptions, signal: AbortSignal): Promise<Duplex> {
  try {
    return await connect(target.host, target.port, signal)
  } catch (cause) {
    if (signal.reason instanceof TunnelError) throw signal.reason
    const detail = cause instanceof Error ? cause.message : String(cause)
    throw new TunnelError('relay_unreachable', detail, { cause })
  }
}

function handshake(
  socket: Duplex,
  servername: string,
  options: DialTunnelOptions,
  signal: AbortSignal,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const tunnel = connectTls({
      socket,
      servername,
      ca: options.tenantCaPem,
      cert: options.identity.certificatePem,
      key: options.identity.privateKeyPem,
      minVersion: 'TLSv1.3',
      ecdhCurve: TUNNEL_GROUPS,
      ALPNProtocols: [TUNNEL_ALPN],
      rejectUnauthorized: true,
      checkServerIdentity: (_name, certificate) => judgeConnector(certificate.raw, options),
    })
    const settle = (error: unknown) => {
      signal.removeEventListener('abort', onAbort)
      tunnel.removeListener('secureConnect', onSecure).removeListener('error', settle).removeListener('close', onClose)
      if (error === undefined) {
        resolve(tunnel)
        return
      }
      tunnel.on('error', () => undefined).destroy()
      socket.on('error', () => undefined).destroy()
      reject(handshakeError(error))
    }
    const onAbort = () => settle(signal.reason)
    const onClose = () => settle(new TunnelError('connection_lost'))
    const onSecure = () => settle(judgeTunnel(tunnel))
    tunnel.once('secureConnect', onSecure).once('error', settle).once('close', onClose)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
  })
}

/** What still speaks against a peer whose chain leads to the tenant CA. */
function judgeConnector(der: Buffer, { target, tenant }: DialTunnelOptions): TunnelError | undefined {
  try {
    const certificate = new X509Certificate(der)
    const identity = identityOf(certificate)
    if (identity.role !== 'connector' || identity.tenant !== tenant || identity.id !== target.connectorId) {
      return new TunnelError('wrong_identity')
    }
    return equalSecrets(pinOf(spkiOf(certificate.publicKey)), target.pin) ? undefined : new TunnelError('pin_mismatch')
  } catch (cause) {
    if (cause instanceof TrustError) return new TunnelError('wrong_identity', cause.message, { cause })
    throw cause
  }
}

function judgeTunnel(tunnel: TLSSocket): TunnelError | undefined {
  if (tunnel.isSessionReused()) return new TunnelError('session_resumed')
  return tunnel.alpnProtocol === TUNNEL_ALPN ? undefined : new TunnelError('wrong_protocol')
}
