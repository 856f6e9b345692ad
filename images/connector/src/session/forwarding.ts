import type { Socket } from 'node:net'
import type { Destination } from '@sallyport/policy'
import { type Clock, type IncomingStream, pump } from '@sallyport/runtime'
import type { AccessLogRecord } from '@sallyport/schema'
import { randomId } from '@sallyport/trust'
import type { ResetCode } from '@sallyport/wire'
import type { AccessState } from '../access/access-state.ts'
import type { ControllerTime } from '../access/controller-time.ts'
import type { LiveStream, SessionAccess, Verdict } from '../access/session-access.ts'
import type { ConnectorMetrics } from '../metrics.ts'
import type { Reach } from '../target/reach.ts'

export type ForwardingDeps = {
  access: AccessState
  time: ControllerTime
  clock: Clock
  reach: Reach
  metrics: ConnectorMetrics
  record: (record: AccessLogRecord) => void
}

/** Whose streams these are, for the access log. */
export type SessionLabel = { session: string; device: string; path: string }

/** A stream that was allowed, from there to its end. */
type Active = {
  stream: IncomingStream
  access: SessionAccess
  number: number
  live: LiveStream
  /** Why the Connector has cut it. */
  cutBy: ResetCode | undefined
}

type Allowed = Extract<Verdict, { kind: 'allow' }>['decision']

/** Does what was decided about the streams of one session: refuses, connects, forwards; counts and logs each. */
export class Forwarding {
  readonly #deps: ForwardingDeps
  readonly #label: SessionLabel
  readonly #onEnded: () => void
  #lastStream = 0

  constructor(deps: ForwardingDeps, label: SessionLabel, onEnded: () => void) {
    this.#deps = deps
    this.#label = label
    this.#onEnded = onEnded
  }

  /** Refuses a stream; `access` names its user where the session has one. */
  deny(stream: IncomingStream, access: SessionAccess | undefined, reason: ResetCode): void {
    if (stream.over) return
    stream.cut(reason)
    this.#deps.metrics.streamsDenied.inc({ reason })
    this.#record('denied', { stream, number: ++this.#lastStream, access }, { reason })
  }

  /** Connects an allowed stream to its Resource. */
  connect(stream: IncomingStream, access: SessionAccess, destination: Destination, decision: Allowed): void {
    if (destination.protocol !== 'tcp') {
      this.deny(stream, access, 'unreachable')
      return
    }
    const abort = new AbortController()
    const active: Active = {
      stream,
      access,
      number: ++this.#lastStream,
      cutBy: undefined,
      live: {
        destination,
        endMs: decision.endMs,
        cut: code => {
          active.cutBy = code
          this.#deps.metrics.streamsCut.inc({ reason: code })
          stream.cut(code)
          abort.abort()
        },
      },
    }
    access.add(active.live)
    stream.onCancel(() => abort.abort())
    const { clock, metrics, reach } = this.#deps
    const startMs = clock.monotonic()
    const { target: host, rule } = decision
    const wanted = { host, port: destination.port, rule, exceptions: this.#deps.access.exceptions }
    void reach(wanted, abort.signal).then(dialled => {
      metrics.dialSeconds.observe((clock.monotonic() - startMs) / 1000)
      if ('socket' in dialled) this.#forward(active, dialled.socket)
      else this.#fail(active, dialled.code)
    })
  }

  #forward(active: Active, socket: Socket): void {
    const duplex = active.stream.accept()
    if (duplex === undefined) {
      socket.resetAndDestroy()
      this.#fail(active, 'cancelled')
      return
    }
    const { metrics } = this.#deps
    metrics.streamsOpened.inc()
    this.#record('opened', active, {})
    void pump(duplex, socket).done.then(({ aToB: bytesUp, bToA: bytesDown, a, b }) => {
      metrics.bytes.inc({ direction: 'up' }, bytesUp)
      metrics.bytes.inc({ direction: 'down' }, bytesDown)
      const reason = active.cutBy ?? (a.kind === 'reset' ? a.code : b.kind === 'reset' ? b.code : undefined)
      const counts = { bytesUp, bytesDown }
      this.#record('closed', active, reason === undefined ? counts : { ...counts, reason })
      this.#ended(active)
    })
  }

  #fail(active: Active, code: ResetCode): void {
    const reason = active.cutBy ?? code
    active.stream.cut(reason)
    this.#deps.metrics.streamsDenied.inc({ reason })
    this.#record('denied', active, { reason })
    this.#ended(active)
  }

  #ended({ access, live }: Active): void {
    access.remove(live)
    this.#onEnded()
  }

  #record(
    event: AccessLogRecord['event'],
    { stream, number, access }: Pick<Active, 'stream' | 'number'> & { access: SessionAccess | undefined },
    rest: Pick<AccessLogRecord, 'bytesUp' | 'bytesDown' | 'reason'>,
  ): void {
    const { time, record } = this.#deps
    const { resource, host, port, protocol } = stream.request
    record({
      id: randomId(),
      event,
      atMs: time.now(),
      ...this.#label,
      stream: number,
      ...(access === undefined ? {} : { user: access.acl.user }),
      resource,
      host,
      port,
      protocol,
      ...rest,
    })
  }
}
