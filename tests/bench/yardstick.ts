/** stunnel -> haproxy -> stunnel: mutual TLS 1.3 with pinned certificates through a blind relay, all in C. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { eventually, freePorts, type Run, run } from '@sallyport/testkit'

export type Chain = { name: string; port: number; close(): Promise<void> }

/** Starts the yardstick in front of 127.0.0.1:`target`; undefined, with the reason, where a program is missing. */
export async function startYardstick(dir: string, target: number): Promise<Chain | string> {
  for (const program of ['stunnel4', 'haproxy', 'openssl']) {
    if (spawnSync('which', [program]).status !== 0) return `${program} is not installed`
  }
  mkdirSync(dir, { recursive: true })
  const [near, middle, far] = (await freePorts(3)) as [number, number, number]
  for (const name of ['client', 'server']) certificate(dir, name)

  const stunnel = (name: string, peer: string, lines: string[]) => {
    const file = join(dir, `stunnel-${name}.conf`)
    writeFileSync(
      file,
      [
        'foreground = yes',
        'syslog = no',
        'debug = 3',
        `pid = ${join(dir, `${name}.pid`)}`,
        '[chain]',
        `cert = ${join(dir, `${name}.crt`)}`,
        `key = ${join(dir, `${name}.key`)}`,
        `CAfile = ${join(dir, `${peer}.crt`)}`,
        'verifyPeer = yes',
        'sslVersion = TLSv1.3',
        'TIMEOUTclose = 0',
        'socket = l:TCP_NODELAY=1',
        'socket = r:TCP_NODELAY=1',
        ...lines,
        '',
      ].join('\n'),
    )
    return run({ name: `stunnel ${name}`, command: 'stunnel4', args: [file] })
  }
  writeFileSync(
    join(dir, 'haproxy.cfg'),
    [
      'global',
      '  maxconn 4000',
      'defaults',
      '  mode tcp',
      '  timeout connect 5s',
      '  timeout client 5m',
      '  timeout server 5m',
      'listen relay',
      `  bind 127.0.0.1:${middle}`,
      `  server far 127.0.0.1:${far}`,
      '',
    ].join('\n'),
  )
  const runs: Run[] = [
    stunnel('server', 'client', [`accept = 127.0.0.1:${far}`, `connect = 127.0.0.1:${target}`]),
    run({ name: 'haproxy', command: 'haproxy', args: ['-db', '-f', join(dir, 'haproxy.cfg')] }),
    stunnel('client', 'server', ['client = yes', `accept = 127.0.0.1:${near}`, `connect = 127.0.0.1:${middle}`]),
  ]
  for (const port of [near, middle, far]) await eventually(`port ${port} of the yardstick`, () => listening(port))
  return {
    name: 'stunnel, haproxy, stunnel',
    port: near,
    close: async () => void (await Promise.all(runs.map(one => one.stop()))),
  }
}

function certificate(dir: string, name: string) {
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
    ...['-subj', `/CN=${name}`, '-keyout', join(dir, `${name}.key`), '-out', join(dir, `${name}.crt`)],
  ])
  if (made.status !== 0) throw new Error(`openssl failed: ${made.stderr}`)
}

function listening(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
