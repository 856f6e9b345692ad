import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { eventually } from '@sallyport/testkit'
import { createEnrolmentToken } from '@sallyport/trust'
import { describe, expect, it } from 'vitest'
import { tenantCa } from './test/identity.ts'
import { batch, scene, start, startReady, trustFile, useScene } from './test/scene.ts'

useScene()

describe('enrolment', () => {
  it('makes a key, enrols, registers at every Relay and is ready', async () => {
    const connector = await startReady()
    expect(await Promise.all(scene.relays.map(relay => relay.registrations()))).toEqual([1, 1])
    expect(scene.controller.enrolled).toHaveLength(1)
    expect(scene.controller.last('hello')).toMatchObject({ revision: 0 })
    expect((await fetch(`http://${connector.metricsAddress}/healthz`)).status).toBe(200)
    await eventually('a heartbeat', () => scene.controller.last('heartbeat')?.ready)
  })

  it('is not ready before it has an ACL and a Relay, but alive', async () => {
    const connector = await start()
    await eventually('a channel', () => scene.controller.connections() === 1)
    expect(await connector.ready()).toBe(false)
    expect((await fetch(`http://${connector.metricsAddress}/healthz`)).status).toBe(200)
  })

  it('gets over lost replies with the same key', async () => {
    scene.controller.state.loseReplies = 2
    await startReady()
    expect(scene.controller.enrolled).toHaveLength(1)
  })

  it('waits while the slot is occupied', async () => {
    scene.controller.state.occupied = true
    scene.controller.state.onOpen = push => batch({}).forEach(push)
    const connector = await start()
    await eventually('a refusal', () => scene.controller.refusals.length > 0)
    const report = await (await fetch(`http://${connector.metricsAddress}/readyz`)).json()
    expect(JSON.stringify(report)).toContain('slot_occupied')
    scene.controller.state.occupied = false
    await eventually('a ready Connector', connector.ready)
  })

  it('waits for a token that is not used up, and takes it as soon as it is there', async () => {
    writeFileSync(join(scene.secret, 'token'), createEnrolmentToken().token)
    scene.controller.state.onOpen = push => batch({}).forEach(push)
    const connector = await start()
    await eventually('a refusal', () => scene.controller.refusals.includes('unknown_token'))
    writeFileSync(join(scene.secret, 'token'), scene.token.value)
    await eventually('a ready Connector', connector.ready)
  })

  it('keeps its key over a restart, and enrols again with a new one when nobody knows it', async () => {
    const first = await startReady()
    await first.close()
    const second = await startReady()
    expect(scene.controller.enrolled).toHaveLength(1)
    scene.token.value = createEnrolmentToken().token
    scene.controller.state.known = false
    scene.controller.dropChannels()
    await eventually('that it has no token left', () => scene.controller.refusals.includes('token_used'))
    writeFileSync(join(scene.secret, 'token'), scene.token.value)
    await eventually('the new key', () => scene.controller.enrolled.length === 2)
    await eventually('a ready Connector', second.ready)
    expect(scene.controller.enrolled[0]!.connectorId).not.toBe(scene.controller.enrolled[1]!.connectorId)
  })

  it('speaks to no Controller that the installation CA has not vouched for', async () => {
    const other = { ...trustFile(), installationCa: tenantCa.certificatePem }
    writeFileSync(join(scene.secret, 'trust.json'), JSON.stringify(other))
    const connector = await start()
    await eventually('the reason', async () => {
      const report = await (await fetch(`http://${connector.metricsAddress}/readyz`)).json()
      return JSON.stringify(report).includes('certificate')
    })
    expect(scene.controller.enrolled).toEqual([])
  })

  it('speaks to a Controller of a public CA where it is told to, and only if such a one has vouched for it', async () => {
    scene.controller.state.onOpen = push => batch({}).forEach(push)
    writeFileSync(join(scene.secret, 'trust.json'), JSON.stringify({ ...trustFile(), publicCa: true }))
    const connector = await start()
    await eventually('the reason', async () => {
      const report = await (await fetch(`http://${connector.metricsAddress}/readyz`)).json()
      return JSON.stringify(report).includes('certificate')
    })
    expect(scene.controller.enrolled).toEqual([])
    const publicCas = getCACertificates('default')
    setDefaultCACertificates([...publicCas, trustFile().installationCa])
    try {
      await eventually('a ready Connector', connector.ready)
      expect(scene.controller.enrolled).toHaveLength(1)
    } finally {
      setDefaultCACertificates(publicCas)
    }
  })
})
