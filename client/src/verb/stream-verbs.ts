import type { CaptureRequest, CaptureStatus } from '@sallyport/schema'
import { ClientError, clientErrors } from '../error.ts'
import type { LocalConfig } from '../local/config.ts'
import { connectDaemon, type DaemonConnection } from '../local/connection.ts'
import { formatDestination, parseDestination, parseForward } from './destination.ts'
import { type Output, show } from './output.ts'

/** `sallyport proxy`: serves until it is interrupted. */
export async function proxy(config: LocalConfig, out: Output, listen: string[], direct: boolean): Promise<number> {
  return capture(config, out, [{ kind: 'proxy', listen, direct }])
}

/** `sallyport forward`: serves until it is interrupted. */
export async function forward(config: LocalConfig, out: Output, specs: string[]): Promise<number> {
  const captures = specs.map((spec): CaptureRequest => {
    const { local, to } = parseForward(spec)
    return { kind: 'forward', listen: formatDestination(local), ...to }
  })
  return capture(config, out, captures)
}

/** `sallyport connect HOST:PORT`: the connection on standard input and output. */
export async function connect(config: LocalConfig, destination: string): Promise<number> {
  const { host, port } = parseDestination(destination)
  const daemon = await connectDaemon(config.home)
  daemon.send({ type: 'connect', host, port })
  await daemon.next('connected')
  const { socket, early } = daemon.release()
  if (early.length > 0) process.stdout.write(early)
  process.stdin.pipe(socket)
  socket.pipe(process.stdout)
  return new Promise(resolve => {
    let failed = false
    socket.on('error', () => {
      failed = true
    })
    process.stdout.on('error', () => socket.destroy())
    socket.on('close', () => {
      process.stdin.unpipe(socket)
      process.stdin.destroy()
      resolve(failed ? clientErrors.connection_lost.exit : 0)
    })
    socket.on('end', () => {
      // Nothing more can come; what is still typed has nowhere to go.
      if (process.stdin.readableEnded) return
      process.stdin.unpipe(socket)
      socket.end()
    })
  })
}

async function capture({ home }: LocalConfig, out: Output, requests: CaptureRequest[]): Promise<number> {
  const daemons: DaemonConnection[] = []
  try {
    for (const request of requests) {
      const daemon = await connectDaemon(home)
      daemons.push(daemon)
      daemon.send({ type: 'capture', capture: request })
      const { capture: status } = await daemon.next('capturing')
      show(out, { capturing: status }, describe(status))
    }
    if (!out.json) out.write('Press Ctrl-C to stop.\n')
    await Promise.race(daemons.map(daemon => daemon.ended()))
    throw new ClientError('connection_lost', 'the daemon has ended', { hint: 'Run the command again.' })
  } finally {
    for (const daemon of daemons) daemon.close()
  }
}

function describe({ kind, listen, to }: CaptureStatus): string {
  if (kind === 'forward') return `${listen.join(', ')} leads to ${to}.`
  const [first = ''] = listen
  return [
    `SOCKS 5 and HTTP proxy on ${listen.join(' and ')}. For example:`,
    `  curl --socks5-hostname ${first} http://HOST/`,
    `  curl -x http://${listen.at(-1)} http://HOST/`,
  ].join('\n')
}
