// Fuzzing without end: random schedules against a reference model, and garbage against the parsers. Everything
// follows from the seed. `fuzzWire` throws at the first broken promise, with the seed of the run in its message.

import { capabilityFromText, decodeCapability, decodeCapabilityClaims } from './capability.ts'
import { ClientEnd } from './client-end.ts'
import { encodeClientHello, readClientHello } from './client-hello.ts'
import { ConnectorEnd } from './connector-end.ts'
import { WireError } from './error.ts'
import { decodeFrames, encodeFrame, FrameType } from './frame.ts'
import { encodeJson } from './hello.ts'
import { HelloReader } from './hello-reader.ts'
import { FLOOR_CREDIT, MAX_SESSION_CREDIT, RESUME_INTERVAL_MS } from './limit.ts'
import { classifyServerName } from './server-name.ts'
import type { SessionStream } from './stream.ts'

/** Runs `runs` random schedules and as many garbage inputs, seeded `seed`, `seed + 1`, ... Throws Error on a broken promise. */
export function fuzzWire({ runs, seed }: { runs: number; seed: number }): void {
  for (let run = 0; run < runs; run++) {
    try {
      fuzzSchedule(seed + run)
      fuzzHostilePeer(seed + run)
      fuzzParsers(seed + run)
    } catch (error) {
      throw new Error(`fuzz run with seed ${seed + run}`, { cause: error })
    }
  }
}

/** Numbers that look random and follow from a seed (mulberry32). */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** An integer from 0 up to `below`. */
  roll(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let index = 0; index < length; index++) bytes[index] = this.roll(256)
    return bytes
  }
}

type Side = 'client' | 'connector'

/** One direction of one stream, as it must arrive. */
class Flow {
  written = 0
  arrived = 0
  unconsumed = 0
  ended = false
  finArrived = false
  readonly #salt: number

  constructor(id: number, side: Side) {
    this.#salt = id * 7 + (side === 'client' ? 0 : 101)
  }

  next(length: number): Uint8Array {
    const start = this.written
    this.written += length
    const bytes = new Uint8Array(length)
    for (let index = 0; index < length; index++) bytes[index] = this.#byteAt(start + index)
    return bytes
  }

  arrive(bytes: Uint8Array): void {
    for (let index = 0; index < bytes.length; index++) {
      if (bytes[index] !== this.#byteAt(this.arrived)) check(false, `byte ${this.arrived} is another`)
      this.arrived++
    }
    check(this.arrived <= this.written, 'more bytes arrive than were written')
    this.unconsumed += bytes.length
  }

  #byteAt(offset: number): number {
    return (offset * 31 + (offset >> 8) * 17 + this.#salt) & 255
  }
}

/** What one side holds of one stream. */
class Party {
  readonly out: Flow
  readonly in: Flow
  readonly stream: SessionStream
  opened = false
  over = false

  constructor(stream: SessionStream, out: Flow, incoming: Flow) {
    this.stream = stream
    this.out = out
    this.in = incoming
    stream.handler = {
      opened: () => {
        check(!this.opened, 'opened twice')
        this.opened = true
      },
      data: bytes => {
        check(!this.over && this.opened, 'data on a stream that is not open')
        this.in.arrive(bytes)
      },
      fin: () => {
        check(this.in.ended && this.in.arrived === this.in.written, 'fin before the last byte')
        this.in.finArrived = true
      },
      reset: () => {
        check(!this.over, 'reset twice')
        this.over = true
      },
      drained: () => {},
    }
  }
}

const REQUEST = {
  resource: '00000000-0000-4000-8000-000000000001',
  host: 'db.internal',
  port: 5432,
  protocol: 'tcp',
} as const
const HASH = 'A'.repeat(43)
const SCHEDULE_STEPS = 400
const SETTLE_ROUNDS = 4_000

/** Two ends, a carrier that is cut in pieces and now and then, and a model of what must arrive. */
class World {
  nowMs = 1
  readonly dice: Dice
  readonly client: ClientEnd
  readonly connector: ConnectorEnd
  readonly parties: Record<Side, Map<number, Party>> = { client: new Map(), connector: new Map() }
  readonly #pipes: Record<Side, Uint8Array[]> = { client: [], connector: [] }
  readonly #acl: Uint8Array
  #greeter: HelloReader | undefined
  #attachedAtMs = Number.NEGATIVE_INFINITY

