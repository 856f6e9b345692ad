import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import {
  ADA,
  type Device,
  eventually,
  GREETING,
  Lab,
  type PrivateService,
  type Recorder,
  TCP_GREETING,
  TCP_HOST,
  WEB_HOST,
} from '@sallyport/testkit'
import { saw } from './narrator.ts'

/** What the steps of the demo act on. */
export class Scene {
  readonly email = ADA
  readonly webHost = WEB_HOST
  readonly tcpHost = TCP_HOST
  readonly greeting = GREETING
  readonly tcpGreeting = TCP_GREETING
  readonly marker = `marker-${randomBytes(8).toString('hex')}`
  readonly #dir: string
  #lab: Lab | undefined

  constructor(dir: string) {
    this.#dir = dir
  }

  async start(): Promise<void> {
    this.#lab = await Lab.start({ dir: this.#dir, record: true, step: saw })
  }

  login = () => this.lab.login()
  setMembers = (emails: string[]) => this.lab.setMembers(emails)
  forward = (host: string, port: number): Promise<number> => this.device.forward(host, port)
  kill = (part: string) => this.lab.installation.kill(part)

  /** Starts a Relay again; resolves when both Connectors are registered at it. */
  async revive(relay: string): Promise<void> {
    this.lab.installation.revive(relay)
    await eventually(
      'Connectors at the Relay',
      async () => (await this.lab.installation.metric(relay, 'sallyport_relay_connectors')) >= 2,
    )
  }

  /** The Relay that carries Ada's session. */
  async relayInUse(): Promise<string> {
    const { sessions } = await this.device.json<{ sessions: { path: string }[] }>(['status'])
    return `relay-${/^relay:r(\d+)\./.exec(sessions[0]?.path ?? '')?.[1] ?? '0'}`
  }

  get lab(): Lab {
    if (this.#lab === undefined) throw new TypeError('the scene has not been started')
    return this.#lab
  }
  get device(): Device {
    return this.lab.device
  }
  get web(): PrivateService {
    return this.lab.web
  }
  get tcp(): PrivateService {
    return this.lab.tcp
  }
  get recorders(): Recorder[] {
    return this.lab.recorders
  }
  get socks(): number {
    return this.lab.socks
  }
  get http(): number {
    return this.lab.http
  }
  get groupFile(): string {
    return this.lab.installation.manifestPath('Group', 'developers')
  }
  get loginUrl(): string {
    return this.lab.installation.loginUrl
  }
  get logs(): string {
    return join(this.#dir, 'log')
  }
  /** What no Relay may learn. */
  get secrets(): Record<string, string> {
    return {
      'the marker sent to the TCP service': this.marker,
      "the web service's answer": GREETING,
      'the name of the service': WEB_HOST,
      'the e-mail address': ADA,
    }
  }

  async close(): Promise<void> {
    await this.#lab?.close()
  }
}
