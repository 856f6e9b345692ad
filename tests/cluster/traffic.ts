/** What people do while things change: new connections all the time, and streams that live long. */
import type { Socket } from 'node:net'
import type { ClientStatus } from '@sallyport/schema'
import { bySocks, eventually, take } from '@sallyport/testkit'
import { expect } from 'vitest'
import { type Person, seconds, TCP, WEB } from './release.ts'

const PARALLEL = 2

/** New connections, one after another, for as long as it runs: each is counted as answered or failed, with what was being changed then. */
export class Traffic {
  readonly failures: string[] = []
  answered = 0
  #step = 'nothing has changed yet'
  #isOver = false
  readonly #person: Person
  readonly #load: Promise<unknown>

  constructor(person: Person) {
    this.#person = person
    const { get } = person
    this.#load = Promise.all(
      Array.from({ length: PARALLEL }, async () => {
        while (!this.#isOver)
          await get(WEB.host, WEB.port).then(
            said => (said === WEB.says ? this.answered++ : this.failures.push(`${this.#step}: answered ${said}`)),
            error => this.failures.push(`${this.#step}: ${error}`),
          )
      }),
    )
  }

  /** Makes a change beside it, and waits for connections after that. */
  async during(title: string, change: () => Promise<unknown>): Promise<void> {
    this.#step = title
    await change()
    const before = this.answered
    await eventually('new connections after it', () => this.answered > before + PARALLEL)
  }

  /** Makes a change beside it and beside a live stream, prints how both fared, and expects that no connection has failed; gives that stream. */
  async under(title: string, change: () => Promise<unknown>): Promise<LiveStream> {
    const fromMs = performance.now()
    const before = this.answered
    const stream = await openStream(this.#person)
    let ended = 'goes on'
    void stream.ended.then(how => {
      ended = `${how} after ${seconds(fromMs)}`
    })
    await this.during(title, change)
    console.log(`${title}: ${seconds(fromMs)}, ${this.answered - before} new connections; its live stream: ${ended}`)
    expect(this.failures).toEqual([])
    return stream
  }

  /** Ends it; gives the counts for print. */
  async end(): Promise<string> {
    this.#isOver = true
    await this.#load
    return `${this.answered} new connections answered, ${this.failures.length} failed`
  }
}

/** A stream that is open and has carried something; `ended` tells how it has ended, as its application sees it. */
export type LiveStream = {
  socket: Socket
  ended: Promise<'closed' | 'reset'>
  isOpen: () => boolean
  echo: () => Promise<void>
}

/** Opens a stream to the quickstart's TCP service, or to another one of its kind. */
export async function openStream({ dial }: Pick<Person, 'dial'>, host: string = TCP.host): Promise<LiveStream> {
  const socket = await dial(host, TCP.port)
  await take(socket, TCP.says.length)
  let failed = false
  socket.on('error', () => {
    failed = true
  })
  const ended = new Promise<'closed' | 'reset'>(resolve => {
    socket.once('close', () => resolve(failed ? 'reset' : 'closed'))
  })
  // An end that is not read is not seen.
  socket.on('end', () => socket.end())
  const openedMs = performance.now()
  const told = ended.then(how => `${how} ${seconds(openedMs)} after it was opened`)
  const isOpen = () => !socket.destroyed && !socket.readableEnded
  const echo = async () => {
    socket.write('again\n')
    await take(socket, 6).catch(async error => {
      throw new Error(`the stream to ${host}: ${isOpen() ? error.message : await told}`, { cause: error })
    })
  }
  await echo()
  return { socket, ended, echo, isOpen }
}

/** Dials by which a stream has run through a wanted Relay, at most. Each is as likely as one Relay among all. */
const MAX_DIALS = 60

/** Opens a stream that runs through a replica of this Relay: a daemon chooses its way anew each time that it starts. */
export async function openStreamThrough(person: Person, relay: string): Promise<LiveStream> {
  const ways: string[] = []
  for (let dials = 0; dials < MAX_DIALS; dials++) {
    await person.device.close()
    person.dial = bySocks((await person.device.proxies()).socks)
    const stream = await eventually('a stream', () => openStream(person))
    ways.push(...(await waysOf(person)))
    if (ways.at(-1)?.includes(`.${relay}.`)) return stream
  }
  throw new Error(`no stream has run through Relay ${relay}: ${ways.join(', ')}`)
}

/** Names of the Relays through which a device has sessions. */
export async function waysOf({ device }: Person): Promise<string[]> {
  const { sessions } = await device.json<ClientStatus>(['status'])
  return sessions.map(({ path }) => path)
}
