import type { Socket } from 'node:net'
import type { ServerChannel } from '@sallyport/runtime'
import type { ConnectorId, RelayToConnector } from '@sallyport/schema'
import { Demand } from './demand.ts'
import type { SocketSource } from './handover.ts'
import { SocketQueue, type Waiter } from './socket-queue.ts'

/** A Connector that is registered: its control channel, its idle sockets, the Clients that wait for one. */
export class RegisteredConnector implements SocketSource {
  readonly id: ConnectorId
  readonly #channel: ServerChannel<RelayToConnector>
  readonly #nowMs: () => number
  readonly #queue = new SocketQueue<Socket>()
  readonly #demand = new Demand()
  readonly #listeners = new Map<Socket, () => void>()

  constructor(id: ConnectorId, channel: ServerChannel<RelayToConnector>, nowMs: () => number) {
    this.id = id
    this.#channel = channel
    this.#nowMs = nowMs
  }

  get idle(): number {
    return this.#queue.idle
  }

  get waiting(): number {
    return this.#queue.waiting
  }

  send(message: RelayToConnector): void {
    this.#channel.send(message)
  }

  /** Takes a data socket that has shown its key, paused: for a Client that waits, else for one that will come. */
  offer(socket: Socket) {
    switch (this.#queue.offer(socket)) {
      case 'taken':
        return
      case 'kept':
        return this.#watch(socket)
      case 'refused':
        socket.destroy()
    }
  }

  take(): Socket | undefined {
    const socket = this.#queue.take()
    if (socket !== undefined) {
      this.#forget(socket)
      socket.pause()
    }
    this.#tellDemand(this.#demand.taken(this.#queue.idle, this.#nowMs()))
    return socket
  }

  wait(waiter: Waiter<Socket>): boolean {
    return this.#queue.wait(waiter)
  }

  cancel(waiter: Waiter<Socket>): void {
    this.#queue.cancel(waiter)
  }

  sweep(): void {
    this.#tellDemand(this.#demand.sweep(this.#nowMs()))
  }

  /** Its channel has ended: idle sockets are closed, tunnels stay. */
  close(): void {
    for (const socket of this.#queue.close()) {
      this.#forget(socket)
      socket.destroy()
    }
  }

  /** Ends the channel in order. */
  hangUp(reason: string): void {
    this.#channel.close(reason)
  }

  #watch(socket: Socket): void {
    const onGone = () => {
      this.#queue.remove(socket)
      this.#forget(socket)
      socket.destroy()
    }
    // A Connector says nothing before a Client does: one that does is not kept.
    socket.on('data', onGone).on('end', onGone).on('close', onGone)
    this.#listeners.set(socket, () => socket.off('data', onGone).off('end', onGone).off('close', onGone))
    socket.resume()
  }

  #forget(socket: Socket): void {
    this.#listeners.get(socket)?.()
    this.#listeners.delete(socket)
  }

  #tellDemand(changed: boolean): void {
    if (changed) this.#channel.send({ type: 'want', idle: this.#demand.want })
  }
}
