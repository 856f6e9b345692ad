import { randomBytes } from 'node:crypto'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { acceptControlChannel, messageParser, pump, type ServerChannel, systemClock } from '@sallyport/runtime'
import { ConnectorToRelay, RELAY_EXPORTER_LABEL, type RelayToConnector } from '@sallyport/schema'
import { firstOf, jwksOf, toBase64Url, verifyKeys, verifyRelayAssertion, verifyRelayPass } from '@sallyport/trust'
import { classifyServerName, readClientHello, slotKeyToText } from '@sallyport/wire'
import { relayPassKey } from './controller.ts'
import { serving } from './identity.ts'

const incoming = messageParser(ConnectorToRelay)

/** A Relay's end of the protocol as far as a Connector meets it; it knows one Connector and admits every capability. */
export async function startTestRelay(name: string) {
  const keys = verifyKeys(jwksOf(firstOf(relayPassKey)))
  const slots = new Set<string>()
  const idle: Socket[] = []
  const problems: string[] = []
  const sockets = new Set<Socket>()
  const channels: ServerChannel<RelayToConnector>[] = []
  let registrations = 0

  const control = createHttpsServer({ ...serving(name), minVersion: 'TLSv1.3' })
  control.on('tlsClientError', () => undefined)
  control.on('upgrade', (request, socket, head) => {
    const nonce = toBase64Url(randomBytes(16))
    const exporter = toBase64Url((socket as TLSSocket).exportKeyingMaterial(32, RELAY_EXPORTER_LABEL, Buffer.alloc(0)))
    acceptControlChannel<ConnectorToRelay, RelayToConnector>(
      request,
      socket,
      head,
      {
        incoming,
        heartbeat: () => ({ type: 'heartbeat', nowMs: systemClock.now() }),
        onEnd: () => {
          for (const socket of idle.splice(0)) socket.destroy()
        },
        onMessage: message => {
          const channel = channels.at(-1)!
          if (message.type === 'needSlots') {
            const fresh = Array.from({ length: message.count }, () => slotKeyToText(randomBytes(16)))
            for (const key of fresh) slots.add(key)
            channel.send({ type: 'slots', keys: fresh })
          }
          if (message.type !== 'register') return
          try {
            const nowMs = systemClock.now()
            const { jkt } = verifyRelayAssertion(message.assertion, { relay: name, nonce, exporter, nowMs })
            verifyRelayPass(message.pass, { relay: name, jkt, keys, nowMs })
            registrations++
            channel.send({ type: 'registered', nowMs })
          } catch (error) {
            problems.push(String(error))
            channel.send({ type: 'refused', code: 'bad_registration', message: String(error) })
          }
        },
      },
      channel => {
        channels.push(channel)
        channel.send({ type: 'challenge', nonce })
      },
    )
  })

  const server = createServer({ allowHalfOpen: true }, socket => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    let bytes = Buffer.alloc(0)
    const onData = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      const hello = readClientHello(bytes)
      if (hello.kind !== 'hello') return
      socket.off('data', onData).pause()
      const asked = classifyServerName(hello.serverName, name)
      if (asked.kind === 'control') {
        socket.unshift(bytes)
        control.emit('connection', socket)
      } else if (asked.kind === 'slot' && slots.delete(asked.key)) {
        idle.push(socket)
      } else if (asked.kind === 'capability') {
        const connector = idle.shift()
        if (connector === undefined) return void socket.destroy()
        connector.write(bytes)
        pump(socket, connector)
        for (const side of [socket, connector]) side.resume()
      } else {
        socket.destroy()
      }
    }
    socket.on('data', onData)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    name,
    port,
    address: `127.0.0.1:${port}`,
    problems,
    registrations: () => registrations,
    idle: () => idle.filter(socket => !socket.destroyed).length,
    want: (count: number) => channels.at(-1)?.send({ type: 'want', idle: count }),
    close: () =>
      new Promise<void>(resolve => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}
export type TestRelay = Awaited<ReturnType<typeof startTestRelay>>
