import type { Socket } from 'node:net'
import type { Clock, Log } from '@sallyport/runtime'
import { openCapability } from '@sallyport/trust'
import { encodeAlert, HANDSHAKE_TIMEOUT_MS, type RelayRefusal } from '@sallyport/wire'
import { CapabilityLimit } from './capability-limit.ts'
import { Handover, type HandoverResult } from './handover.ts'
import { LINGER_MS } from './limit.ts'
import type { RelayMetrics } from './metrics.ts'
import type { Registry } from './registry.ts'
import type { RelayIdentity } from './relay-secret.ts'
import { RingPool } from './ring-pool.ts'
import { Splice } from './splice.ts'

export type TunnelsOptions = {
  registry: Registry
  metrics: RelayMetrics
  clock: Clock
  log: Log
  maxTunnels: number
}

type Answered = Extract<HandoverResult, { kind: 'answered' }>
type Counted = { up: number; down: number }

/** The Clients of a Relay: admitted by capability, handed to a Connector, spliced, or told why not. */
export class Tunnels {
  readonly #options: TunnelsOptions
  readonly #capabilities = new CapabilityLimit()
  readonly #rings = new RingPool()
  readonly #handovers = new Set<Socket>()
  readonly #splices = new Map<Splice, Counted>()
  #onEmpty: (() => void) | undefined

  constructor(options: TunnelsOptions) {
    this.#options = options
  }

  get open(): number {
    return this.#splices.size
  }

  /** Takes a Client that showed `capability`; `hello` is all that it has sent. */
  admit(client: Socket, hello: Buffer, capability: Uint8Array, { keys }: RelayIdentity) {
    const { clock, registry, metrics, maxTunnels } = this.#options
    const verdict = openCapability(capability, keys, clock.now())
    if (!verdict.ok) return this.#refuse(client, verdict.reason)
    const { connectorId, serial } = verdict.capability
    const source = registry.find(connectorId)
    if (source === undefined) return this.#refuse(client, 'connector_unknown')
    if (this.#splices.size + this.#handovers.size >= maxTunnels) return this.#refuse(client, 'no_idle_socket')
    if (!this.#capabilities.begin(serial, clock.monotonic())) return this.#refuse(client, 'capability_refused')
    this.#handovers.add(client)
    new Handover({
      client,
      hello,
      source,
      clock,
      onReplay: () => metrics.replays.inc(),
      onResult: result => {
        this.#handovers.delete(client)
        if (result.kind === 'answered') return this.#splice(client, result, hello.length, serial)
        this.#capabilities.end(serial)
        if (result.kind === 'refused') this.#refuse(client, result.refusal)
        this.#tellEmpty()
      },
    })
  }

  sweep(): void {
    const nowMs = this.#options.clock.monotonic()
    this.#capabilities.sweep(nowMs)
    for (const [splice, counted] of this.#splices) {
      splice.sweep(nowMs)
      this.#count(splice, counted)
    }
  }

  /** Resolves when there is none. */
  async ended(): Promise<void> {
    if (this.#splices.size + this.#handovers.size === 0) return
    await new Promise<void>(resolve => {
      this.#onEmpty = resolve
    })
  }

  /** Cuts every one. */
  cut(): void {
    for (const splice of this.#splices.keys()) splice.cut()
    for (const client of this.#handovers) client.destroy()
  }

  /** The handshake counts as being in flight until the Client goes on with it. */
  #splice(client: Socket, { connector, answer }: Answered, handedOver: number, serial: bigint): void {
    const { clock, metrics } = this.#options
    const counted = { up: 0, down: 0 }
    let inFlight = true
    const settle = () => {
      if (!inFlight) return
      inFlight = false
      deadline.cancel()
      this.#capabilities.end(serial)
    }
    const deadline = clock.timer(HANDSHAKE_TIMEOUT_MS, () => splice.cut())
    metrics.tunnels.inc()
    const splice = new Splice(client, connector, answer, {
      handedOver,
      rings: this.#rings,
      onClientAnswer: settle,
      onEnd: () => {
        settle()
        this.#count(splice, counted)
        this.#splices.delete(splice)
        this.#tellEmpty()
      },
    })
    this.#splices.set(splice, counted)
  }

  /** Tells the Client by a TLS alert, and waits a little for it to be read. */
  #refuse(client: Socket, refusal: RelayRefusal): void {
    const { metrics, log, clock } = this.#options
    metrics.refusals.inc({ reason: refusal })
    log.debug({ peer: client.remoteAddress, refusal }, 'Client refused')
    client.end(encodeAlert(refusal))
    client.resume()
    const linger = clock.timer(LINGER_MS, () => client.destroy())
    client.once('close', () => linger.cancel())
  }

  #count({ up, down }: Splice, counted: Counted): void {
    const { bytes } = this.#options.metrics
    bytes.inc({ direction: 'up' }, up - counted.up)
    bytes.inc({ direction: 'down' }, down - counted.down)
    Object.assign(counted, { up, down })
  }

  #tellEmpty(): void {
    if (this.#splices.size + this.#handovers.size === 0) this.#onEmpty?.()
  }
}
