import { spawn } from 'node:child_process'
import type { ClientStatus } from '@sallyport/schema'
import { clientErrors } from '../error.ts'
import type { LocalConfig } from '../local/config.ts'
import { connectDaemon, type DaemonConnection, findDaemon, stopDaemon } from '../local/connection.ts'
import { parseLoginUrl } from '../login/login-url.ts'
import { VERSION } from '../version.ts'
import { formatDestination, parseDestination } from './destination.ts'
import { type Output, relativeTime, show, table } from './output.ts'

/** `sallyport login URL`. */
export async function login(config: LocalConfig, out: Output, url: string, browser: boolean): Promise<number> {
  parseLoginUrl(url)
  return withDaemon(config, async daemon => {
    daemon.send({ type: 'login', url })
    for (;;) {
      const answer = await daemon.next('browse', 'loggedIn')
      if (answer.type === 'loggedIn') {
        show(
          out,
          { loggedIn: answer.status },
          `Logged in as ${answer.status.user ?? 'unknown'}.${notes(answer.status)}`,
        )
        return 0
      }
      const opened = browser && openBrowser(config.browser, answer.url)
      const lead = opened ? 'Your browser should open. If it does not, open this URL:' : 'Open this URL to log in:'
      show(out, { browse: answer.url }, `${lead}\n\n  ${answer.url}\n`)
    }
  })
}

/** `sallyport logout`. */
export async function logout(config: LocalConfig, out: Output): Promise<number> {
  return withDaemon(config, async daemon => {
    daemon.send({ type: 'logout' })
    await daemon.next('loggedOut')
    show(out, { loggedOut: true }, 'Logged out.')
    return 0
  })
}

/** `sallyport status`. */
export async function status(config: LocalConfig, out: Output, nowMs: number): Promise<number> {
  return withDaemon(config, async daemon => {
    daemon.send({ type: 'status' })
    const answer = await daemon.next('status')
    show(out, answer.status, statusText(answer.status, nowMs))
    return answer.status.state === 'loggedOut' || answer.status.state === 'loginRequired'
      ? clientErrors.not_logged_in.exit
      : 0
  })
}

/** `sallyport resources`. */
export async function resources(config: LocalConfig, out: Output, nowMs: number): Promise<number> {
  return withDaemon(config, async daemon => {
    daemon.send({ type: 'resources' })
    const answer = await daemon.next('resources')
    const rows = answer.resources.map(({ name, network, address, aliases, ports, usable, endMs }) => [
      name,
      [address, ...aliases].join(', '),
      ports,
      network,
      usable ? (endMs === undefined ? '' : `ends ${relativeTime(endMs, nowMs)}`) : 'not used, see `sallyport status`',
    ])
    const text =
      rows.length === 0 ? 'There is no Resource for you.' : table(['NAME', 'ADDRESS', 'TCP PORTS', 'NETWORK', ''], rows)
    show(out, { resources: answer.resources, warnings: answer.warnings }, text)
    return 0
  })
}

/** `sallyport why HOST:PORT`. */
export async function why(config: LocalConfig, out: Output, destination: string): Promise<number> {
  const { host, port } = parseDestination(destination)
  return withDaemon(config, async daemon => {
    daemon.send({ type: 'why', host, port })
    const { report } = await daemon.next('why')
    const steps = report.steps.map(({ check, ok, detail }) => `  ${ok ? '✓' : '✗'} ${check.padEnd(11)} ${detail}`)
    const verdict =
      report.verdict === 'reachable'
        ? `${formatDestination(report)} can be reached.`
        : `${formatDestination(report)} cannot be reached: ${report.reason}.\n${report.hint ?? ''}`.trimEnd()
    show(out, report, [...steps, '', verdict].join('\n'))
    return report.verdict === 'reachable' ? 0 : exitOf(report.reason)
  })
}

/** `sallyport daemon stop`. */
export async function stopRunning({ home }: LocalConfig, out: Output): Promise<number> {
  const daemon = await findDaemon(home)
  if (daemon !== undefined) await stopDaemon(home, daemon)
  show(out, { stopped: daemon !== undefined }, daemon === undefined ? 'No daemon was running.' : 'Stopped.')
  return 0
}

async function withDaemon(config: LocalConfig, work: (daemon: DaemonConnection) => Promise<number>): Promise<number> {
  const daemon = await connectDaemon(config.home)
  try {
    return await work(daemon)
  } finally {
    daemon.close()
  }
}

const STATES: Record<ClientStatus['state'], string> = {
  loggedOut: 'Nobody is logged in. Run `sallyport login URL`.',
  loginRequired: 'The login is over. Run `sallyport login URL` again.',
  connecting: 'Logged in; the Controller is not reached just now. What is known goes on.',
  connected: 'Logged in and connected.',
}

function statusText(status: ClientStatus, nowMs: number): string {
  const { state, detail, controller, user, tenant, device, loginEndsAtMs, networks, sessions, captures } = status
  const lines = [STATES[state]]
  if (detail !== undefined) lines.push(`  ${detail}`)
  const fact = (name: string, value: string | undefined) => {
    if (value !== undefined) lines.push(`  ${name.padEnd(12)}${value}`)
  }
  fact('user', user)
  fact('tenant', tenant)
  fact('controller', controller)
  fact('device', device)
  fact('login ends', loginEndsAtMs === undefined ? undefined : relativeTime(loginEndsAtMs, nowMs))
  fact('version', VERSION)
  if (networks.length > 0) {
    const rows = networks.map(({ name, resources, connectors, aclEndsAtMs, problem }) => [
      name,
      String(resources),
      String(connectors),
      problem ?? (aclEndsAtMs === undefined ? '' : `access list ends ${relativeTime(aclEndsAtMs, nowMs)}`),
    ])
    lines.push('', table(['NETWORK', 'RESOURCES', 'CONNECTORS', ''], rows))
  }
  if (sessions.length > 0) {
    const rows = sessions.map(({ network, connector, path, streams, startedAtMs }) => [
      network,
      connector,
      path,
      String(streams),
      relativeTime(startedAtMs, nowMs),
    ])
    lines.push('', table(['SESSION', 'CONNECTOR', 'PATH', 'STREAMS', 'SINCE'], rows))
  }
  if (captures.length > 0) {
    const rows = captures.map(({ kind, listen, to, open }) => [kind, listen.join(', '), to ?? '', String(open)])
    lines.push('', table(['CAPTURE', 'LISTENS ON', 'TO', 'OPEN'], rows))
  }
  return `${lines.join('\n')}${notes(status)}`
}

const notes = ({ warnings }: ClientStatus) => warnings.map(warning => `\n! ${warning}`).join('')

const exitOf = (reason: string) =>
  Object.hasOwn(clientErrors, reason)
    ? clientErrors[reason as keyof typeof clientErrors].exit
    : clientErrors.failed.exit

const OPENERS: Partial<Record<NodeJS.Platform, string[]>> = {
  darwin: ['open'],
  win32: ['rundll32', 'url.dll,FileProtocolHandler'],
}

/** Opens a URL in the browser, without a shell; false where there is none to try. */
function openBrowser(configured: string | undefined, url: string): boolean {
  if (configured === '') return false
  const [command = 'xdg-open', ...args] = configured?.split(' ') ?? OPENERS[process.platform] ?? ['xdg-open']
  const child = spawn(command, [...args, url], { stdio: 'ignore', detached: true })
  // The URL is printed as well: without a browser the person opens it elsewhere.
  child.on('error', () => undefined)
  child.unref()
  return true
}
