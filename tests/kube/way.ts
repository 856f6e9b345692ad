import { readFileSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Agent, createServer, request } from 'node:https'
import type { Socket } from 'node:net'
import { json } from 'node:stream/consumers'
import { createCa, generateKeyPair, issueServingCertificate, privateKeyToPem } from '@sallyport/trust'
import { parse } from 'yaml'

/** How long the second of two events that change places is waited for. */
const PAIR_MS = 500

/** An HTTPS proxy in front of the API server, whose way can be cut, blocked, frozen, slowed, and whose watches can be spoilt. */
export class Way {
  readonly #server
  readonly #agent: Agent
  readonly #target: URL
  readonly #sockets = new Set<Socket>()
  readonly #frozen = new WeakSet<Socket>()
  readonly #watches = new Set<ServerResponse>()
  #isBlocked = false
  #delayMs = 0
  #shuffles = false
  #gone = 0
  #hidden: string[] = []
  /** Watches that have been answered with 410. */
  answered410 = 0
  /** Events that have changed places. */
  swapped = 0
  /** Lists from which something was left out. */
  thinned = 0

  private constructor(kubeconfig: { clusters: { cluster: Record<string, string> }[] }) {
    const { server, 'certificate-authority-data': ca = '' } = kubeconfig.clusters[0]!.cluster
    this.#target = new URL(server!)
    this.#agent = new Agent({ ca: Buffer.from(ca, 'base64'), keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
    const life = { nowMs: Date.now(), lifeSeconds: 86_400 }
    const authority = createCa({ commonName: 'test' }, life)
    const { publicKey, privateKey } = generateKeyPair()
    const names = { publicKey, dnsNames: [], ipAddresses: ['127.0.0.1'] }
    const cert = issueServingCertificate(authority, names, life)
    this.#server = createServer({ cert, key: privateKeyToPem(privateKey) }, (asked, answer) =>
      this.#pass(asked, answer),
    )
    this.#server.on('connection', socket => {
      if (this.#isBlocked) socket.destroy()
    })
    this.#server.on('secureConnection', socket => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
    kubeconfig.clusters[0]!.cluster['certificate-authority-data'] = Buffer.from(authority.certificatePem).toString(
      'base64',
    )
  }

  /** Opens a way to the API server of `kubeconfig`, and writes a kubeconfig that goes it to `path`. */
  static async open(kubeconfig: string, path: string): Promise<Way> {
    const config = parse(readFileSync(kubeconfig, 'utf8'))
    const way = new Way(config)
    await new Promise<void>(resolve => way.#server.listen(0, '127.0.0.1', resolve))
    const address = way.#server.address()
    if (address === null || typeof address === 'string') throw new TypeError('a TCP server has an address')
    config.clusters[0].cluster.server = `https://127.0.0.1:${address.port}`
    writeFileSync(path, JSON.stringify(config), { mode: 0o600 })
    return way
  }

  /** Ends every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Ends every connection, and lets none come about. */
  block(): void {
    this.#isBlocked = true
    this.cut()
  }

  unblock(): void {
    this.#isBlocked = false
  }

  /** What is open stays open and carries nothing more; new connections work. */
  freeze(): void {
    for (const socket of this.#sockets) {
      this.#frozen.add(socket)
      socket.pause()
    }
  }

  /** Holds every answer, and every piece of it, for so long. */
  slow(delayMs: number): void {
    this.#delayMs = delayMs
  }

  /** Tells every watch that its version is gone, and the next of each to begin. */
  expire(): void {
    this.#gone = this.#watches.size
    for (const answer of this.#watches) {
      answer.end(`${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } })}\n`)
    }
  }

  /** Leaves these out of lists: all of a kind by its plural, one as `plural/name`. Watches, and who asks for a name, see them. */
  hide(...hidden: string[]): void {
    this.#hidden = hidden
  }

  /** Lets the events of each watch change places, two by two. */
  shuffle(shuffles: boolean): void {
    this.#shuffles = shuffles
  }

  close(): void {
    this.cut()
    this.#server.close()
    this.#agent.destroy()
  }

  #pass(asked: IncomingMessage, answer: ServerResponse): void {
    if (this.#frozen.has(asked.socket)) return
    const { pathname, searchParams } = new URL(asked.url ?? '', this.#target)
    const isWatch = searchParams.has('watch')
    const plural = pathname.split('/').at(-1) ?? ''
    const isList = !isWatch && asked.method === 'GET'
    const isHidden = isList && this.#hidden.some(hidden => hidden.split('/')[0] === plural)
    if (isWatch && this.#gone > 0) {
      this.#gone--
      this.answered410++
      answer.writeHead(410, { 'content-type': 'application/json' })
      return void answer.end(JSON.stringify({ kind: 'Status', code: 410, reason: 'Expired' }))
    }
    const { method, headers } = asked
    // A list that is read here is not to be packed.
    const plain = isHidden ? { 'accept-encoding': 'identity' } : {}
    const options = { method, headers: { ...headers, ...plain, host: this.#target.host }, agent: this.#agent }
    const onward = request(new URL(asked.url ?? '', this.#target), options, reply => {
      if (isHidden) return void this.#thin(plural, reply, answer)
      this.#later(() => {
        answer.writeHead(reply.statusCode ?? 502, reply.headers)
        answer.flushHeaders()
      })
      if (isWatch) this.#watch(reply, answer)
      else this.#carry(reply, answer, asked.socket)
    })
    onward.on('error', () => answer.destroy())
    answer.on('close', () => onward.destroy())
    asked.pipe(onward)
  }

  /** Passes on a list without what is hidden of it. */
  async #thin(plural: string, reply: IncomingMessage, answer: ServerResponse): Promise<void> {
    try {
      const list = (await json(reply)) as { items: { metadata: { name: string } }[] }
      const isHidden = (name: string) => this.#hidden.some(hidden => [plural, `${plural}/${name}`].includes(hidden))
      const items = list.items.filter(({ metadata }) => !isHidden(metadata.name))
      if (items.length < list.items.length) this.thinned++
      answer.writeHead(200, { 'content-type': 'application/json' })
      answer.end(JSON.stringify({ ...list, items }))
    } catch {
      answer.destroy()
    }
  }

  #carry(reply: IncomingMessage, answer: ServerResponse, socket: Socket): void {
    const write = (action: () => void) => this.#later(() => this.#frozen.has(socket) || action())
    reply.on('data', chunk => write(() => answer.write(chunk)))
    reply.on('end', () => write(() => answer.end()))
    reply.on('error', () => answer.destroy())
  }

  #watch(reply: IncomingMessage, answer: ServerResponse): void {
    this.#watches.add(answer)
    const socket = answer.socket
    let rest = ''
    let held: string | undefined
    const send = (line: string) =>
      this.#later(() => (socket !== null && this.#frozen.has(socket)) || answer.writableEnded || answer.write(line))
    const release = () => {
      if (held !== undefined) send(held)
      held = undefined
    }
    reply.setEncoding('utf8')
    reply.on('data', text => {
      const lines = (rest + text).split(/(?<=\n)/)
      rest = lines.at(-1)?.endsWith('\n') ? '' : (lines.pop() ?? '')
      for (const line of lines) {
        if (!this.#shuffles) {
          release()
          send(line)
        } else if (held === undefined) {
          held = line
          setTimeout(release, PAIR_MS)
        } else {
          this.swapped++
          send(line)
          release()
        }
      }
    })
    reply.on('end', () => this.#later(() => answer.end()))
    reply.on('error', () => answer.destroy())
    answer.on('close', () => this.#watches.delete(answer))
  }

  #later(action: () => void): void {
    if (this.#delayMs === 0) action()
    else setTimeout(action, this.#delayMs)
  }
}
