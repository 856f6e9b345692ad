import { eventually } from '@sallyport/testkit'
import { describe, expect, it } from 'vitest'
import { ask } from './test/client.ts'
import { batch, connect, granted, scene, startReady, useScene, web } from './test/scene.ts'
import { DB, device, makeDevice, rule, WEB } from './test/world.ts'

useScene()

/** Some 400 KiB: more than a Client takes that does not read, and no more than what a Connector holds for it beside that. */
const LINES = 34_000

describe('a stream', () => {
  it('reaches its Resource by name, both ways, with half close, and is logged', async () => {
    await startReady()
    const client = await connect(granted({ [WEB]: web() }))
    const stream = await client.open('web.internal', scene.service.port)
    expect(await ask(stream, 'hello', 5)).toBe('hello')
    stream.end(' and goodbye')
    let rest = ''
    for await (const chunk of stream) rest += chunk
    expect(rest).toBe(' and goodbye')
    const closed = await eventually('the log', () => scene.controller.records().find(({ event }) => event === 'closed'))
    expect(closed).toMatchObject({
      device: device.id,
      user: 'user-1',
      resource: WEB,
      host: 'web.internal',
      port: scene.service.port,
      path: 'relay:r0.test',
      bytesUp: 17,
      bytesDown: 17,
    })
    expect(scene.controller.records().map(({ event }) => event)).toEqual(['opened', 'closed'])
  })

  it('goes through either Relay', async () => {
    await startReady()
    for (const relay of scene.relays) {
      const client = await connect(granted({ [WEB]: web() }), relay, makeDevice())
      expect(client.session.closed).toBe(false)
    }
    const holder = makeDevice()
    const client = await connect(granted({ [WEB]: web() }, { holder }), scene.relays[1]!, holder)
    expect(await ask(await client.open('web.internal', scene.service.port), 'x', 1)).toBe('x')
  })

  it('goes on through a Relay that shuts down, beside which nothing new begins, and ends the session with itself', async () => {
    await startReady()
    const [leaving, other] = scene.relays
    const [client, elsewhere] = [
      await connect(granted({ [WEB]: web() }), leaving),
      await connect(granted({ [WEB]: web() }), other),
    ]
    const stream = await client.open('web.internal', scene.service.port)
    const ended = leaving!.close()
    await eventually(
      'no new streams',
      async () => (await client.refusal('web.internal', scene.service.port)) === 'draining',
    )
    const reached = scene.service.accepted()
    expect(await client.refusal('web.internal', scene.service.port)).toBe('draining')
    expect(scene.service.accepted()).toBe(reached)
    expect(await elsewhere.refusal('web.internal', scene.service.port)).toBe('opened')
    expect(await ask(stream, 'still here', 10)).toBe('still here')
    stream.end(' and goodbye'.repeat(LINES))
    await eventually('the Resource to be done', () =>
      scene.controller.records().some(({ bytesDown = 0 }) => bytesDown > LINES),
    )
    let rest = ''
    for await (const chunk of stream) rest += chunk
    expect(rest).toBe(' and goodbye'.repeat(LINES))
    await ended
    expect([client.session.closed, elsewhere.session.closed]).toEqual([true, false])
  })

  type Request = Parameters<Awaited<ReturnType<typeof connect>>['open']>
  it.each<[string, () => Request, string]>([
    ['a port that is not granted', () => ['web.internal', 1], 'port_not_granted'],
    ['another name', () => ['other.internal', scene.service.port], 'denied'],
    ['a Resource that the Client lacks', () => ['web.internal', scene.service.port, DB], 'not_granted'],
    ['UDP, which is not granted', () => ['web.internal', scene.service.port, WEB, 'udp'], 'port_not_granted'],
  ])('to %s is refused and reaches nothing', async (_, request, code) => {
    await startReady()
    const client = await connect(granted({ [WEB]: web() }))
    expect(await client.refusal(...request())).toBe(code)
    expect(scene.service.accepted()).toBe(0)
    const denied = await eventually('the log', () => scene.controller.records().find(({ event }) => event === 'denied'))
    expect(denied.reason).toBe(code)
  })

  it('says truthfully what the Resource did', async () => {
    scene.dns.records.set('gone.internal', ['127.0.0.2'])
    const resources = { [WEB]: rule('*.internal', scene.service.port), [DB]: rule('127.0.0.1', scene.service.port) }
    await startReady(resources)
    const client = await connect(granted(resources))
    expect(await client.refusal('nowhere.internal', scene.service.port)).toBe('name_not_found')
    expect(await client.refusal('gone.internal', scene.service.port)).toBe('refused')
    expect(await client.refusal('127.0.0.1', scene.service.port, DB)).toBe('opened')
  })

  it('waits for an update that knows its rule, two seconds at most', async () => {
    await startReady({})
    const client = await connect(granted({ [WEB]: web() }))
    const late = client.open('web.internal', scene.service.port)
    scene.controller.push(...batch({ [WEB]: web() }, 2))
    expect(await ask(await late, 'x', 1)).toBe('x')
    const start = performance.now()
    expect(
      await (await connect(granted({ [DB]: web() }), scene.relays[0]!)).refusal('web.internal', scene.service.port, DB),
    ).toBe('acl_mismatch')
    expect(performance.now() - start).toBeGreaterThan(1_900)
  })

  it('is judged at the end of its wait by what has come of an update', async () => {
    const known = { [DB]: rule('127.0.0.1', scene.service.port) }
    const resources = { ...known, [WEB]: web() }
    await startReady(known)
    const client = await connect(granted(resources))
    const late = client.open('web.internal', scene.service.port)
    // What is asked for after it is answered: it waits.
    expect(await client.refusal('127.0.0.1', scene.service.port, DB)).toBe('opened')
    const [acl] = batch(resources, 2)
    scene.controller.push(acl!)
    expect(await ask(await late, 'x', 1)).toBe('x')
  })
})

