import { constants } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import {
  acceptControlChannel,
  type Clock,
  type LinkEnd,
  messageParser,
  refuseUpgrade,
  type ServerChannel,
} from '@sallyport/runtime'
import { type ConnectorId, ConnectorToRelay, RELAY_EXPORTER_LABEL, type RelayToConnector } from '@sallyport/schema'
import { type RandomBytes, toBase64Url } from '@sallyport/trust'
import { HANDSHAKE_TIMEOUT_MS } from '@sallyport/wire'
import { MAX_CONNECTOR_MESSAGE_BYTES, NONCE_BYTES } from './limit.ts'
import { judgeRegistration } from './registration.ts'
import type { RelayIdentity } from './relay-secret.ts'

const EXPORTER_BYTES = 32
const MAX_HEADER_BYTES = 16 * 1024
const NO_SUCH_PAGE = { error: 'not_found', message: 'no such page at a Relay' } as const
const fromConnector = messageParser(ConnectorToRelay)

/** What becomes of a Connector after it has been registered. */
export type Registration = {
  onNeedSlots: (count: number) => void
  onEnd: (reason: string) => void
}

export type ControlOptions = {
  /** The Secret as it is now. */
  identity: () => RelayIdentity
  clock: Clock
  random: RandomBytes
  /** The connection named so (see {@link connectionName}) has proved to be of a Connector; a string refuses it. */
  onConnector: (id: ConnectorId, channel: ServerChannel<RelayToConnector>, connection: string) => Registration | string
  onRefused: (code: string, connection: string) => void
}

/** A connection by its four numbers: the TLS socket and the socket under it have the same. */
export function connectionName({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}

/** The control endpoint: TLS with the Relay's serving certificate, and on it what each path takes. */
export class ControlEndpoint {
  readonly #options: ControlOptions
  readonly #server: Server
  /** The fallback carrier `/v1/tunnel` will be a second row. */
  readonly #upgrades: Readonly<Record<string, (request: IncomingMessage, socket: Duplex, head: Buffer) => void>> = {
    '/v1/connector': (request, socket, head) => this.#acceptConnector(request, socket, head),
  }

  constructor(options: ControlOptions) {
    this.#options = options
    this.#server = createServer({
      ...contextOf(options.identity()),
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      keepAlive: false,
    })
    this.#server.on('tlsClientError', (_error, socket) => socket.destroy())
    this.#server.on('request', (request, response) => {
      request.resume()
      response.writeHead(404, { 'content-type': 'application/json', connection: 'close' })
      response.end(JSON.stringify(NO_SUCH_PAGE))
    })
    this.#server.on('upgrade', (request, socket, head) => {
      const path = request.url?.split('?')[0] ?? ''
      if (Object.hasOwn(this.#upgrades, path)) this.#upgrades[path]!(request, socket, head)
      else refuseUpgrade(socket, 404, NO_SUCH_PAGE)
    })
  }

  /** Takes a connection from its ClientHello on, which stands in the socket's buffer. */
  accept(socket: Socket): void {
    this.#server.emit('connection', socket)
  }

  /** Shows the certificate of the Secret as it is now to those who connect from here on. */
  renew(): void {
    this.#server.setSecureContext(contextOf(this.#options.identity()))
  }

  #acceptConnector(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (!(socket instanceof TLSSocket)) throw new TypeError('an upgrade without TLS')
    const { clock, random, onConnector, onRefused } = this.#options
    const connection = connectionName(socket)
    const nonce = toBase64Url(random(NONCE_BYTES))
    const exporter = toBase64Url(socket.exportKeyingMaterial(EXPORTER_BYTES, RELAY_EXPORTER_LABEL, Buffer.alloc(0)))
    let channel: ServerChannel<RelayToConnector> | undefined
    let registration: Registration | undefined
    const refuse = (code: string, message: string) => {
      onRefused(code, connection)
      channel?.send({ type: 'refused', code, message })
      channel?.close(code)
    }
    const register = (message: { pass: string; assertion: string }) => {
      if (registration !== undefined) return refuse('already_registered', 'this connection is registered already')
      const { name, passKeys } = this.#options.identity()
      const verdict = judgeRegistration(message, { relay: name, passKeys, nonce, exporter, nowMs: clock.now() })
      if (!verdict.ok) return refuse(verdict.code, verdict.message)
      const accepted = onConnector(verdict.connectorId, channel!, connection)
      if (typeof accepted === 'string') return refuse(accepted, 'the Relay takes no further Connector')
      registration = accepted
    }
    const options = {
      incoming: fromConnector,
      heartbeat: (): RelayToConnector => ({ type: 'heartbeat', nowMs: clock.now() }),
      onMessage: (message: ConnectorToRelay) => {
        switch (message.type) {
          case 'register':
            return register(message)
          case 'needSlots':
            return registration?.onNeedSlots(message.count)
          case 'heartbeat':
            return
        }
      },
      onEnd: ({ message }: LinkEnd) => registration?.onEnd(message),
      maxMessageBytes: MAX_CONNECTOR_MESSAGE_BYTES,
      clock,
    }
    acceptControlChannel<ConnectorToRelay, RelayToConnector>(request, socket, head, options, opened => {
      channel = opened
      opened.send({ type: 'challenge', nonce })
    })
  }
}

function contextOf({ certificatePem, privateKeyPem }: RelayIdentity) {
  return {
    cert: certificatePem,
    key: privateKeyPem,
    minVersion: 'TLSv1.3',
    secureOptions: constants.SSL_OP_NO_TICKET,
  } as const
}
