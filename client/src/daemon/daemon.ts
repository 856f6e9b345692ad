import type { Duplex } from 'node:stream'
import { type Clock, type Log, requireHostPort, systemClock, type Timer } from '@sallyport/runtime'
import type { CaptureRequest, ClientStatus, LocalResource, WhyReport } from '@sallyport/schema'
import type { KeyPair } from '@sallyport/trust'
import type { Capture } from '../capture/capture.ts'
import { dialDirect } from '../capture/direct.ts'
import { startForward } from '../capture/forward.ts'
import { startProxy } from '../capture/proxy.ts'
import type { DaemonConfig } from '../config.ts'
import { ClientError } from '../error.ts'
import { checkHome, prepareHome, socketPath } from '../local/home.ts'
import { logIn } from '../login/log-in.ts'
import { type ProfileStore, profileIn } from '../login/profile.ts'
import { tunnelDial } from '../session/tunnel-dial.ts'
import { explain } from '../why/why.ts'
import { Account } from './account.ts'
import { describeResources, describeStatus, warningsOf } from './describe.ts'
import { limited } from './limited.ts'
import { type LocalServer, serveLocal } from './local-server.ts'
import { type Lock, takeLock } from './lock.ts'

/** How long a verb waits for the Controller's first word. */
const READY_TIMEOUT_MS = 5_000
const GUARD_EVERY_MS = 5_000

/** What a daemon is given beside its configuration. */
export type DaemonDeps = { clock?: Clock; log: Log }

/** Holds the login, the sessions and the captures of one person on one device. */
export class Daemon {
  readonly config: DaemonConfig
  readonly #clock: Clock
  readonly #log: Log
  readonly #store: ProfileStore
  readonly #captures = new Set<Capture>()
  #account: Account | undefined
  #server: LocalServer | undefined
  #lock: Lock | undefined
  #guard: Timer | undefined
  #closed: Promise<void> | undefined
  readonly #ended = Promise.withResolvers<void>()

  constructor(config: DaemonConfig, { clock = systemClock, log }: DaemonDeps) {
    this.config = config
    this.#clock = clock
    this.#log = log
    this.#store = profileIn(config.home)
  }

  /** Resolves when it has been closed, by whomever. */
  get ended(): Promise<void> {
    return this.#ended.promise
  }

  /** Takes up the login that was kept and listens for verbs. Throws ClientError `daemon_failed` when there is a daemon already. */
  async start(): Promise<void> {
    const { home } = this.config
    checkHome(home)
    const lock = takeLock(home)
    if ('heldBy' in lock) throw new ClientError('daemon_failed', `a daemon runs already (pid ${lock.heldBy})`)
    this.#lock = lock
    try {
      const profile = await this.#store.read()
      if (profile?.refreshToken !== undefined) await this.#use(profile, await this.#store.deviceKey())
      this.#server = await serveLocal(socketPath(home), this, this.#log)
    } catch (error) {
      await this.close()
      throw error
    }
    this.#log.info({ home }, 'listening for verbs')
    this.#watch(lock)
  }

