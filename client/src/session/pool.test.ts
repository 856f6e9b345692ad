import { PassThrough } from 'node:stream'
import { FakeClock } from '@sallyport/runtime'
import type { OpenRequest, ResetCode } from '@sallyport/wire'
import { describe, expect, it } from 'vitest'
import type { NetworkView } from '../access/knowledge.ts'
import type { ClientErrorCode } from '../error.ts'
import { DialFailed, type DialFault, type LiveSession, OpenRefused } from './live-session.ts'
import { SessionPool } from './pool.ts'

const REQUEST: OpenRequest = { resource: 'r', host: 'db.internal', port: 5432, protocol: 'tcp' }
const NEVER = new AbortController().signal

type Behaviour = { dial?: DialFault; open?: ResetCode; once?: boolean; answer?: Promise<void> }

/** A network of two Connectors behind two Relays that behave as told; what was dialled and opened is kept. */
function network(behaviour: Record<string, Behaviour> = {}, idleMs = 1000) {
  const clock = new FakeClock()
  const dialled: string[] = []
  const capabilities: string[] = []
  const opened: string[] = []
  const alive = new Set<string>()
  let stale = 0
  const view = {
    uid: 'n',
    name: 'office',
    aclJwt: 'acl',
    connection: {
      connectors: ['c1', 'c2'].map(id => ({
        id,
        pin: '',
        relays: ['r1', 'r2'].map(name => ({ name, address: 'x:1', capabilities: [`${id}${name}a`, `${id}${name}b`] })),
      })),
    },
  } as unknown as NetworkView // Only what the pool reads.
  const pool = new SessionPool({
    clock,
    instance: 'me',
    idleMs,
    onStale: () => {
      stale++
    },
    dial: async (_, { connector, relay }, capability) => {
      dialled.push(`${connector}/${relay}`)
      capabilities.push(capability)
      const fault = behaviour[relay]?.dial ?? behaviour[connector]?.dial
      if (fault !== undefined) throw new DialFailed(fault, fault)
      const { promise, resolve } = Promise.withResolvers<string>()
      alive.add(connector)
      const session: LiveSession = {
        connector,
        relay,
        get accepting() {
          return alive.has(connector)
        },
        ended: promise,
        open: async () => {
          const how = behaviour[connector]
          await how?.answer
          if (how?.open !== undefined) {
            const { open } = how
            if (how.once === true) delete how.open
            throw new OpenRefused(open, open)
          }
          opened.push(connector)
          return new PassThrough()
        },
        renewAcl: () => undefined,
        close: () => {
          alive.delete(connector)
          resolve('closed')
        },
      }
      return session
    },
  })
  return { pool, view, clock, dialled, capabilities, opened, alive, stale: () => stale, behaviour }
}

const first = async () => {
  const lab = network()
  await lab.pool.open(lab.view, REQUEST, NEVER)
  return lab.opened[0] ?? ''
}

