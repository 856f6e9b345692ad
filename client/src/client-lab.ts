import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { configFrom, startController } from '@sallyport/controller'
import { silentLog } from '@sallyport/runtime'
import { eventually, freePorts, type Run, run, ScriptedBrowser } from '@sallyport/testkit'
import {
  createCa,
  createStoreKey,
  formatStoreKey,
  generateKeyPair,
  issueServingCertificate,
  parseCertificate,
  pinOf,
  privateKeyToPem,
  spkiOf,
} from '@sallyport/trust'

const MAIN = join(import.meta.dirname, 'main.ts')
/** What is to be ended, in the order of its start. */
export const closers: (() => unknown)[] = []

/** Ends everything that the tests of a file have started. */
export async function closeLab(): Promise<void> {
  const failures: unknown[] = []
  for (const close of closers.splice(0).reverse()) {
    try {
      await close()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, 'not everything has ended in order')
}

/** A directory that is gone at the end; short, because a socket's path may not be long. */
export function scratch(): string {
  const dir = mkdtempSync(join(tmpdir(), 'sp-'))
  closers.push(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** A real Controller with an embedded provider and a CA of its own. */
export async function startTestController(changes: { tenant?: object; controller?: object } = {}) {
  const dir = scratch()
  const now = Math.floor(performance.timeOrigin + performance.now())
  const ca = createCa({ commonName: 'test installation' }, { nowMs: now, lifeSeconds: 86_400 })
  const keys = generateKeyPair()
  const certificate = issueServingCertificate(
    ca,
    { publicKey: keys.publicKey, dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] },
    { nowMs: now, lifeSeconds: 86_400 },
  )
  const file = (name: string, text: string) => {
    const path = join(dir, name)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }
  const [port = 0] = await freePorts(1)
  const url = `https://127.0.0.1:${port}`
  const config = configFrom({
    url,
    listen: `127.0.0.1:${port}`,
    metricsListen: '127.0.0.1:0',
    database: { path: join(dir, 'controller.db') },
    storeKeyFile: file('store-key', formatStoreKey(createStoreKey())),
    tls: {
      certFile: file('tls.crt', `${certificate}${ca.certificatePem}`),
      keyFile: file('tls.key', privateKeyToPem(keys.privateKey)),
    },
    ...changes.controller,
    tenants: [
      {
        ...changes.tenant,
        name: 'default',
        admins: ['root@example.com'],
        identityProviders: [
          {
            name: 'tryout',
            type: 'embedded',
            embedded: true,
            accounts: [{ email: 'root@example.com' }, { email: 'ada@example.com' }, { email: 'stranger@example.com' }],
          },
        ],
      },
    ],
  })
  const start = async () => {
    const controller = await startController(config, { log: silentLog })
    closers.push(() => controller.close())
    return controller
  }
  let controller = await start()
  const pin = pinOf(spkiOf(parseCertificate(ca.certificatePem).publicKey))
  return {
    url,
    pin,
    ca: ca.certificatePem,
    issue: (dnsName: string) => {
      const own = generateKeyPair()
      const life = { nowMs: now, lifeSeconds: 86_400 }
      const pem = issueServingCertificate(ca, { publicKey: own.publicKey, dnsNames: [dnsName] }, life)
      return { certificate: `${pem}${ca.certificatePem}`, key: privateKeyToPem(own.privateKey) }
    },
    restart: async () => {
      await controller.close()
      controller = await start()
    },
    stop: () => controller.close(),
  }
}
export type TestController = Awaited<ReturnType<typeof startTestController>>

/** Pid of the daemon of `home`; undefined where there is none. */
export function daemonPid(home: string): number | undefined {
  try {
    return Number.parseInt(readFileSync(join(home, 'daemon.lock'), 'utf8'), 10) || undefined
  } catch {
    return undefined
  }
}

/** Whether there is a process with this pid. */
export function isRunning(pid: number): boolean {
  return signalled(pid, 0)
}

async function endDaemon(home: string): Promise<void> {
  const pid = daemonPid(home)
  if (pid === undefined || !signalled(pid, 'SIGTERM')) return
  await eventually(`the end of daemon ${pid}`, () => !isRunning(pid)).catch(error => {
    signalled(pid, 'SIGKILL')
    throw error
  })
}

function signalled(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}

/** What a command printed and how it ended. */
export type Ran = { code: number | string; out: string; err: string }

/** The `sallyport` command of one person, with a state directory of its own. */
export function commandLine(home = join(scratch(), 'home')) {
  mkdirSync(home, { recursive: true, mode: 0o700 })
  const env = { SALLYPORT_HOME: home, SALLYPORT_BROWSER: '' }
  closers.push(() => endDaemon(home))
  const begin = (...args: string[]): Run => run({ name: `sallyport ${args[0]}`, args: [MAIN, ...args], env })
  const commandWith = async (input: string, ...args: string[]): Promise<Ran> => {
    const child = spawn(process.execPath, [MAIN, ...args], { env: { ...process.env, ...env } })
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
    const chunks = { out: '', err: '' }
    child.stdout.on('data', chunk => {
      chunks.out += chunk
    })
    child.stderr.on('data', chunk => {
      chunks.err += chunk
    })
    const code = await new Promise<number | string>(resolve => {
      child.on('close', (exit, signal) => resolve(exit ?? signal ?? ''))
    })
    return { code, ...chunks }
  }
  const command = (...args: string[]) => commandWith('', ...args)
  return { home, env, begin, command, commandWith }
}
export type CommandLine = ReturnType<typeof commandLine>

/** Logs in by the command, with a scripted browser that chooses `account`. */
export async function logInAs(
  line: CommandLine,
  controller: Pick<TestController, 'url' | 'pin' | 'ca'>,
  account: string,
): Promise<{ code: number | string; lines: string[]; page: string }> {
  const login = line.begin('login', '--no-browser', '--json', `${controller.url}#sha256:${controller.pin}`)
  const { browse } = JSON.parse(await login.line(/"browse"/)) as { browse: string }
  const page = await new ScriptedBrowser(controller.ca).visit(browse, (_, forms) =>
    forms.find(({ text }) => text.includes(account)),
  )
  const code = await login.ended
  return { code, lines: login.lines, page: page.body }
}

/** Sends `bytes` to `host:port` and gives what comes back until the end, or until there are `enough` bytes; rejects when it is cut. */
export function exchange(address: string, bytes: Buffer, enough = Number.POSITIVE_INFINITY): Promise<Buffer> {
  const [host = '', port] = address.split(':')
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), host, () => socket.write(bytes))
    const chunks: Buffer[] = []
    let length = 0
    socket.on('data', chunk => {
      chunks.push(chunk)
      length += chunk.length
      if (length < enough) return
      resolve(Buffer.concat(chunks))
      socket.destroy()
    })
    socket.on('end', () => resolve(Buffer.concat(chunks)))
    socket.on('error', reject)
  })
}
