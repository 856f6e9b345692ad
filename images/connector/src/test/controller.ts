import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { acceptControlChannel, messageParser, refuseUpgrade, type ServerChannel, systemClock } from '@sallyport/runtime'
import { EnrolRequest, FromConnector, parser, type ToConnector } from '@sallyport/schema'
import {
  connectorIdOf,
  issueIdentityCertificate,
  issueRelayPass,
  pinOf,
  publicKeyFromJwk,
  signingKey,
  thumbprintOf,
  verifyControllerAssertion,
  verifyEnrolmentProof,
} from '@sallyport/trust'
import { life, serving, tenantCa } from './identity.ts'
import { NETWORK, TENANT } from './world.ts'

const SLOT = '44444444-4444-4444-8444-444444444444'
const incoming = messageParser(FromConnector)
const enrolRequest = parser(EnrolRequest)
export const relayPassKey = signingKey('relayPass')

type Key = { connectorId: string; jkt: string; pin: string }

/** The Controller's end of the protocol as far as a Connector meets it; what it pushes is up to the test. */
export async function startTestController(token: { value: string }, port = 0) {
  const received: FromConnector[] = []
  const enrolled: Key[] = []
  const refusals: string[] = []
  const channels: ServerChannel<ToConnector>[] = []
  const state = {
    known: true,
    blocked: false,
    loseReplies: 0,
    occupied: false,
    onOpen: (_push: (message: ToConnector) => void) => {},
  }
  let used: string | undefined

  const enrol = (body: unknown): [number, unknown] => {
    const refuse = (status: number, error: string): [number, unknown] => {
      refusals.push(error)
      return [status, { error, message: error }]
    }
    if (!enrolRequest.check(body)) return refuse(400, 'invalid_body')
    const publicKey = publicKeyFromJwk(body.publicKey)
    const nowMs = systemClock.now()
    verifyEnrolmentProof(body.proof, { nowMs, enrolmentToken: body.token, publicKey })
    const connectorId = connectorIdOf(publicKey)
    if (state.occupied) return refuse(409, 'slot_occupied')
    const again = enrolled.at(-1)?.connectorId === connectorId
    if (body.token === used && !again) return refuse(409, 'token_used')
    if (body.token !== token.value) return refuse(401, 'unknown_token')
    used = body.token
    if (!again) enrolled.push({ connectorId, jkt: thumbprintOf(publicKey), pin: pinOf(publicKey) })
    state.known = true
    const certificate = issueIdentityCertificate(tenantCa, { publicKey, tenant: TENANT, role: 'connector' }, life())
    return [200, { connectorId, slot: SLOT, network: NETWORK, certificate }]
  }

  const onRequest = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const [status, body] = enrol(JSON.parse(Buffer.concat(chunks).toString()))
    if (state.loseReplies-- > 0) return void request.socket.destroy()
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
  const server = createServer({ ...serving('controller.test'), minVersion: 'TLSv1.3' }, (request, response) => {
    onRequest(request, response).catch(error => response.destroy(error))
  })
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
  })
  server.on('tlsClientError', () => undefined)
  server.on('upgrade', (request, socket, head) => {
    const bearer = request.headers.authorization?.replace('Bearer ', '') ?? ''
    const { connectorId } = verifyControllerAssertion(bearer, { nowMs: systemClock.now() })
    if (!state.known || enrolled.at(-1)?.connectorId !== connectorId) {
      return refuseUpgrade(socket, 401, { error: 'unknown_connector', message: 'enrol again' })
    }
    if (state.blocked) return refuseUpgrade(socket, 403, { error: 'connector_blocked', message: 'blocked' })
    acceptControlChannel<FromConnector, ToConnector>(
      request,
      socket,
      head,
      {
        incoming,
        heartbeat: () => ({ type: 'heartbeat', nowMs: systemClock.now() }),
        onMessage: message => {
          received.push(message)
          if (message.type === 'accessLog') {
            channels.at(-1)?.send({ type: 'accessLogAck', ids: message.records.map(({ id }) => id) })
          }
        },
        onEnd: () => undefined,
      },
      channel => {
        channels.push(channel)
        state.onOpen(message => channel.send(message))
      },
    )
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  const address = server.address() as AddressInfo
  return {
    url: `https://127.0.0.1:${address.port}`,
    port: address.port,
    received,
    enrolled,
    refusals,
    state,
    /** Sends to the Connector that is connected. */
    push: (...messages: ToConnector[]) => {
      for (const message of messages) channels.at(-1)?.send(message)
    },
    connections: () => channels.length,
    last: <T extends FromConnector['type']>(type: T) =>
      received.findLast((message): message is Extract<FromConnector, { type: T }> => message.type === type),
    records: () => received.flatMap(message => (message.type === 'accessLog' ? message.records : [])),
    passFor: (relay: string, key = enrolled.at(-1)!) =>
      issueRelayPass(relayPassKey, { connectorId: key.connectorId as never, jkt: key.jkt, relay }, life()),
    dropChannels: () => {
      for (const channel of channels) channel.terminate()
    },
    close: () =>
      new Promise<void>(resolve => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}
export type TestController = Awaited<ReturnType<typeof startTestController>>
