import { createHash } from 'node:crypto'
import { type Clock, fetchPinnedCa, type Log, type ProxySettings, type Timer } from '@sallyport/runtime'
import { parseCertificate, renewalTimeMs, spkiOf } from '@sallyport/trust'

/** Longest wait before the certificate is looked at again, and shortest. */
const MAX_WAIT_MS = 86_400_000
const MIN_WAIT_MS = 1_000
/** Part of what is left of a certificate after which a newer one is asked for again. */
const RETRY_PART = 0.1
const HTTPS_PORT = 443

export type CaKeeperOptions = {
  /** URL of the Controller. */
  url: string
  /** The CA certificate that is kept (PEM). */
  ca: () => string
  /** Keeps a newer one. */
  keep: (ca: string) => Promise<void>
  clock: Clock
  /** Controller's time. */
  now: () => number
  proxy: ProxySettings
  log: Log
}

/** Whether two CA certificates (PEM) are of one key. */
export function isSameKey(one: string, other: string): boolean {
  return pinOfCa(one).equals(pinOfCa(other))
}

/** SHA-256 of the key: what a login pins. */
function pinOfCa(ca: string): Buffer {
  return createHash('sha256')
    .update(spkiOf(parseCertificate(ca).publicKey))
    .digest()
}

/**
 * Keeps the CA certificate of a login young: in the second half of its life a newer one of the same key is asked for. The key is what the
 * person has pinned, so that whoever shows the newer certificate need not be trusted for it.
 */
export class CaKeeper {
  readonly #options: CaKeeperOptions
  readonly #closed = new AbortController()
  #timer: Timer | undefined

  constructor(options: CaKeeperOptions) {
    this.#options = options
    this.#wait(this.#dueMs())
  }

  close(): void {
    this.#timer?.cancel()
    this.#closed.abort()
  }

  /** Time until a newer certificate is asked for; 0 when it is due. */
  #dueMs(): number {
    const { ca, now } = this.#options
    return Math.max(0, renewalTimeMs(parseCertificate(ca())) - now())
  }

  #wait(delayMs: number): void {
    if (this.#closed.signal.aborted) return
    this.#timer = this.#options.clock.timer(Math.min(delayMs, MAX_WAIT_MS), () => {
      if (this.#dueMs() > 0) return this.#wait(this.#dueMs())
      void this.#renew().then(isRenewed => {
        const leftMs = endOf(this.#options.ca()) - this.#options.now()
        this.#wait(isRenewed ? this.#dueMs() : Math.max(MIN_WAIT_MS, leftMs * RETRY_PART))
      })
    })
  }

  async #renew(): Promise<boolean> {
    const { url, ca, keep, proxy, clock, log } = this.#options
    const { hostname, port } = new URL(url)
    const host = hostname.replace(/^\[(.*)\]$/, '$1')
    const options = { proxy, clock, signal: this.#closed.signal }
    try {
      const shown = await fetchPinnedCa(host, port === '' ? HTTPS_PORT : Number(port), pinOfCa(ca()), options)
      if (endOf(shown) <= endOf(ca())) return false
      await keep(shown)
      log.info('the CA of the Controller has a newer certificate, which is kept from now on')
      return true
    } catch (error) {
      log.debug({ err: error }, 'the Controller shows no newer certificate of its CA')
      return false
    }
  }
}

const endOf = (ca: string) => parseCertificate(ca).validToDate.getTime()