  constructor(seed: number) {
    this.dice = new Dice(seed)
    this.#acl = this.dice.bytes(1 + this.dice.roll(200_000))
    this.client = new ClientEnd({
      handler: { wake() {} },
      instance: 'instance-of-a-test',
      acl: { bytes: this.#acl, hash: HASH },
    })
    this.connector = new ConnectorEnd({
      handler: {
        wake() {},
        acl: bytes => {
          check(bytes.length === this.#acl.length && bytes.every((byte, at) => byte === this.#acl[at]), 'another ACL')
          this.connector.acceptAcl()
        },
        open: stream => this.#offered(stream),
      },
      session: 'session-of-a-test',
    })
  }

  attach(): void {
    this.nowMs = Math.max(this.nowMs, this.#attachedAtMs + RESUME_INTERVAL_MS)
    this.#greeter = new HelloReader()
    this.client.attach(this.nowMs)
  }

  /** Loses what is under way. A Client whose READY is lost would begin a new session, which is no part of this model. */
  cut(): void {
    if (this.client.session === undefined) return
    this.client.detach(this.nowMs)
    this.connector.detach(this.nowMs)
    this.#pipes.client = []
    this.#pipes.connector = []
  }

  /** Moves bytes one way, in chunks with random boundaries. */
  move(from: Side, limit: number): void {
    const end = from === 'client' ? this.client : this.connector
    const pipe = this.#pipes[from]
    pipe.push(...end.output(1 + this.dice.roll(limit), this.nowMs))
    let budget = this.dice.roll(limit)
    while (pipe.length > 0 && budget >= 0) {
      const chunk = pipe[0]!
      const length = Math.min(chunk.length, 1 + this.dice.roll(limit))
      if (length === chunk.length) pipe.shift()
      else pipe[0] = chunk.subarray(length)
      budget -= length
      this.#deliver(from, chunk.slice(0, length))
    }
  }

  open(): void {
    const result = this.client.open(REQUEST)
    check('stream' in result, 'open refused')
    if (!('stream' in result)) return
    const { id } = result.stream
    this.parties.client.set(id, new Party(result.stream, new Flow(id, 'client'), new Flow(id, 'connector')))
  }

  act(side: Side): void {
    const parties = [...this.parties[side].values()].filter(party => !party.over && party.stream.state !== 'closed')
    const party = parties[this.dice.roll(parties.length)]
    if (party === undefined) return
    const { stream, out } = party
    switch (this.dice.roll(12)) {
      case 0:
        if (stream.state === 'open' || side === 'client') this.#reset(party)
        return
      case 1:
      case 2:
        out.ended = true
        stream.end()
        return
      case 3:
      case 4:
      case 5:
        this.consume(party, this.dice.roll(party.in.unconsumed + 1))
        return
      default:
        if (!out.ended && stream.state === 'open') stream.write(out.next(1 + this.dice.roll(60_000)))
    }
  }

  consume(party: Party, bytes: number): void {
    party.in.unconsumed -= bytes
    if (bytes > 0 && party.stream.state !== 'closed') party.stream.consumed(bytes)
  }

  pass(): void {
    this.nowMs += this.dice.roll(80)
    this.client.tick(this.nowMs)
    this.connector.tick(this.nowMs)
  }

  #reset(party: Party): void {
    party.over = true
    party.stream.reset('closed')
  }

  #offered(stream: SessionStream): void {
    const opener = this.parties.client.get(stream.id)
    check(opener !== undefined, 'a stream that nobody opened')
    if (opener === undefined) return
    const party = new Party(stream, opener.in, opener.out)
    party.opened = true
    this.parties.connector.set(stream.id, party)
    if (this.dice.roll(10) === 0) this.#reset(party)
    else stream.accept()
  }

  #deliver(from: Side, chunk: Uint8Array): void {
    if (from === 'connector') {
      this.client.receive(chunk, this.nowMs)
      return
    }
    if (this.#greeter === undefined) {
      this.connector.receive(chunk, this.nowMs)
      return
    }
    const greeted = this.#greeter.push(chunk)
    if (greeted === undefined) return
    this.#greeter = undefined
    this.#attachedAtMs = this.nowMs
    this.connector.attach(greeted.hello, 'known', this.nowMs)
    this.connector.receive(greeted.rest, this.nowMs)
  }
}

function fuzzSchedule(seed: number): void {
  const world = new World(seed)
  world.attach()
  const cutOdds = 4 + world.dice.roll(60)
  for (let step = 0; step < SCHEDULE_STEPS; step++) {
    if (!world.client.attached) world.attach()
    if (world.dice.roll(cutOdds) === 0) world.cut()
    const what = world.dice.roll(30)
    if (what <= 2) world.open()
    else if (what <= 4) world.pass()
    else if (what <= 15) world.act(what % 2 === 0 ? 'client' : 'connector')
    else world.move(what % 2 === 0 ? 'client' : 'connector', what < 20 ? 20 : 300_000)
    checkLimits(world)
  }
  settle(world)
}

/** Lets everything that was written arrive, ends every stream, and compares. */
function settle(world: World): void {
  if (!world.client.attached) world.attach()
  for (let round = 0; round < SETTLE_ROUNDS && !isSettled(world); round++) {
    for (const side of ['client', 'connector'] as const) {
      for (const party of world.parties[side].values()) {
        world.consume(party, party.in.unconsumed)
        if (party.over || party.stream.state !== 'open' || party.out.ended) continue
        party.out.ended = true
        party.stream.end()
      }
      world.move(side, 1_000_000)
    }
    world.pass()
  }
  check(isSettled(world), 'a stream hangs')
  for (const [id, client] of world.parties.client) {
    const connector = world.parties.connector.get(id)
    check(client.over || connector !== undefined, 'an OPEN was lost')
    if (client.over || connector === undefined || connector.over) continue
    for (const party of [client, connector]) {
      check(party.in.finArrived && party.in.arrived === party.in.written, `stream ${id} lost bytes`)
    }
  }
}

function isSettled({ client, connector }: World): boolean {
  return client.streamCount === 0 && connector.streamCount === 0
}

function checkLimits({ client, connector }: World): void {
  for (const end of [client, connector]) {
    const floor = end.streamCount * FLOOR_CREDIT
    check(end.outstandingCredit >= 0 && end.outstandingCredit <= MAX_SESSION_CREDIT + floor, 'credit beyond its limit')
    check(end.keptBytes >= 0, 'kept frames below zero')
  }
}

/** A peer that knows the frames and keeps no rule: nothing but WireError may come of it. */
function fuzzHostilePeer(seed: number): void {
  const dice = new Dice(seed ^ 0x5eed)
  const streams: SessionStream[] = []
  const silent = { data() {}, fin() {}, reset() {}, drained() {} }
  const connector = new ConnectorEnd({
    handler: {
      wake() {},
      acl: () => connector.acceptAcl(),
      open: stream => {
        stream.handler = silent
        streams.push(stream)
        stream.accept()
      },
    },
    session: 'session-of-a-test',
  })
  const client = new ClientEnd({
    handler: { wake() {} },
    instance: 'instance-of-a-test',
    acl: { bytes: dice.bytes(10), hash: HASH },
  })
  onlyWireError(() => {
    connector.attach({ version: 1, instance: 'instance-of-a-test', received: 0, aclHash: HASH }, 'wanted', 0)
    for (let frame = 0; frame < 200; frame++) {
      connector.receive(hostileFrame(dice), frame)
      const stream = streams[dice.roll(streams.length)]
      if (stream?.state === 'open' && dice.roll(3) === 0) stream.write(dice.bytes(dice.roll(500)))
      connector.output(100_000, frame)
      checkLimitsOf(connector)
    }
  })
  onlyWireError(() => {
    client.attach(0)
    for (let frame = 0; frame < 200; frame++) {
      const opened = client.open(REQUEST)
      if ('stream' in opened) opened.stream.handler = silent
      client.output(100_000, frame)
      client.receive(hostileFrame(dice), frame)
      checkLimitsOf(client)
    }
  })
}

function checkLimitsOf(end: ClientEnd | ConnectorEnd): void {
  check(end.outstandingCredit <= MAX_SESSION_CREDIT + end.streamCount * FLOOR_CREDIT, 'credit beyond its limit')
}

const TYPES = Object.values(FrameType)
const LENGTHS: Partial<Record<number, number>> = {
  [FrameType.Opened]: 0,
  [FrameType.Reset]: 2,
  [FrameType.Fin]: 0,
  [FrameType.Credit]: 4,
  [FrameType.Ack]: 8,
  [FrameType.Ping]: 8,
  [FrameType.Pong]: 8,
  [FrameType.Goaway]: 2,
}

function hostileFrame(dice: Dice): Uint8Array {
  const type = TYPES[dice.roll(TYPES.length)]!
  const stream = type === FrameType.Data || type >= FrameType.Open ? dice.roll(40) : 0
  if (dice.roll(20) === 0) return dice.bytes(dice.roll(60))
  if (type === FrameType.Open) return encodeFrame({ stream, type, body: encodeJson(REQUEST) })
  if (type === FrameType.Ack) {
    const body = new Uint8Array(8)
    body[7] = dice.roll(8)
    return encodeFrame({ stream: 0, type, body })
  }
  const body = dice.bytes(LENGTHS[type] ?? dice.roll(300))
  const onZero = type <= FrameType.Acl || (type >= FrameType.Ack && type <= FrameType.Goaway)
  return encodeFrame({ stream: onZero ? 0 : stream, type, body })
}

function fuzzParsers(seed: number): void {
  const dice = new Dice(seed ^ 0xf00d)
  const garbage = dice.bytes(dice.roll(400))
  onlyWireError(() => decodeFrames(garbage))
  onlyWireError(() => new HelloReader().push(garbage))
  onlyWireError(() => decodeCapability(garbage))
  onlyWireError(() => decodeCapabilityClaims(garbage))
  onlyWireError(() => capabilityFromText(String.fromCharCode(...garbage)))
  classifyServerName(String.fromCharCode(...garbage), 'relay.example')
  const hello = encodeClientHello('relay.example', dice.bytes(32))
  for (let flip = 0; flip < 3; flip++) hello[dice.roll(hello.length)] = dice.roll(256)
  readClientHello(hello.subarray(0, dice.roll(hello.length + 1)))
  readClientHello(garbage)
}

function onlyWireError(run: () => void): void {
  try {
    run()
  } catch (error) {
    if (!(error instanceof WireError)) throw error
  }
}

function check(holds: boolean, promise: string): void {
  if (!holds) throw new Error(promise)
}
