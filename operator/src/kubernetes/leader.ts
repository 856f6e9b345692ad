import { type Clock, type Log, sleep } from '@sallyport/runtime'
import { ProviderError } from '../provider.ts'
import { type Kube, type Lease, type LeaseSpec, microTime } from './kube.ts'

/** A leader that has not renewed for this long has lost. */
export const LEASE_SECONDS = 10
const RENEW_MS = 2_000
/** A leader stops this long before others may take over. */
const MARGIN_MS = 2_000

export type LeaderOptions = {
  kube: Pick<Kube, 'lease' | 'writeLease'>
  namespace: string
  /** Name of the Lease. */
  lease: string
  identity: string
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
  #renewing: Promise<void> = Promise.resolve()

  constructor(options: LeaderOptions) {
    this.#options = options
  }

  /** Resolves when the Lease is ours. `onLost` when it is no longer, without our doing. */
  async lead(onLost: (reason: string) => void): Promise<void> {
    const { clock, log, identity } = this.#options
    const { signal } = this.#stop
    while (!signal.aborted) {
      this.#held = await this.#acquire()
      if (this.#held !== undefined) break
      await sleep(clock, RENEW_MS / 2, signal)
    }
    signal.throwIfAborted()
    log.info({ identity }, 'leading')
    this.#renewing = this.#renew(onLost)
  }

  /** Gives the Lease back, so that another replica takes over at once. */
  async release(): Promise<void> {
    this.#stop.abort(new Error('the operator stops'))
    await this.#renewing
    const held = this.#held
    this.#held = undefined
    if (held === undefined) return
    const { clock, kube } = this.#options
    const spec: LeaseSpec = {
      ...held.spec,
      holderIdentity: '',
      leaseDurationSeconds: 1,
      renewTime: microTime(clock.now()),
    }
    await kube.writeLease({ ...held, spec })
  }

  async #acquire(): Promise<Lease | undefined> {
    const { kube, namespace, lease: name, identity, clock, log } = this.#options
    try {
      const lease = await kube.lease(namespace, name)
      if (lease !== undefined && !this.#isFree(lease)) return undefined
      const now = microTime(clock.now())
      const spec: LeaseSpec = {
        holderIdentity: identity,
        leaseDurationSeconds: LEASE_SECONDS,
        acquireTime: now,
        renewTime: now,
        leaseTransitions: (lease?.spec.leaseTransitions ?? 0) + (lease === undefined ? 0 : 1),
      }
      const metadata = lease?.metadata ?? { name, namespace }
      return await kube.writeLease({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec })
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error
      if (error.code !== 'conflict') log.warn({ reason: error.message }, 'the Lease cannot be read or written')
      return undefined
    }
  }

  #isFree({ metadata, spec }: Lease): boolean {
    const { clock, identity } = this.#options
    const { holderIdentity = '', leaseDurationSeconds = LEASE_SECONDS } = spec
    if (holderIdentity === '' || holderIdentity === identity) return true
    const version = metadata.resourceVersion ?? ''
    if (this.#seen?.version !== version) this.#seen = { version, atMs: clock.monotonic() }
    return clock.monotonic() - this.#seen.atMs >= leaseDurationSeconds * 1000
  }

  async #renew(onLost: (reason: string) => void): Promise<void> {
    const { clock, kube } = this.#options
    const { signal } = this.#stop
    let renewedAtMs = clock.monotonic()
    while (!signal.aborted) {
      try {
        await sleep(clock, RENEW_MS, signal)
        const startedMs = clock.monotonic()
        const held: Lease = this.#held!
        this.#held = await kube.writeLease({ ...held, spec: { ...held.spec, renewTime: microTime(clock.now()) } })
        renewedAtMs = startedMs
      } catch (error) {
        if (signal.aborted) return
        const lost = await this.#isLost(error)
        if (lost === undefined && clock.monotonic() - renewedAtMs < LEASE_SECONDS * 1000 - MARGIN_MS) continue
        this.#held = undefined
        onLost(lost ?? 'the Lease could not be renewed in time')
        return
      }
    }
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
