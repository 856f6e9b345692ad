/** `helm uninstall`, whoever is away meanwhile: it ends, what it leaves goes on, and the documented command leaves nothing. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { helm, kube, run } from './cluster.ts'
import { LONG_MS, NAMESPACE, OFFICE, type Person, RELEASE, Release, seconds } from './release.ts'
import { asOperator, rows, scale } from './row.ts'
import { type LiveStream, openStream, openStreamThrough } from './traffic.ts'

const PAGE = join(import.meta.dirname, '../../docs/operations/uninstall.md')
/** The login's address stays the same from one release to the next. */
const VALUES = { controller: { service: { nodePort: 32443 } } }
const OWN_RELAY = `${RELEASE}-relay`
const FOREVER = ['serviceaccount/default', 'configmap/kube-root-ca.crt']

describe('a release that is uninstalled', () => {
  let release: Release
  let ada: Person
  let grace: Person
  let staying: LiveStream
  let going: LiveStream
  const table: string[] = []
  beforeAll(async () => {
    release = new Release()
    await release.everything(VALUES)
    const members = { spec: { members: ['ada@example.com', 'grace@example.com'] } }
    await kube(['patch', 'group', 'developers', '-n', NAMESPACE, '--type=merge', '-p', JSON.stringify(members)])
    ada = await release.person('ada@example.com')
    grace = await release.person('grace@example.com')
  }, LONG_MS)
  afterAll(async () => {
    console.log(table.join('\n'))
    await release.close()
  })

  const open = async () => {
    staying = await openStreamThrough(ada, 'relay')
    going = await openStreamThrough(grace, OWN_RELAY)
  }

  /** Uninstalls it, and tells how long that took, and until the chart's own Relays had gone with their streams. */
  const uninstall = async (moment: string) => {
    const fromMs = performance.now()
    const cut = going.ended.then(() => seconds(fromMs))
    await helm(['uninstall', RELEASE, '--namespace', NAMESPACE, '--wait', '--timeout=5m'])
    const ended = seconds(fromMs)
    const own = `sallyport.dev/relay=${OWN_RELAY}`
    const left = ['get', 'relays,deployments,pods,services,secrets', '-n', NAMESPACE, '-o', 'name', '-l']
    await eventually(
      "the chart's pods and Relays to go",
      async () => {
        const of = `app.kubernetes.io/name=sallyport,app.kubernetes.io/instance=${RELEASE}`
        return (await kube([...left, own])) + (await kube([...left, of])) === ''
      },
      { timeoutMs: LONG_MS, everyMs: 300 },
    )
    table.push(`${moment.padEnd(18)} chart ended ${ended}, all of it gone ${seconds(fromMs)}, cut ${await cut}`)
  }

  const again = async () => {
    await release.install(VALUES)
    await release.started()
    await kube(['wait', '--for=condition=Available', '-n', NAMESPACE, '--all', '--timeout=300s', 'relays'])
    await release.ready()
  }

  /** Rows by table: those of the chart's Relays are new ones, in the place of the former. */
  const tables = async () => (await rows()).map(row => row.split(' ')[0])

  it.each(['all up', 'controller', 'operator'] as const)(
    'ends and leaves its people their access, and is found again: %s',
    { timeout: LONG_MS },
    async away => {
      await open()
      const before = await tables()
      if (away !== 'all up') await scale(away, 0)
      await uninstall(away === 'all up' ? away : `${away} down`)
      await staying.echo()
      const fresh = await openStream(ada)
      await again()
      for (const stream of [staying, fresh]) await stream.echo()
      await eventually('as many rows as before', async () => (await tables()).join() === before.join(), {
        timeoutMs: LONG_MS,
      })
    },
  )

  it('ends, and is found again, though its rows have gone before', { timeout: LONG_MS }, async () => {
    await open()
    const before = await tables()
    await scale('operator', 0)
    const client = await asOperator()
    const fromMs = performance.now()
    await client.request({ method: 'DELETE', path: `/v1/sources/${encodeURIComponent(`${NAMESPACE}/${RELEASE}`)}` })
    client.close()
    await Promise.all([staying.ended, going.ended])
    table.push(`rows gone before   every stream cut ${seconds(fromMs)} after DELETE /v1/sources/…`)
    expect(await rows()).toEqual([])
    await expect(openStream(ada)).rejects.toThrow('SOCKS reply')
    await uninstall('rows gone before')
    await again()
    await (await eventually('a stream', () => openStream(ada), { timeoutMs: LONG_MS, everyMs: 500 })).echo()
    await eventually('as many rows as before', async () => (await tables()).join() === before.join(), {
      timeoutMs: LONG_MS,
    })
  })

  it('leaves nothing after the documented command', { timeout: LONG_MS }, async () => {
    await open()
    await uninstall('for good')
    const command = /```\n(kubectl delete crd [^`]*)```/.exec(readFileSync(PAGE, 'utf8'))?.[1]
    const fromMs = performance.now()
    expect(await run('bash', ['-c', command ?? ''])).toMatchObject({ code: 0, stderr: '' })
    await staying.ended
    const cut = seconds(fromMs)
    await expect(openStream(ada)).rejects.toThrow('SOCKS reply')
    await eventually('all of it to go', async () => (await left()).length === 0, { timeoutMs: LONG_MS, everyMs: 500 })
      // Names what is left.
      .catch(async () => expect(await left()).toEqual([]))
    table.push(`for good           the documented command: cut ${cut}, all gone ${seconds(fromMs)}`)
    // What the people of the namespaces run is not the release's.
    expect(await kube(['get', 'deployments', '-n', OFFICE, '-o', 'name'])).toContain('deployment.apps/tcp')
  })
})

/** What there is of the release, or of what it has made: all objects of its namespace but Events, and those of its name elsewhere. */
async function left(): Promise<string[]> {
  const listed = (await kube(['api-resources', '--verbs=list,delete', '--namespaced', '-o', 'name'])).trim().split('\n')
  const kinds = listed.filter(kind => !kind.startsWith('events')).join()
  const inside = await kube(['get', kinds, '-n', NAMESPACE, '-o', 'name'])
  const outside = await kube(['get', 'crds,clusterroles,clusterrolebindings,namespaces', '-o', 'name'])
  return [
    ...inside.split('\n').filter(name => name !== '' && !FOREVER.includes(name)),
    ...outside.split('\n').filter(name => /sallyport/.test(name) && name !== `namespace/${NAMESPACE}`),
  ]
}
