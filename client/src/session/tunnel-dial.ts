import type { Duplex } from 'node:stream'
import {
  ClientSession,
  type Clock,
  connectTcp,
  dialTunnel,
  type ProxySettings,
  requireHostPort,
  StreamResetError,
  TunnelError,
  type TunnelErrorCode,
} from '@sallyport/runtime'
import { type KeyPair, privateKeyToPem, randomId, sha256, toBase64Url } from '@sallyport/trust'
import { capabilityFromText, type OpenRequest, WireError } from '@sallyport/wire'
import type { Knowledge, NetworkView } from '../access/knowledge.ts'
import type { Candidate } from './candidate.ts'
import { type Dial, DialFailed, type DialFault, type LiveSession, OpenRefused } from './live-session.ts'

export type TunnelDialOptions = {
  knowledge: Knowledge
  keys: KeyPair
  proxy: ProxySettings
  clock: Clock
}

/** Makes sessions over tunnels through Relays, with what is known at the moment of the dial. */
export function tunnelDial({ knowledge, keys, proxy, clock }: TunnelDialOptions): Dial {
  const privateKeyPem = privateKeyToPem(keys.privateKey)
  return async (network, candidate, capability, signal) => {
    const { certificate, tenantCa, welcome } = knowledge
    if (certificate === undefined || tenantCa === undefined || welcome === undefined) {
      throw new DialFailed('self', 'the Controller has not issued a certificate yet')
    }
    const { host, port } = requireHostPort(candidate.address)
    try {
      const socket = await dialTunnel({
        target: {
          host,
          port,
          relayName: candidate.relay,
          capability: capabilityFromText(capability),
          connectorId: candidate.connector,
          pin: candidate.pin,
        },
        identity: { certificatePem: certificate, privateKeyPem },
        tenant: welcome.tenant,
        tenantCaPem: tenantCa,
        connect: (to, at, stop) => connectTcp(to, at, { proxy, clock, signal: stop }),
        clock,
        signal,
      })
      return new TunnelSession(candidate, socket, network, clock)
    } catch (error) {
      throw dialFailure(error)
    }
  }
}

class TunnelSession implements LiveSession {
  readonly connector: string
  readonly relay: string
  readonly ended: Promise<string>
  readonly #session: ClientSession
  #accepting = true

  constructor({ connector, relay }: Candidate, socket: Duplex, { aclJwt }: NetworkView, clock: Clock) {
    this.connector = connector
    this.relay = relay
    const { promise, resolve } = Promise.withResolvers<string>()
    this.ended = promise
    this.#session = new ClientSession({
      // Of its own for each session: a second way to the same Connector must not replace the first.
      instance: randomId(),
      acl: aclOf(aclJwt),
      clock,
      events: {
        goaway: () => {
          this.#accepting = false
        },
        closed: ({ code }) => {
          this.#accepting = false
          resolve(code)
        },
      },
    })
    this.#session.attach(socket)
  }

  get accepting(): boolean {
    return this.#accepting && !this.#session.closed
  }

  async open(request: OpenRequest, signal: AbortSignal): Promise<Duplex> {
    try {
      return await this.#session.open(request, signal)
    } catch (error) {
      if (error instanceof StreamResetError) throw new OpenRefused(error.code, error.message, { cause: error })
      throw error
    }
  }

  renewAcl(jwt: string): void {
    if (!this.#session.closed) this.#session.renewAcl(aclOf(jwt))
  }

  close(): void {
    this.#accepting = false
    this.#session.close()
  }
}

function aclOf(jwt: string) {
  const bytes = new TextEncoder().encode(jwt)
  return { bytes, hash: toBase64Url(sha256(bytes)) }
}

const FAULTS: Partial<Record<TunnelErrorCode, DialFault>> = {
  relay_unreachable: 'relay',
  capability_refused: 'capability',
  capability_expired: 'capability',
  aborted: 'self',
}

function dialFailure(error: unknown): DialFailed {
  if (error instanceof DialFailed) return error
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof TunnelError) return new DialFailed(FAULTS[error.code] ?? 'connector', message, { cause: error })
  if (error instanceof WireError) return new DialFailed('capability', message, { cause: error })
  return new DialFailed('self', message, { cause: error })
}
