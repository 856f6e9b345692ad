import type { Socket } from 'node:net'
import type { Clock, Timer } from '@sallyport/runtime'
import { REPLAY_AFTER_MS, type RelayRefusal, SOCKET_WAIT_MS } from '@sallyport/wire'
import { ANSWER_TIMEOUT_MS, MAX_ATTEMPTS } from './limit.ts'
import type { Waiter } from './socket-queue.ts'

/** Where idle sockets of one Connector come from. */
export type SocketSource = {
  /** Takes an idle socket, paused. */
  take(): Socket | undefined
  /** Waits for one; false when too many do. */
  wait(waiter: Waiter<Socket>): boolean
  cancel(waiter: Waiter<Socket>): void
}

export type HandoverResult =
  | { kind: 'answered'; connector: Socket; answer: Buffer }
  | { kind: 'refused'; refusal: RelayRefusal }
  | { kind: 'client_gone' }

export type HandoverOptions = {
  client: Socket
  /** The Client's ClientHello and whatever came with it. */
  hello: Buffer
  source: SocketSource
  clock: Clock
  onReplay: () => void
  /** Called once. An answering socket is handed over paused, without listeners of the handover. */
  onResult: (result: HandoverResult) => void
}

/**
 * Gives a ClientHello to an idle socket of a Connector. One that stays silent is not given up, but after 500 ms the bytes go to another as
 * well, at once when it is closed: idle sockets may be dead without knowing it. The first that answers has the Client, the others are closed.
 */
export class Handover {
  readonly #options: HandoverOptions
  readonly #attempts = new Map<Socket, () => void>()
  readonly #deadline: Timer
  #tries = 0
  #replay: Timer | undefined
  #patience: Timer | undefined
  #waiter: Waiter<Socket> | undefined
  #done = false

  constructor(options: HandoverOptions) {
    this.#options = options
    this.#deadline = options.clock.timer(ANSWER_TIMEOUT_MS, () => this.#refuse('no_idle_socket'))
    options.client.on('close', this.#onClientClose)
    this.#seek()
  }

  readonly #onClientClose = (): void => this.#finish({ kind: 'client_gone' })

  #seek() {
    if (this.#done || this.#waiter !== undefined) return
    const { source, clock } = this.#options
    if (this.#tries >= MAX_ATTEMPTS) return this.#refuseWithoutAttempt()
    const socket = source.take()
    if (socket !== undefined) return this.#try(socket)
    const waiter: Waiter<Socket> = found => {
      this.#stopWaiting()
      if (found === undefined) this.#refuseWithoutAttempt('connector_unknown')
      else this.#try(found)
    }
    if (!source.wait(waiter)) return this.#refuseWithoutAttempt()
    this.#waiter = waiter
    this.#patience = clock.timer(SOCKET_WAIT_MS, () => {
      source.cancel(waiter)
      this.#stopWaiting()
      this.#refuseWithoutAttempt()
    })
  }

  #stopWaiting(): void {
    this.#waiter = undefined
    this.#patience?.cancel()
  }

  #try(socket: Socket): void {
    const { clock, hello, onReplay } = this.#options
    if (++this.#tries > 1) onReplay()
    const onData = (answer: Buffer) => {
      this.#release(socket)
      socket.pause()
      this.#finish({ kind: 'answered', connector: socket, answer })
    }
    const onGone = () => {
      this.#release(socket)
      socket.destroy()
      this.#replay?.cancel()
      this.#seek()
    }
    socket.on('data', onData).on('end', onGone).on('close', onGone)
    this.#attempts.set(socket, () => socket.off('data', onData).off('end', onGone).off('close', onGone))
    socket.write(hello)
    socket.resume()
    this.#replay?.cancel()
    this.#replay = clock.timer(REPLAY_AFTER_MS, () => this.#seek())
  }

  #release(socket: Socket): void {
    this.#attempts.get(socket)?.()
    this.#attempts.delete(socket)
  }

  /** There is no further socket: refused unless one may still answer. */
  #refuseWithoutAttempt(refusal: RelayRefusal = 'no_idle_socket'): void {
    if (this.#attempts.size === 0) this.#refuse(refusal)
  }

  #refuse(refusal: RelayRefusal): void {
    this.#finish({ kind: 'refused', refusal })
  }

  #finish(result: HandoverResult): void {
    if (this.#done) return
    this.#done = true
    this.#deadline.cancel()
    this.#replay?.cancel()
    if (this.#waiter !== undefined) this.#options.source.cancel(this.#waiter)
    this.#stopWaiting()
    this.#options.client.off('close', this.#onClientClose)
    for (const [socket, release] of this.#attempts) {
      release()
      socket.destroy()
    }
    this.#options.onResult(result)
  }
}
