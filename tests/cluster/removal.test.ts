/** What is deleted goes, whoever is away meanwhile: nothing hangs, nothing is left in the Controller, and streams to it are cut. */

import { ControllerError } from '@sallyport/runtime'
import { eventually } from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { apply, kube } from './cluster.ts'
import { applyGround, type Cell, hostOf, THINGS, type Thing, Things } from './deletion.ts'
import { LONG_MS, NAMESPACE, type Person, RELEASE, Release, seconds } from './release.ts'
import { asOperator, rows, scale } from './row.ts'
import { type LiveStream, openStream, openStreamThrough, waysOf } from './traffic.ts'

/** What the Controller is told of, and the Connectors by it. */
const TOLD: Thing[] = ['Resource', 'Group', 'namespace']
const PATHS = { Resource: 'resources', Group: 'groups', RemoteNetwork: 'networks', Connector: 'connectors' }

describe('what is deleted', () => {
  let release: Release
  let ada: Person
  let grace: Person
  let ground: string[]
  let staying: LiveStream
  const table: string[] = []
  beforeAll(async () => {
    release = new Release()
    await release.everything()
    await applyGround()
    ada = await release.person('ada@example.com')
    grace = await release.person('grace@example.com')
    // Through a Relay that stays.
    staying = await openStreamThrough(ada, 'relay')
    ground = await rows()
  }, LONG_MS)
  afterAll(async () => {
    console.log(table.join('\n'))
    await release.close()
  })

  /** What holds at each moment's end: no way to what went, nothing left of it, and all the rest as it was. */
  const isOver = async (moment: string, cells: Record<Thing, Cell>) => {
    for (const thing of THINGS) {
      const { gone, cut, row } = cells[thing]
      table.push(`${moment.padEnd(18)} ${thing.padEnd(14)} gone ${gone} s, cut ${cut} s, rows gone ${row} s`)
      if (thing !== 'Relay') await expect(openStream(ada, hostOf(thing))).rejects.toThrow('SOCKS reply')
    }
    await staying.echo()
    const visit = await eventually('a stream by another Relay', () => openStream(grace))
    expect((await waysOf(grace)).join()).not.toContain('.edge.')
    visit.socket.destroy()
    await eventually('the rows of before', async () => (await rows()).join() === ground.join(), { timeoutMs: LONG_MS })
  }

  it('is gone, cut and forgotten at once while everything is up', { timeout: LONG_MS }, async () => {
    const things = await Things.make(ada, grace, ground)
    const { all } = await things.remove()
    await isOver('all up', await all)
  })

  it.each(['controller', 'operator'] as const)(
    'is gone while the %s is down, and cut and forgotten when it is back',
    { timeout: LONG_MS },
    async component => {
      const things = await Things.make(ada, grace, ground)
      await scale(component, 0)
      const fromMs = performance.now()
      let away = ''
      const { objects, all } = await things.remove()
      try {
        await objects
        // Nobody has told the Connectors.
        for (const thing of TOLD) await things.streams[thing].echo()
        await staying.echo()
        await Promise.all((['RemoteNetwork', 'Relay'] as const).map(thing => things.streams[thing].ended))
      } finally {
        away = seconds(fromMs)
        await scale(component, component === 'operator' ? 2 : 1)
      }
      table.push(`the ${component} is started again after ${away}, ready after ${seconds(fromMs)}`)
      await isOver(`${component} down`, await all)
    },
  )

  it('is gone, cut and forgotten though its rows have gone before', { timeout: LONG_MS }, async () => {
    const things = await Things.make(ada, grace, ground)
    const client = await asOperator()
    const own = Object.values(things.rows)
      .flat()
      .filter(row => row.startsWith('declared '))
    const kinds = Object.values(PATHS)
    for (const row of own) {
      // The row is of one kind; of the others there is none.
      for (const path of [...kinds, 'relays']) {
        await client.request({ method: 'DELETE', path: `/v1/${path}/${row.split(' ')[1]}` }).catch(error => {
          if (!(error instanceof ControllerError && error.code === 'not_found')) throw error
        })
      }
    }
    client.close()
    const { all } = await things.remove()
    await isOver('rows gone before', await all)
  })

  it('waits for a person when most of it is gone at once', { timeout: LONG_MS }, async () => {
    const names = Array.from({ length: 30 }, (_, index) => `group-${index}`)
    const metadata = (name: string) => ({ name, namespace: NAMESPACE })
    const group = (name: string) => ({ apiVersion: 'sallyport.dev/v1alpha1', kind: 'Group', metadata: metadata(name) })
    await apply(...names.map(name => ({ ...group(name), spec: {} })))
    const many = ground.length + names.length
    await eventually('their rows', async () => (await rows()).length === many, { timeoutMs: LONG_MS })
    await scale('operator', 0)
    await kube(['delete', 'groups', ...names, '-n', NAMESPACE])
    await scale('operator', 2)
    const events = ['get', 'events', '-n', NAMESPACE, '--field-selector=reason=RemovalHeld', '-o']
    const code = await eventually(
      'the code to confirm with',
      async () => /confirm with (\S+)/.exec(await kube([...events, 'jsonpath={.items[*].message}']))?.[1],
      { timeoutMs: LONG_MS, everyMs: 500 },
    )
    expect(await rows()).toHaveLength(many)
    const confirm = `sallyport.dev/confirm-removal=${code}`
    await kube(['annotate', 'lease', `${RELEASE}-operator`, '-n', NAMESPACE, '--overwrite', confirm])
    await eventually('the rows of before', async () => (await rows()).join() === ground.join(), { timeoutMs: LONG_MS })
    await staying.echo()
    await (await openStream(ada)).echo()
  })
})
