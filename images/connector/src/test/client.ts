import { randomBytes } from 'node:crypto'
import { ClientSession, connectTcp, dialTunnel, type SessionClose, StreamResetError } from '@sallyport/runtime'
import { sha256, toBase64Url } from '@sallyport/trust'
import type { OpenRequest } from '@sallyport/wire'
import { identity, tenantCa } from './identity.ts'
import type { TestRelay } from './relay.ts'
import { device, type makeDevice, TENANT, WEB } from './world.ts'

/** A device with a session to the Connector behind `relay`. */
export async function startClient(
  relay: TestRelay,
  connector: { connectorId: string; pin: string },
  acl: string,
  holder: ReturnType<typeof makeDevice> = device,
) {
  const closed: SessionClose[] = []
  const socket = await dialTunnel({
    target: {
      host: relay.host,
      port: relay.port,
      relayName: relay.name,
      capability: relay.capability(connector.connectorId),
      connectorId: connector.connectorId,
      pin: connector.pin,
    },
    identity: identity(holder.keys, 'device'),
    tenant: TENANT,
    tenantCaPem: tenantCa.certificatePem,
    connect: (host, port, signal) => connectTcp(host, port, { signal }),
  })
  const bytes = Buffer.from(acl)
  const session = new ClientSession({
    instance: toBase64Url(randomBytes(16)),
    acl: { bytes, hash: toBase64Url(sha256(bytes)) },
    events: { closed: end => closed.push(end) },
  })
  session.attach(socket)
  const open = (host: string, port: number, resource = WEB, protocol: OpenRequest['protocol'] = 'tcp') =>
    session.open({ resource, host, port, protocol })
  return {
    session,
    socket,
    closed,
    open,
    /** Reset code with which an OPEN is refused; `opened` when it is not. */
    refusal: (...request: Parameters<typeof open>) =>
      open(...request).then(
        stream => {
          stream.destroy()
          return 'opened'
        },
        (error: unknown) => (error instanceof StreamResetError ? error.code : String(error)),
      ),
  }
}

/** Sends `text` and reads until `length` characters have come. */
export async function ask(stream: Awaited<ReturnType<ClientSession['open']>>, text: string, length: number) {
  stream.write(text)
  let answer = ''
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    answer += chunk
    if (answer.length >= length) break
  }
  return answer
}
