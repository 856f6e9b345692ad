import { type Clock, type Log, sleep } from '@sallyport/runtime'
import { ProviderError } from '../provider.ts'
import { type Kube, type Lease, type LeaseSpec, microTime } from './kube.ts'

/** Parts of the Lease's duration: how often it is renewed, and how long before others may take over a leader stops. */
const [RENEW_PART, MARGIN_PART] = [1 / 5, 1 / 5]
/** Times that the Lease is given back where others write it meanwhile. */
const RELEASE_ATTEMPTS = 5

export type LeaderOptions = {
  kube: Pick<Kube, 'lease' | 'writeLease'>
  namespace: string
  /** Name of the Lease. */
  lease: string
  identity: string
  /** A leader that has not renewed for this long has lost. */
  leaseSeconds: number
  clock: Clock
  log: Log
}

/** Competes for a Lease, holds it, gives it back. */
export class Leader {
  readonly #options: LeaderOptions
  readonly #stop = new AbortController()
  /** The other's Lease as first seen, judged by our own clock: theirs may be wrong. */
  #seen: { version: string; atMs: number } | undefined
  #held: Lease | undefined
  #problem: string | undefined = 'the Lease has yet to be read'
  #acquiring: Promise<void> = Promise.resolve()
  #renewing: Promise<void> = Promise.resolve()

  constructor(options: LeaderOptions) {
    this.#options = options
  }

  get #renewMs(): number {
    return this.#options.leaseSeconds * 1000 * RENEW_PART
  }

  /** Why it is not known who leads. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** Resolves when the Lease is ours. `onLost` when it is no longer, without our doing. */
  async lead(onLost: (reason: string) => void): Promise<void> {
    const { clock, log, identity } = this.#options
    const { signal } = this.#stop
    while (!signal.aborted) {
      this.#acquiring = this.#acquire()
      await this.#acquiring
      if (this.#held !== undefined) break
      await sleep(clock, this.#renewMs / 2, signal)
    }
    signal.throwIfAborted()
    log.info({ identity }, 'leading')
    this.#renewing = this.#renew(onLost)
  }

  /** Gives the Lease back, so that another replica takes over at once. */
  async release(): Promise<void> {
    this.#stop.abort(new Error('the operator stops'))
    // What was under way may have taken the Lease, or renewed it. `lead` tells of a failure.
    await this.#acquiring.catch(() => undefined)
    await this.#renewing
    const held = this.#held
    this.#held = undefined
    if (held !== undefined) await this.#giveBack(held)
  }

  async #giveBack(held: Lease): Promise<void> {
    const { clock, kube, log, namespace, lease: name, identity } = this.#options
    try {
      let lease: Lease | undefined = held
      for (let attempt = 0; attempt < RELEASE_ATTEMPTS && lease?.spec.holderIdentity === identity; attempt++) {
        const spec: LeaseSpec = {
          ...lease.spec,
          holderIdentity: '',
          leaseDurationSeconds: 1,
          renewTime: microTime(clock.now()),
        }
        if (await this.#writes({ ...lease, spec })) return
        // Someone has annotated it, or leads.
        lease = await kube.lease(namespace, name)
      }
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error
      log.warn({ reason: error.message }, 'the Lease cannot be given back; it runs out by itself')
    }
  }

  /** Whether nobody had written it meanwhile. */
  async #writes(lease: Lease): Promise<boolean> {
    try {
      await this.#options.kube.writeLease(lease)
      return true
    } catch (error) {
      if (error instanceof ProviderError && error.code === 'conflict') return false
      throw error
    }
  }

  /** Takes the Lease if it is free. */
  async #acquire(): Promise<void> {
    const { kube, namespace, lease: name, identity, leaseSeconds, clock, log } = this.#options
    try {
      const lease = await kube.lease(namespace, name)
      this.#problem = undefined
      if (lease !== undefined && !this.#isFree(lease)) return
      const now = microTime(clock.now())
      const spec: LeaseSpec = {
        holderIdentity: identity,
        leaseDurationSeconds: leaseSeconds,
        acquireTime: now,
        renewTime: now,
        leaseTransitions: (lease?.spec.leaseTransitions ?? 0) + (lease === undefined ? 0 : 1),
      }
      const metadata = lease?.metadata ?? { name, namespace }
      this.#held = await kube.writeLease({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec })
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error
      if (error.code === 'conflict') return
      this.#problem = error.message
      log.warn({ reason: error.message }, 'the Lease cannot be read or written')
    }
  }

  #isFree({ metadata, spec }: Lease): boolean {
    const { clock, identity, leaseSeconds } = this.#options
    // The duration of the holder's own settings counts.
    const { holderIdentity = '', leaseDurationSeconds = leaseSeconds } = spec
    if (holderIdentity === '' || holderIdentity === identity) return true
    const version = metadata.resourceVersion ?? ''
    if (this.#seen?.version !== version) this.#seen = { version, atMs: clock.monotonic() }
    return clock.monotonic() - this.#seen.atMs >= leaseDurationSeconds * 1000
  }

  async #renew(onLost: (reason: string) => void): Promise<void> {
    const { clock, kube, leaseSeconds } = this.#options
    const { signal } = this.#stop
    const lostAfterMs = leaseSeconds * 1000 * (1 - MARGIN_PART)
    let renewedAtMs = clock.monotonic()
    while (!signal.aborted) {
      try {
        await sleep(clock, this.#renewMs, signal)
        const startedMs = clock.monotonic()
        const held: Lease = this.#held!
        const renewed = { ...held, spec: { ...held.spec, renewTime: microTime(clock.now()) } }
        const giveUpAtMs = Math.min(startedMs + 2 * this.#renewMs, renewedAtMs + lostAfterMs)
        this.#held = await this.#before(giveUpAtMs, kube.writeLease(renewed))
        renewedAtMs = startedMs
      } catch (error) {
        if (signal.aborted) return
        const lost = await this.#before(renewedAtMs + lostAfterMs, this.#isLost(error)).catch(() => undefined)
        if (lost === undefined && clock.monotonic() - renewedAtMs < lostAfterMs) continue
        this.#held = undefined
        onLost(lost ?? 'the Lease could not be renewed in time')
        return
      }
    }
  }

  /** What `answer` gives by then: a leader must not wait for an API server that is silent. */
  async #before<T>(atMs: number, answer: Promise<T>): Promise<T> {
    const { clock } = this.#options
    return new Promise((resolve, reject) => {
      const late = () => reject(new ProviderError('unavailable', 'the API server does not answer'))
      const timer = clock.timer(Math.max(0, atMs - clock.monotonic()), late)
      answer.then(resolve, reject).finally(() => timer.cancel())
    })
  }

  /** A conflict may be an annotation that a person has written: only another holder has won. */
  async #isLost(error: unknown): Promise<string | undefined> {
    if (!(error instanceof ProviderError) || error.code !== 'conflict') return undefined
    const { kube, namespace, lease: name, identity } = this.#options
    try {
      const lease = await kube.lease(namespace, name)
      if (lease !== undefined && lease.spec.holderIdentity !== identity) return `"${lease.spec.holderIdentity}" leads`
      this.#held = lease ?? { ...this.#held!, metadata: { name, namespace } }
      return undefined
    } catch {
      // Judged by the time since the last renewal.
      return undefined
    }
  }
}