describe('the pool', () => {
  it('opens nothing more at a Connector that the Controller names no more, and cuts nothing', async () => {
    const { pool, view, opened } = network()
    const stream = await pool.open(view, REQUEST, NEVER)
    const [before] = opened
    const connectors = view.connection!.connectors.filter(({ id }) => id !== before)
    await pool.open({ ...view, connection: { ...view.connection!, connectors } }, REQUEST, NEVER)
    expect(opened[1]).not.toBe(before)
    expect(stream.destroyed).toBe(false)
  })

  it('dials once for streams that begin together, and not again for the next', async () => {
    const { pool, view, dialled, opened } = network()
    await Promise.all([pool.open(view, REQUEST, NEVER), pool.open(view, REQUEST, NEVER)])
    await pool.open(view, REQUEST, NEVER)
    expect([dialled.length, opened.length]).toEqual([1, 3])
  })

  it('keeps a session for which an answer is awaited, however long, and ends it when it has been idle', async () => {
    const answered = Promise.withResolvers<void>()
    const slow = { answer: answered.promise }
    const { pool, view, clock, alive } = network({ c1: slow, c2: slow })
    const opening = pool.open(view, REQUEST, NEVER)
    await new Promise(resolve => setImmediate(resolve))
    clock.advance(60_000)
    expect(alive.size).toBe(1)
    answered.resolve()
    const stream = await opening
    stream.destroy()
    await new Promise(resolve => stream.once('close', resolve))
    clock.advance(999)
    expect(alive.size).toBe(1)
    clock.advance(1)
    expect(alive.size).toBe(0)
  })

  it('a dead Relay costs one try, and the next dial begins with another', async () => {
    const preferred = network()
    await preferred.pool.open(preferred.view, REQUEST, NEVER)
    const [, relay = ''] = preferred.dialled[0]?.split('/') ?? []
    const lab = network({ [relay]: { dial: 'relay' } })
    await lab.pool.open(lab.view, REQUEST, NEVER)
    expect(lab.dialled).toHaveLength(2)
  })

  it.each<[ResetCode]>([['acl_mismatch'], ['draining'], ['too_many_streams']])(
    'a Connector that says %s is left for the other one',
    async code => {
      const preferred = await first()
      const lab = network({ [preferred]: { open: code } })
      await lab.pool.open(lab.view, REQUEST, NEVER)
      expect(lab.opened).toEqual([preferred === 'c1' ? 'c2' : 'c1'])
    },
  )

  it('a session that was lost is made anew', async () => {
    const preferred = await first()
    const lab = network({ [preferred]: { open: 'connector_lost', once: true } })
    await lab.pool.open(lab.view, REQUEST, NEVER)
    expect(lab.opened).toEqual([preferred])
    expect(lab.dialled).toHaveLength(2)
  })

  it('a Connector that leaves a Relay is reached by another one, and what is open stays there', async () => {
    const preferred = await first()
    const other = preferred === 'c1' ? 'c2' : 'c1'
    const lab = network({ [preferred]: { open: 'draining', once: true }, [other]: { dial: 'connector' } })
    await lab.pool.open(lab.view, REQUEST, NEVER)
    expect(lab.opened).toEqual([preferred])
    expect(lab.dialled.filter(way => way.startsWith(preferred))).toHaveLength(2)
    expect(lab.pool.status()).toHaveLength(2)
  })

  it.each<[ResetCode, ClientErrorCode]>([
    ['refused', 'refused'],
    ['timeout', 'timeout'],
    ['name_not_found', 'name_not_found'],
    ['guarded_address', 'guarded_address'],
    ['not_granted', 'not_granted'],
    ['revoked', 'not_granted'],
    ['expired', 'expired'],
  ])('%s is the last word: no other Connector is asked', async (code, wanted) => {
    const lab = network({ c1: { open: code }, c2: { open: code } })
    await expect(lab.pool.open(lab.view, REQUEST, NEVER)).rejects.toMatchObject({ code: wanted })
    expect(lab.dialled).toHaveLength(1)
  })

  it('says whether it was the Relays or the Connectors that did not answer', async () => {
    const relays = network({ r1: { dial: 'relay' }, r2: { dial: 'relay' } })
    await expect(relays.pool.open(relays.view, REQUEST, NEVER)).rejects.toMatchObject({ code: 'relay_down' })
    const connectors = network({ c1: { dial: 'connector' }, c2: { dial: 'connector' } })
    await expect(connectors.pool.open(connectors.view, REQUEST, NEVER)).rejects.toMatchObject({
      code: 'connector_down',
    })
    expect([relays.stale(), connectors.stale()]).toEqual([0, 0])
    const capability = network({ c1: { dial: 'capability' }, c2: { dial: 'capability' } })
    await expect(capability.pool.open(capability.view, REQUEST, NEVER)).rejects.toMatchObject({
      code: 'connector_down',
    })
    expect(capability.stale()).toBe(1)
  })

  it('a stream that every Connector passes on ends with what they said', async () => {
    const lab = network({ c1: { open: 'acl_mismatch' }, c2: { open: 'acl_mismatch' } })
    await expect(lab.pool.open(lab.view, REQUEST, NEVER)).rejects.toMatchObject({ code: 'denied' })
  })

  it('uses each capability once while there are unused ones', async () => {
    const lab = network({ c1: { dial: 'connector' }, c2: { dial: 'connector' } })
    for (let turn = 0; turn < 2; turn++) await lab.pool.open(lab.view, REQUEST, NEVER).catch(() => undefined)
    expect(new Set(lab.capabilities).size).toBe(8)
  })

  it('a session without streams is kept for a while and then ended; one with streams is not', async () => {
    const { pool, view, clock, alive } = network()
    const stream = await pool.open(view, REQUEST, NEVER)
    clock.advance(60_000)
    expect(alive.size).toBe(1)
    const closed = new Promise(resolve => stream.once('close', resolve))
    stream.destroy()
    await closed
    clock.advance(999)
    expect(alive.size).toBe(1)
    clock.advance(1)
    expect(alive.size).toBe(0)
  })

  it('who gives up does not take the dial from the others', async () => {
    const { pool, view, opened } = network()
    const gone = new AbortController()
    const given = pool.open(view, REQUEST, gone.signal)
    const kept = pool.open(view, REQUEST, NEVER)
    gone.abort(new Error('gone'))
    await expect(given).rejects.toThrow('gone')
    await kept
    expect(opened.length).toBeGreaterThan(0)
  })
})