describe('the destination guard', () => {
  const guarded = [
    '127.0.0.1',
    '127.9.9.9',
    '0.0.0.0',
    '169.254.169.254',
    '169.254.1.1',
    '224.0.0.1',
    '100.100.100.200',
    '255.255.255.255',
  ]

  it.each(guarded)('keeps a name that leads to %s closed', async address => {
    scene.dns.records.set('web.internal', [address])
    await startReady({ [WEB]: web() }, { guardExceptions: [] })
    const client = await connect(granted({ [WEB]: web() }))
    expect(await client.refusal('web.internal', scene.service.port)).toBe('guarded_address')
    expect(scene.service.accepted()).toBe(0)
  })

  it.each(['127.0.0.1', '::1', '::ffff:127.0.0.1', '64:ff9b::7f00:1', '64:ff9b:1::7f00:1'])(
    'keeps %s closed to a range that covers it',
    async address => {
      const all = address.includes(':') ? rule('::/0', scene.service.port) : rule('0.0.0.0/0', scene.service.port)
      await startReady({ [WEB]: all }, { guardExceptions: [] })
      const client = await connect(granted({ [WEB]: all }))
      expect(await client.refusal(address, scene.service.port)).not.toBe('opened')
      expect(scene.service.accepted()).toBe(0)
    },
  )

  it('opens a guarded address to a Resource that is that very address', async () => {
    const own = rule('127.0.0.1', scene.service.port)
    await startReady({ [WEB]: own }, { guardExceptions: [] })
    const client = await connect(granted({ [WEB]: own }))
    expect(await client.refusal('127.0.0.1', scene.service.port)).toBe('opened')
  })

  it('dials the address that it has checked, though the name changes in the meantime', async () => {
    await startReady({ [WEB]: web() }, { guardExceptions: ['127.0.0.1/32'] })
    const client = await connect(granted({ [WEB]: web() }))
    // The check asks for A and AAAA; whoever asked again to connect would be led elsewhere.
    let asked = 0
    scene.dns.records.get = () => (++asked <= 2 ? ['127.0.0.1'] : ['127.0.0.2'])
    expect(await ask(await client.open('web.internal', scene.service.port), 'x', 1)).toBe('x')
    expect(asked).toBe(2)
    expect(await client.refusal('web.internal', scene.service.port)).toBe('guarded_address')
  })
})
