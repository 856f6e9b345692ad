import type { Socket } from 'node:net'
import type { Clock, Log, ServerChannel } from '@sallyport/runtime'
import type { ConnectorId, RelayToConnector } from '@sallyport/schema'
import type { RandomBytes } from '@sallyport/trust'
import { RegisteredConnector } from './connector.ts'
import type { Registration } from './control.ts'
import { MAX_CONNECTORS } from './limit.ts'
import { SlotBook } from './slot-book.ts'

/** The Connectors that are registered, and the keys with which they may offer sockets. */
export class Registry {
  readonly #connectors = new Map<ConnectorId, RegisteredConnector>()
  readonly #slots: SlotBook<RegisteredConnector>
  readonly #clock: Clock
  readonly #log: Log

  constructor({ clock, log, random }: { clock: Clock; log: Log; random: RandomBytes }) {
    this.#clock = clock
    this.#log = log
    this.#slots = new SlotBook(random)
  }

  get size(): number {
    return this.#connectors.size
  }

  get idleSockets(): number {
    return this.#sum(connector => connector.idle)
  }

  get waitingClients(): number {
    return this.#sum(connector => connector.waiting)
  }

  find(id: ConnectorId): RegisteredConnector | undefined {
    return this.#connectors.get(id)
  }

  /** Registers a Connector in place of one with the same key; undefined when there are too many. */
  register(id: ConnectorId, channel: ServerChannel<RelayToConnector>): Registration | undefined {
    const former = this.#connectors.get(id)
    if (former === undefined && this.#connectors.size >= MAX_CONNECTORS) return undefined
    if (former !== undefined) {
      this.#remove(former, 'registered again')
      former.hangUp('registered again')
    }
    const connector = new RegisteredConnector(id, channel, () => this.#clock.monotonic())
    this.#connectors.set(id, connector)
    this.#log.info({ connector: id }, 'Connector registered')
    connector.send({ type: 'registered', nowMs: this.#clock.now() })
    return {
      onNeedSlots: count => {
        if (this.#connectors.get(id) !== connector) return
        connector.send({ type: 'slots', keys: this.#slots.issue(connector, count, this.#clock.monotonic()) })
      },
      onEnd: reason => this.#remove(connector, reason),
    }
  }

  /** Takes a data socket that shows `key`; false when the key is not good. */
  offer(key: string, socket: Socket): boolean {
    const connector = this.#slots.take(key, this.#clock.monotonic())
    connector?.offer(socket)
    return connector !== undefined
  }

  sweep(): void {
    for (const connector of this.#connectors.values()) connector.sweep()
  }

  /** Says that the Relay is shutting down, and lets every Connector go. */
  drain(): void {
    for (const connector of [...this.#connectors.values()]) {
      connector.send({ type: 'draining' })
      this.#remove(connector, 'draining')
      connector.hangUp('draining')
    }
  }

  #remove(connector: RegisteredConnector, reason: string): void {
    if (this.#connectors.get(connector.id) !== connector) return
    this.#connectors.delete(connector.id)
    this.#slots.forget(connector)
    connector.close()
    this.#log.info({ connector: connector.id, reason }, 'Connector gone')
  }

  #sum(count: (connector: RegisteredConnector) => number): number {
    let sum = 0
    for (const connector of this.#connectors.values()) sum += count(connector)
    return sum
  }
}
