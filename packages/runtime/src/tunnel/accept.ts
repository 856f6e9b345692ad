import { constants } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { identityOf, TrustError, thumbprintOf } from '@sallyport/trust'
import { HANDSHAKE_TIMEOUT_MS, MAX_HANDSHAKES, TUNNEL_ALPN, TUNNEL_GROUPS } from '@sallyport/wire'
import type { TunnelIdentity } from './dial.ts'
import { handshakeError, TunnelError } from './error.ts'

/** A tunnel that a Connector has accepted: the device has proved the key of a certificate of the tenant CA. */
export type AcceptedTunnel = {
  socket: TLSSocket
  peer: {
    deviceId: string
    /** RFC 7638 thumbprint of the device's key, to be compared with `cnf.jkt` of its Client ACL. */
    jkt: string
  }
}

/** What a Connector shows and whom it trusts; replaceable at run time. */
export type AcceptorTrust = {
  identity: TunnelIdentity
  /** PEM bundle: nothing else is trusted. */
  tenantCaPem: string
}

export type TunnelAcceptorOptions = {
  trust: AcceptorTrust
  tenant: string
  onTunnel(tunnel: AcceptedTunnel): void
  onRefused(error: TunnelError): void
  handshakeTimeoutMs?: number
  maxHandshakes?: number
}

/** The one way in which a Connector accepts tunnels. */
export type TunnelAcceptor = {
  /** Handshakes in progress. */
  readonly pending: number
  /** Takes a carrier whose first byte has come or may come; destroys it when there are too many handshakes. */
  accept(carrier: Duplex): void
  /** Shows and trusts something else in handshakes that begin from here on. */
  setTrust(trust: AcceptorTrust): void
  /** Accepts nothing more; tunnels live on. */
  close(): void
}

export function createTunnelAcceptor(options: TunnelAcceptorOptions): TunnelAcceptor {
  const server = createServer({
    ...contextOf(options.trust),
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: [TUNNEL_ALPN],
    handshakeTimeout: options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
  })
  const maxHandshakes = options.maxHandshakes ?? MAX_HANDSHAKES
  let pending = 0
  let closed = false
  server.on('secureConnection', socket => {
    pending--
    admit(socket, options)
  })
  server.on('tlsClientError', (cause, socket) => {
    pending--
    socket.on('error', () => undefined).destroy()
    options.onRefused(handshakeError(socket.authorizationError ?? cause))
  })
  return {
    get pending() {
      return pending
    },
    accept(carrier) {
      carrier.on('error', () => undefined)
      if (closed || pending >= maxHandshakes) {
        carrier.destroy()
        if (!closed) options.onRefused(new TunnelError('too_many_handshakes'))
        return
      }
      pending++
      server.emit('connection', carrier)
    },
    setTrust: trust => server.setSecureContext(contextOf(trust)),
    close() {
      closed = true
    },
  }
}

/**
 * Self-contained tickets are off: such a ticket alone would be taken for an authorised peer. What TLS 1.3 sends in
 * their place names a session of this server (RFC 8446, section 4.6.1), and without a `resumeSession` listener none is
 * ever found.
 */
function contextOf({ identity, tenantCaPem }: AcceptorTrust): Parameters<Server['setSecureContext']>[0] {
  return {
    cert: identity.certificatePem,
    key: identity.privateKeyPem,
    ca: tenantCaPem,
    minVersion: 'TLSv1.3',
    ecdhCurve: TUNNEL_GROUPS,
    secureOptions: constants.SSL_OP_NO_TICKET,
  }
}

function admit(socket: TLSSocket, { tenant, onTunnel, onRefused }: TunnelAcceptorOptions): void {
  const peer = judgeDevice(socket, tenant)
  if (peer instanceof TunnelError) {
    socket.on('error', () => undefined).destroy()
    onRefused(peer)
  } else {
    onTunnel({ socket, peer })
  }
}

/** What still speaks against a peer whose chain leads to the tenant CA, or who it is. */
function judgeDevice(socket: TLSSocket, tenant: string): AcceptedTunnel['peer'] | TunnelError {
  if (!socket.authorized) return new TunnelError('untrusted_certificate')
  if (socket.isSessionReused()) return new TunnelError('session_resumed')
  if (socket.alpnProtocol !== TUNNEL_ALPN) return new TunnelError('wrong_protocol')
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return new TunnelError('no_certificate')
  try {
    const identity = identityOf(certificate)
    if (identity.role !== 'device' || identity.tenant !== tenant) return new TunnelError('wrong_identity')
    return { deviceId: identity.id, jkt: thumbprintOf(certificate.publicKey) }
  } catch (cause) {
    if (cause instanceof TrustError) return new TunnelError('wrong_identity', cause.message, { cause })
    throw cause
  }
}