  /** Logs in by the browser. The same login made anew keeps sessions and streams; another one takes its place. */
  async logIn(url: string, browse: (url: string) => void, signal: AbortSignal): Promise<ClientStatus> {
    const before = this.#account
    let paused = false
    const beforeTrade = async () => {
      paused = true
      await before?.pause()
    }
    const options = { url, store: this.#store, clock: this.#clock, proxy: this.config.proxy, ...this.#device() }
    try {
      const { profile, keys, answer } = await logIn({ ...options, browse, beforeTrade, signal })
      if (before?.isRenewedBy(profile) === true) await before.resume(answer)
      else await this.#use(profile, keys, answer)
    } catch (error) {
      if (paused) await before?.resume()
      throw error
    }
    await this.#ready(signal)
    return this.status(signal)
  }

  async logOut(): Promise<void> {
    const account = this.#account
    this.#account = undefined
    await account?.logOut()
    await this.#store.clear()
  }

  async status(signal: AbortSignal): Promise<ClientStatus> {
    await this.#ready(signal)
    return describeStatus(
      this.#account,
      [...this.#captures].map(capture => capture.status()),
    )
  }

  async resources(signal: AbortSignal): Promise<{ resources: LocalResource[]; warnings: string[] }> {
    const account = await this.#loggedIn(signal)
    return { resources: describeResources(account), warnings: warningsOf(account) }
  }

  async why(host: string, port: number, signal: AbortSignal): Promise<WhyReport> {
    await this.#ready(signal)
    const limit = limited(this.#clock, signal, this.config.openTimeoutMs)
    try {
      return await explain(this.#account, host, port, limit.signal)
    } finally {
      limit.done()
    }
  }

  /** Opens a way to a destination: over a session, or past it where `direct` and it is no Resource. Throws ClientError. */
  async open(host: string, port: number, signal: AbortSignal, direct = false): Promise<Duplex> {
    const limit = limited(this.#clock, signal, this.config.openTimeoutMs)
    try {
      if (direct && this.#account?.knowledge.access.routes.resourceFor(host) === undefined) {
        return await dialDirect(host, port, limit.signal)
      }
      const account = await this.#loggedIn(limit.signal)
      const routed = account.route(host, port)
      if (routed === undefined) {
        throw new ClientError('no_such_name', `${host} is no Resource that you may reach`, {
          hint: `Run \`sallyport why ${host}:${port}\`; with \`sallyport proxy --direct\` other destinations are let through.`,
        })
      }
      return await account.open(routed, host, port, limit.signal)
    } catch (error) {
      throw limit.timedOut() ? new ClientError('timeout', 'there was no connection in time', { cause: error }) : error
    } finally {
      limit.done()
    }
  }

  async capture(request: CaptureRequest): Promise<Capture> {
    const direct = request.kind === 'proxy' && request.direct
    const open = (host: string, port: number, signal: AbortSignal) => this.open(host, port, signal, direct)
    const capture =
      request.kind === 'proxy'
        ? await startProxy(request.listen.map(requireHostPort), open)
        : await startForward(requireHostPort(request.listen), { host: request.host, port: request.port }, open)
    this.#captures.add(capture)
    return {
      status: () => capture.status(),
      close: async () => {
        this.#captures.delete(capture)
        await capture.close()
      },
    }
  }

  /** A request of an admin to the Controller. */
  async admin(method: 'GET' | 'POST' | 'DELETE', path: string, signal: AbortSignal): Promise<unknown> {
    const account = await this.#loggedIn(signal)
    return account.rest.request(method, path, { check: (_value): _value is unknown => true, problems: () => [] })
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#log.info('stopping')
    this.#guard?.cancel()
    try {
      await this.#server?.close()
      await Promise.all([...this.#captures].map(capture => capture.close()))
      await this.#account?.close()
    } finally {
      this.#lock?.release()
      this.#ended.resolve()
    }
  }

  async #use(
    profile: Account['keeper']['profile'],
    keys: KeyPair,
    answer?: Parameters<Account['keeper']['accept']>[0],
  ): Promise<void> {
    const before = this.#account
    const { proxy, idleMs } = this.config
    const account = new Account({
      profile,
      keys,
      proxy,
      idleMs,
      store: this.#store,
      clock: this.#clock,
      log: this.#log,
      ...this.#device(),
      dialWith: knowledge => tunnelDial({ knowledge, keys, proxy, clock: this.#clock }),
    })
    if (answer !== undefined) await account.keeper.accept(answer)
    this.#account = account
    account.start()
    await before?.close()
  }

  /** A daemon whose state directory was removed, or taken over, serves nobody. */
  #watch(lock: Lock): void {
    this.#guard = this.#clock.timer(GUARD_EVERY_MS, () => {
      if (lock.isHeld()) this.#watch(lock)
      else void this.close()
    })
  }

  #device() {
    return { host: this.config.host, platform: this.config.platform }
  }

  /** Waits a moment for the Controller; what is known does without it. */
  async #ready(signal: AbortSignal): Promise<void> {
    if (this.#account === undefined) return
    const limit = limited(this.#clock, signal, READY_TIMEOUT_MS)
    try {
      await this.#account.ready(limit.signal)
    } catch (error) {
      if (!limit.timedOut()) throw error
    } finally {
      limit.done()
    }
  }

  async #loggedIn(signal: AbortSignal): Promise<Account> {
    const account = this.#account
    if (account === undefined) throw new ClientError('not_logged_in', 'nobody is logged in')
    if (account.knowledge.networks.size === 0) {
      account.hurry()
      await this.#ready(signal)
    }
    if (account.state.kind === 'loginRequired') {
      throw new ClientError('login_required', account.state.detail ?? 'the login is over')
    }
    return account
  }
}

/** Starts a daemon in this process, in a state directory that is made where there is none. Throws ClientError. */
export async function startDaemon(config: DaemonConfig, deps: DaemonDeps): Promise<Daemon> {
  prepareHome(config.home)
  const daemon = new Daemon(config, deps)
  await daemon.start()
  return daemon
}
