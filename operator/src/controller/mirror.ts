import {
  type ChannelState,
  type Clock,
  ControlChannel,
  channelUrl,
  type Log,
  messageParser,
  type ProxySettings,
  type Timer,
} from '@sallyport/runtime'
import {
  type DeclaredKind,
  type DeclaredRow,
  type FromOperator,
  type OperatorTrust,
  type SlotState,
  ToOperator,
} from '@sallyport/schema'
import type { ControllerView } from '../plan/step.ts'
import { Homecoming } from './homecoming.ts'

/** How long Connectors have to come back after the Controller has: until then they count as before. */
const RETURN_MS = 15_000

/** Longest wait before the next attempt: there are few operators, and everything waits for them. */
const MAX_RETRY_MS = 1_000

const incoming = messageParser(ToOperator)

/** What has changed in the Controller: rows by UID, or the trust that goes into every Secret. */
export type MirrorChange = { rows: DeclaredRow[] } | { trust: true } | { state: true }

export type MirrorOptions = {
  url: string
  ca?: () => string | undefined
  token: () => Promise<string>
  proxy: ProxySettings
  clock: Clock
  log: Log
  version: string
  onChange: (change: MirrorChange) => void
}

/** The Controller's rows of this operator's source, as `wss /v1/operator` tells them. */
export class Mirror implements ControllerView {
  readonly #options: MirrorOptions
  readonly #channel: ControlChannel<ToOperator, FromOperator>
  readonly #refusals = new Map<string, string>()
  /** Slots as they were before the Controller went away, while their Connectors may still come back. */
  readonly #returning = new Map<string, SlotState>()
  readonly #homecoming: Homecoming
  #rows = new Map<string, DeclaredRow>()
  #snapshot: Map<string, DeclaredRow> | undefined
  #known = false
  #trust: OperatorTrust | undefined
  #down: string | undefined = 'not connected yet'
  #returnTimer: Timer | undefined

