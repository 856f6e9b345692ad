import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { OpenRequest } from '@sallyport/wire'

/** Opens a TCP connection, by itself or through a proxy. Rejects when it cannot; gives up when `signal` aborts. */
export type Connect = (target: { host: string; port: number }, signal: AbortSignal) => Promise<Duplex>

/** Key and certificate that this end shows, both PEM. */
export type TunnelIdentity = { certificatePem: string; privateKeyPem: string }

/** Whom a tunnel is to reach, and through which Relay. */
export type TunnelTarget = {
  /** Address that is dialled. */
  host: string
  port: number
  /** Name of the Relay: the part of the server name after the capability. */
  relayName: string
  /** 61 bytes. */
  capability: Uint8Array
  connectorId: string
  /** SHA-256 of the Connector's SubjectPublicKeyInfo, base64url. */
  pin: string
}

/** A tunnel that a Client has dialled: every check of the Connector has passed. */
export type Tunnel = { socket: TLSSocket; connectorId: string }

/** A tunnel that a Connector has accepted: every check of the device has passed. */
export type AcceptedTunnel = {
  socket: TLSSocket
  peer: {
    deviceId: string
    /** RFC 7638 thumbprint of the certificate's key, to be compared with `cnf.jkt` of the Client ACL. */
    jkt: string
  }
}

/** What the Connector answers to an OPEN; the first call counts, later ones are ignored. */
export type OpenAnswer<Stream extends Duplex> = {
  readonly request: OpenRequest
  /** Aborts when the opener gives up or the session ends before an answer. */
  readonly signal: AbortSignal
  accept(): Stream
  reject(code: import('@sallyport/wire').ResetCode): void
}
