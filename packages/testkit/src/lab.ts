import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ControllerConfigInput } from '@sallyport/schema'
import type { Device } from './device.ts'
import { type DnsServer, startDnsServer } from './dns-server.ts'
import { Installation } from './installation.ts'
import { type PrivateService, startEchoService, startWebService } from './private-service.ts'
import { type Manifest, quickstartOnLoopback } from './quickstart.ts'
import { type Recorder, startRecorder } from './recorder.ts'

export const ADA = 'ada@example.com'
export const BOB = 'bob@example.com'
export const GREETING = 'hello from the office'
export const TCP_GREETING = 'echo service of the office'
export const WEB_HOST = 'web.office.internal'
export const TCP_HOST = 'tcp.office.internal'
/** Resolves at the Connectors, and nobody is granted it. */
export const SECRET_HOST = 'secret.office.internal'

/** Who may log in at all; no Resource names it. */
const STAFF: Manifest = {
  apiVersion: 'sallyport.dev/v1alpha1',
  kind: 'Group',
  metadata: { name: 'staff' },
  spec: { members: [ADA, BOB] },
}

export type LabOptions = {
  dir?: string
  /** Whether a recording splice stands in front of every Relay. */
  record?: boolean
  /** Members of the Group at the start. */
  members?: string[]
  tenant?: string
  /** Directory of bundles, which run instead of the sources. */
  bundles?: string
  controller?: Partial<ControllerConfigInput>
  /** Changes or adds objects before the start. */
  objects?: (objects: Manifest[], ports: { web: number; tcp: number }) => Manifest[]
  step?: (text: string) => void
}

/** The quickstart on loopback with real private services, and Ada's device: what the demo shows and the tests drive. */
export class Lab {
  readonly installation: Installation
  readonly device: Device
  readonly web: PrivateService
  readonly tcp: PrivateService
  readonly secret: PrivateService
  readonly dns: DnsServer
  readonly recorders: Recorder[]
  /** Ports of Ada's SOCKS5 and HTTP CONNECT proxies; 0 before {@link login}. */
  socks = 0
  http = 0
  readonly #closers: (() => unknown)[]

  private constructor(
    parts: Pick<Lab, 'installation' | 'device' | 'web' | 'tcp' | 'secret' | 'dns' | 'recorders'>,
    closers: (() => unknown)[],
  ) {
    this.installation = parts.installation
    this.device = parts.device
    this.web = parts.web
    this.tcp = parts.tcp
    this.secret = parts.secret
    this.dns = parts.dns
    this.recorders = parts.recorders
    this.#closers = closers
  }

  static async start(options: LabOptions = {}): Promise<Lab> {
    const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'sallyport-lab-'))
    const [web, tcp, secret] = await Promise.all([
      startWebService(GREETING),
      startEchoService(TCP_GREETING),
      startWebService('nobody may read this'),
    ])
    const dns = await startDnsServer(
      Object.fromEntries([WEB_HOST, TCP_HOST, SECRET_HOST].map(name => [name, ['127.0.0.1']])),
    )
    const recorders: Recorder[] = []
    const services = [web, tcp, secret, dns]
    const close = () => Promise.all([...services, ...recorders].map(one => one.close()))
    const ports = { web: web.port, tcp: tcp.port }
    try {
      const installation = await Installation.start(
        {
          dir,
          resolver: dns.address,
          accounts: [{ email: ADA }, { email: BOB }],
          admins: [BOB],
          bundles: options.bundles,
          ...(options.tenant === undefined ? {} : { tenant: options.tenant }),
          ...(options.controller === undefined ? {} : { controller: options.controller }),
          objects: relays => {
            const quickstart = [...quickstartOnLoopback({ ...ports, relays }), STAFF].map(object =>
              object.metadata.name === 'developers' ? withMembers(object, options.members ?? []) : object,
            )
            return options.objects?.(quickstart, ports) ?? quickstart
          },
          ...(options.record !== true
            ? {}
            : {
                inFrontOfRelay: async (_, port) => {
                  const recorder = await startRecorder({ host: '127.0.0.1', port })
                  recorders.push(recorder)
                  return recorder.port
                },
              }),
        },
        options.step,
      )
      const closers = [
        () => installation.close(),
        close,
        ...(options.dir === undefined ? [() => rmSync(dir, { recursive: true, force: true })] : []),
      ]
      return new Lab({ installation, device: installation.device('ada'), web, tcp, secret, dns, recorders }, closers)
    } catch (cause) {
      await close()
      throw cause
    }
  }

  /** Logs Ada in and starts her proxies. */
  async login(): Promise<void> {
    await this.device.login(this.installation.loginUrl, ADA, this.installation.caFile)
    const proxies = await this.device.proxies()
    this.socks = proxies.socks
    this.http = proxies.http
  }

  /** Writes the Group's members. */
  setMembers(members: string[]): void {
    this.installation.write(withMembers(this.installation.read('Group', 'developers'), members))
  }

  /** Address of a page of the private web service, as an application asks for it. */
  url = (host = WEB_HOST, path = '/'): string =>
    `http://${host}:${host === SECRET_HOST ? this.secret.port : this.web.port}${path}`

  async close(): Promise<void> {
    for (const closer of this.#closers) await closer()
  }
}

const withMembers = (group: Manifest, members: string[]): Manifest => ({ ...group, spec: { ...group.spec, members } })
