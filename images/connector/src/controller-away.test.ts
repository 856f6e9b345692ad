import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FromConnector } from '@sallyport/schema'
import { eventually } from '@sallyport/testkit'
import { describe, expect, it } from 'vitest'
import { ask } from './test/client.ts'
import { startTestController } from './test/controller.ts'
import { batch, codeOf, connect, granted, scene, startReady, useScene, web } from './test/scene.ts'
import { WEB } from './test/world.ts'

useScene()

describe('without the Controller', () => {
  it('streams go on, new ones too, where the network allows it', async () => {
    const connector = await startReady()
    const client = await connect(granted({ [WEB]: web() }))
    const stream = await client.open('web.internal', scene.service.port)
    await scene.controller.close()
    expect(await ask(stream, 'x', 1)).toBe('x')
    expect(await client.refusal('web.internal', scene.service.port)).toBe('opened')
    expect(await connector.ready()).toBe(true)
  })

  it('everything ends after the seconds that the network allows, and comes back with the Controller', async () => {
    const onControllerLoss = { mode: 'closeAfter' as const, seconds: 5 }
    const connector = await startReady(undefined, { onControllerLoss })
    const client = await connect(granted({ [WEB]: web() }))
    const stream = await client.open('web.internal', scene.service.port)
    const cut = codeOf(stream)
    const start = performance.now()
    const known = scene.controller.enrolled
    await scene.controller.close()
    expect(await cut).toBe('controller_lost')
    expect(performance.now() - start).toBeGreaterThan(4_900)
    expect(await client.refusal('web.internal', scene.service.port)).toBe('controller_lost')
    expect(await connector.ready()).toBe(false)
    await eventually('the Resource’s side', () => scene.service.open() === 0)
    scene.controller = await startTestController(scene.token, scene.controller.port)
    scene.cleanups.push(() => scene.controller.close())
    scene.controller.enrolled.push(...known)
    scene.controller.state.onOpen = push => batch({ [WEB]: web() }, 2, { onControllerLoss }).forEach(push)
    await eventually('a ready Connector', connector.ready)
    expect(await client.refusal('web.internal', scene.service.port)).toBe('opened')
  })

  it('a block that came meanwhile counts from the first attempt to connect on, until it is lifted', async () => {
    const connector = await startReady()
    const client = await connect(granted({ [WEB]: web() }))
    const stream = await client.open('web.internal', scene.service.port)
    const cut = codeOf(stream)
    scene.controller.state.blocked = true
    scene.controller.dropChannels()
    expect(await cut).toBe('revoked')
    await eventually('the Resource’s side', () => scene.service.open() === 0)
    expect(await client.refusal('web.internal', scene.service.port)).toBe('revoked')
    expect(await connector.ready()).toBe(false)
    scene.controller.state.blocked = false
    await eventually('a ready Connector', connector.ready)
    expect(await client.refusal('web.internal', scene.service.port)).toBe('opened')
  })

  it('the access log waits for it', async () => {
    await startReady()
    const client = await connect(granted({ [WEB]: web() }))
    const known = scene.controller.enrolled
    await scene.controller.close()
    expect(await client.refusal('web.internal', 1)).toBe('port_not_granted')
    scene.controller = await startTestController(scene.token, scene.controller.port)
    scene.cleanups.push(() => scene.controller.close())
    scene.controller.enrolled.push(...known)
    const [record] = await eventually(
      'the record',
      () => scene.controller.records().length > 0 && scene.controller.records(),
    )
    expect(record).toMatchObject({ event: 'denied', reason: 'port_not_granted', port: 1 })
  })

  it('the state is on disk before it is acknowledged', async () => {
    await startReady()
    await eventually('the acknowledgement', () => scene.controller.last('applied')?.revision === 1)
    expect(JSON.parse(readFileSync(join(scene.state, 'access.json'), 'utf8')).access.revision).toBe(1)
  })
})

describe('shutting down', () => {
  it('says so, takes no new streams, and lets open ones end', async () => {
    const connector = await startReady()
    const client = await connect(granted({ [WEB]: web() }))
    const stream = await client.open('web.internal', scene.service.port)
    const closing = connector.close()
    await eventually('that the Controller is told', () => scene.controller.last('draining'))
    expect(await client.refusal('web.internal', scene.service.port)).toBe('draining')
    expect(await ask(stream, 'x', 1)).toBe('x')
    stream.end()
    stream.resume()
    await closing
    expect(scene.controller.records().filter(({ event }) => event === 'closed')).toHaveLength(1)
  })

  it('says so again on a new channel, after its greeting, so that the slot stays vacant', async () => {
    const connector = await startReady()
    const client = await connect(granted({ [WEB]: web() }))
    const stream = await client.open('web.internal', scene.service.port)
    const count = (type: FromConnector['type']) =>
      scene.controller.received.filter(message => message.type === type).length
    const closing = connector.close()
    await eventually('that the Controller is told', () => count('draining') === 1)
    scene.controller.dropChannels()
    await eventually('that it is told again', () => count('draining') === 2)
    const types = scene.controller.received.map(({ type }) => type)
    expect(types.lastIndexOf('hello')).toBeLessThan(types.lastIndexOf('draining'))
    expect(types.lastIndexOf('hello')).toBeGreaterThan(types.indexOf('draining'))
    stream.end()
    stream.resume()
    await closing
  })
})