  constructor(options: MirrorOptions) {
    this.#options = options
    const { url, ca, token, proxy, clock, version, onChange } = options
    this.#homecoming = new Homecoming(clock, () => onChange({ state: true }))
    this.#channel = new ControlChannel<ToOperator, FromOperator>({
      url: () => channelUrl(url, '/v1/operator'),
      maxRetryMs: MAX_RETRY_MS,
      ...(ca === undefined ? {} : { ca }),
      headers: async () => ({ authorization: `Bearer ${await token()}` }),
      incoming,
      heartbeat: () => ({ type: 'heartbeat', nowMs: clock.now() }),
      onMessage: message => this.#receive(message),
      onState: state => this.#stateChanged(state, { type: 'hello', version, nowMs: clock.now() }),
      proxy,
      clock,
    })
  }

  get known(): boolean {
    return this.#known
  }

  get reachable(): boolean {
    return this.#known && this.#down === undefined
  }

  get isWhole(): boolean {
    return this.reachable && this.#homecoming.isOver
  }

  get trust(): OperatorTrust | undefined {
    return this.#trust
  }

  /** Why there is no contact; undefined when there is. */
  get down(): string | undefined {
    return this.#down
  }

  row(uid: string): DeclaredRow | undefined {
    return this.#rows.get(uid)
  }

  rows(): DeclaredRow[] {
    return [...this.#rows.values()]
  }

  slot(uid: string): SlotState | undefined {
    const slot = this.#rows.get(uid)?.slot
    const before = slot === undefined || isBack(slot) ? undefined : this.#returning.get(uid)
    if (slot === undefined || before === undefined || before.connectorId !== slot.connectorId) return slot
    const { connected, registered, ready, version } = before
    return { ...slot, connected, registered, ready, ...(version === undefined ? {} : { version }) }
  }

  refusal(uid: string): string | undefined {
    return this.#refusals.get(uid)
  }

  /** Remembers what the Controller said to a PUT; undefined: it took it. */
  refused(uid: string, message: string | undefined): void {
    if (message === undefined) this.#refusals.delete(uid)
    else this.#refusals.set(uid, message)
  }

  /** Takes note of a PUT that was answered, so that it is not sent again before the channel tells of it. */
  wrote(kind: DeclaredKind, uid: string, digest: string, revision: number): void {
    const row = this.#rows.get(uid)
    if (row === undefined || row.revision < revision) {
      const { programming: _, ...rest } = row ?? { kind, uid }
      this.#rows.set(uid, { ...rest, digest, revision })
    }
  }

  /** Takes note of an enrolment token that was answered. */
  issued(uid: string, tokenId: string, tokenExpiresAtMs: number): void {
    const row = this.#rows.get(uid)
    if (row?.slot === undefined) return
    this.#rows.set(uid, { ...row, slot: { ...row.slot, tokenId, tokenState: 'live', tokenExpiresAtMs } })
  }

  /** Takes note of keys that the Controller knows to be written. */
  acknowledged(uid: string, acknowledgedKeyIds: string[]): void {
    const row = this.#rows.get(uid)
    if (row?.relay !== undefined) this.#rows.set(uid, { ...row, relay: { ...row.relay, acknowledgedKeyIds } })
  }

  /** Takes note of a DELETE that was answered. */
  deleted(uid: string): void {
    this.#rows.delete(uid)
  }

  close(): Promise<void> {
    this.#returnTimer?.cancel()
    this.#homecoming.close()
    return this.#channel.close('the operator stops')
  }

  #stateChanged(state: ChannelState, hello: FromOperator): void {
    if (state.kind === 'open') {
      this.#channel.send(hello)
      return
    }
    if (state.kind !== 'down') return
    const { message } = state.end
    const changed = this.#down !== message
    this.#down = message
    if (!changed) return
    this.#options.log.warn(
      { reason: message, code: state.end.error ?? state.end.code },
      'no contact with the Controller',
    )
    this.#options.onChange({ state: true })
  }

  #receive(message: ToOperator): void {
    switch (message.type) {
      case 'welcome':
        this.#snapshot = new Map()
        return
      case 'trust':
        this.#trust = message.trust
        this.#options.onChange({ trust: true })
        return
      case 'snapshot':
        for (const row of message.rows) this.#snapshot?.set(row.uid, row)
        if (message.complete) this.#complete()
        return
      case 'row': {
        // Rows that change while the pages travel belong to the new state.
        if (this.#snapshot !== undefined) {
          this.#snapshot.set(message.row.uid, message.row)
          return
        }
        if (isBack(message.row.slot)) this.#returning.delete(message.row.uid)
        this.#rows.set(message.row.uid, message.row)
        this.#homecoming.changed(message.row)
        this.#options.onChange({ rows: [message.row] })
        return
      }
      case 'gone': {
        if (this.#snapshot !== undefined) {
          this.#snapshot.delete(message.uid)
          return
        }
        const row = this.#rows.get(message.uid)
        this.#rows.delete(message.uid)
        this.#homecoming.gone(message.uid)
        this.#options.onChange({ rows: row === undefined ? [] : [row] })
        return
      }
      case 'heartbeat':
        return
      case 'goodbye':
        this.#options.log.info({ code: message.code, reason: message.message }, 'the Controller says goodbye')
    }
  }

  #complete(): void {
    const before = this.#rows
    this.#rows = this.#snapshot ?? new Map()
    this.#snapshot = undefined
    this.#down = undefined
    this.#rememberSlots(before)
    this.#homecoming.begin(this.#rows.values())
    this.#known = true
    this.#options.log.info({ rows: this.#rows.size }, 'in contact with the Controller')
    // What was declared meanwhile has no row, so that everything is looked at.
    this.#options.onChange({ state: true })
  }

  #rememberSlots(before: ReadonlyMap<string, DeclaredRow>): void {
    for (const { uid, slot } of before.values()) if (slot?.connected === true) this.#returning.set(uid, slot)
    this.#returnTimer?.cancel()
    this.#returnTimer = this.#options.clock.timer(RETURN_MS, () => {
      const uids = [...this.#returning.keys()]
      this.#returning.clear()
      this.#options.onChange({ rows: uids.flatMap(uid => this.#rows.get(uid) ?? []) })
    })
  }
}

/** A Connector is connected before it has told anything. */
const isBack = (slot: SlotState | undefined): boolean => slot?.connected === true && slot.registered
