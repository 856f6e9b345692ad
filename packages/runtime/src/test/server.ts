import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import { createCa, generateKeyPair, issueServingCertificate, privateKeyToPem } from '@sallyport/trust'
import { systemClock } from '../clock.ts'

/** An installation CA and a serving certificate for 127.0.0.1 and `relay.test`. */
export function servingIdentity() {
  const life = { nowMs: systemClock.now(), lifeSeconds: 3600 }
  const ca = createCa({ commonName: 'test installation' }, life)
  const keys = generateKeyPair()
  const names = { publicKey: keys.publicKey, dnsNames: ['relay.test', 'localhost'], ipAddresses: ['127.0.0.1'] }
  return {
    ca: ca.certificatePem,
    caKey: ca.privateKey,
    cert: issueServingCertificate(ca, names, life) + ca.certificatePem,
    key: privateKeyToPem(keys.privateKey),
  }
}

/** A port of 127.0.0.1 that refuses: it is the own end of a connection, so nobody can listen there until `close`. */
export async function startRefusing(): Promise<{ port: number; close: () => void }> {
  const server = createTcpServer(peer => peer.on('error', () => undefined).resume())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await new Promise<void>((resolve, reject) => socket.once('error', reject).once('connect', resolve))
  const close = () => {
    socket.destroy()
    server.close()
  }
  return { port: socket.localPort ?? 0, close }
}

/** An HTTPS server on loopback that can drop all its connections. */
export async function startServer(
  identity: { cert: string; key: string },
  onRequest: (request: IncomingMessage, response: ServerResponse) => void = (_, response) => response.end(),
  port = 0,
) {
  const server: Server = createServer({ cert: identity.cert, key: identity.key, minVersion: 'TLSv1.3' }, onRequest)
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('tlsClientError', () => undefined)
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  const address = server.address() as AddressInfo
  const drop = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    server,
    port: address.port,
    connections: () => sockets.size,
    drop,
    close: () =>
      new Promise<void>(resolve => {
        server.close(() => resolve())
        drop()
      }),
  }
}
