import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createLog } from '@sallyport/runtime'
import type { Kind } from '@sallyport/schema'
import { freePorts, type Run } from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { itArgoCd } from './argocd.ts'
import { describeKube, established, eventually } from './cluster.ts'
import { gitopsDefinitions } from './gitops.ts'
import { KubeInstallation, NAMESPACE, object } from './installation.ts'

const office = object('RemoteNetwork', 'office', { connectors: { replicas: 0 }, guardExceptions: ['127.0.0.0/8'] })
const connector = (name: string) =>
  object('Connector', name, { remoteNetworkRef: { name: 'office' }, deployment: 'External' })
const resource = (name: string, groups: string[]) =>
  object('Resource', name, {
    remoteNetworkRef: { name: 'office' },
    address: `${name}.office.internal`,
    access: groups.map(group => ({ group })),
  })
const web = resource('web', ['developers'])
const developers = object('Group', 'developers', { members: ['ada@example.com'] })
const EXAMPLES = join(import.meta.dirname, '../../examples/gitops')
/** How often everything is listed and compared again at rest, once a second; 600 for ten minutes. */
const RESYNCS = Number(process.env.RESYNCS ?? 5)
const TOKEN_ID = 'sallyport.dev/token-id'

describeKube('the operator', cluster => {
  let installation: KubeInstallation
  let relays: string[]
  const connectors = new Map<string, Run>()
  const log = process.env.SALLYPORT_TEST_LOG === undefined ? undefined : createLog('test', 'info')

  beforeAll(async () => {
    installation = await KubeInstallation.prepare(cluster(), log)
    relays = (await freePorts(2)).map(port => `127.0.0.1:${port}`)
    await installation.start()
  }, 180_000)
  afterAll(() => installation.close())

  const ready = (kind: Parameters<KubeInstallation['condition']>[0], name: string) =>
    installation.condition(kind, name, { type: 'Ready', status: 'True' })

  it('brings External Relays and Connectors, a network, a Resource and a Group to Ready, in any order', async () => {
    await installation.apply(web, connector('office-a'))
    const missing = { status: 'False', reason: 'RemoteNetworkNotFound' }
    await installation.condition('Resource', 'web', { type: 'ResolvedRefs', ...missing })
    await installation.condition('Connector', 'office-a', { type: 'Ready', ...missing })
    const relay = object('Relay', 'relay', { deployment: 'External', address: { list: relays } })
    await installation.apply(connector('office-b'), developers, office, relay)
    await installation.condition('Relay', 'relay', { type: 'Ready', status: 'False', reason: 'NoRegistration' })
    await installation.startRelay('relay-0', relays[0]!)
    await installation.startRelay('relay-1', relays[1]!)
    for (const name of ['office-a', 'office-b']) connectors.set(name, await installation.startConnector(name))
    for (const name of ['office-a', 'office-b']) await ready('Connector', name)
    await ready('RemoteNetwork', 'office')
    await eventually('both replicas', async () => (await installation.find('Relay', 'relay'))?.status?.ready === 2)
    await ready('Relay', 'relay')
    await ready('Group', 'developers')
    await ready('Resource', 'web')
    const all = await cluster().kubectl(
      ['wait', '--for=condition=Ready', '-n', NAMESPACE, '--all', '--timeout=10s'].concat([
        'remotenetworks,connectors,resources,groups,relays',
      ]),
    )
    expect(all).toMatchObject({ code: 0, stderr: '' })
  }, 240_000)

  it('replaces a token as soon as it has been used', async () => {
    const { data, metadata } = (await installation.find('Secret', 'office-a'))!
    const used = readFileSync(join(installation.dir, 'connector/office-a/token'), 'utf8')
    expect(text(data?.token)).toMatch(/^spe_/)
    expect(text(data?.token)).not.toBe(used)
    expect(metadata.annotations?.[TOKEN_ID]).toBeDefined()
  })

  it(
    'writes nothing more once everything has converged, not even at a second apply or a resync',
    async () => {
      await installation.settled()
      const [before, store] = [installation.operatorWrites().length, installation.store()]
      await installation.apply(web, office, developers, connector('office-a'), connector('office-b'))
      await installation.settled()
      expect(installation.operatorWrites().slice(before)).toEqual([])
      await installation.stopOperator()
      await installation.startOperator({ 'resync-seconds': '1' })
      await eventually(
        `${RESYNCS} resyncs`,
        async () => ((await installation.resyncs()) >= RESYNCS ? true : undefined),
        RESYNCS * 10_000,
      )
      await installation.settled()
      const rotated = Object.entries(installation.store()).filter(([table, rows]) => rows !== store[table])
      console.log(`${RESYNCS} resyncs; rotated: ${rotated.map(([table]) => table).join(', ') || 'nothing'}`)
      // Nothing is due for rotation in this time.
      expect({ writes: installation.operatorWrites().slice(before), tables: rotated.map(([table]) => table) }).toEqual({
        writes: [],
        tables: [],
      })
      expect(await installation.rowWrites()).toBe(0)
    },
    RESYNCS * 20_000 + 60_000,
  )

  it('tells of an edit at once: the new generation is programmed, and nothing is ready before', async () => {
    const edited = {
      ...web,
      spec: { remoteNetworkRef: { name: 'office' }, address: 'web.office.internal', access: [] },
    }
    await installation.apply(edited)
    await installation.condition('Resource', 'web', { type: 'Programmed', status: 'True', reason: 'Programmed' })
    await installation.condition('Group', 'developers', { type: 'Programmed', status: 'True' })
    await installation.apply(web)
    await ready('Resource', 'web')
  })

  it('says which Group is missing, and gives access to the others', async () => {
    await installation.apply(resource('both', ['developers', 'operators']))
    const { message } = await installation.condition('Resource', 'both', {
      type: 'ResolvedRefs',
      status: 'False',
      reason: 'GroupNotFound',
    })
    expect(message).toBe('Group sallyport/operators does not exist')
    await installation.condition('Resource', 'both', { type: 'Programmed', status: 'True' })
    await installation.apply(object('Group', 'operators', {}))
    await ready('Resource', 'both')
  })

  /** Waits until another Connector than `former` has the slot, and is Ready: what the status said before still stands for a moment. */
  const enrolledAnew = async (name: string, former: unknown) => {
    const isAnother = async () => (await installation.find('Connector', name))?.status?.connectorID !== former
    // The slot counts as occupied for 15 s after the last sign of life.
    await eventually(`another Connector in ${name}`, isAnother, 120_000)
    await ready('Connector', name)
  }

  it('makes a Secret again that was deleted, and a new Connector enrols with it', async () => {
    const former = (await installation.find('Connector', 'office-a'))!.status?.connectorID
    const before = (await installation.find('Secret', 'office-a'))!
    await cluster().kube(['delete', 'secret', 'office-a', '-n', NAMESPACE])
    const after = await eventually('the Secret', () => installation.find('Secret', 'office-a'))
    expect(after.metadata.uid).not.toBe(before.metadata.uid)
    expect(after.data?.['trust.json']).toBe(before.data?.['trust.json'])
    expect(after.metadata.annotations?.[TOKEN_ID]).not.toBe(before.metadata.annotations?.[TOKEN_ID])
    await connectors.get('office-a')!.stop('SIGKILL')
    connectors.set('office-a', await installation.startConnector('office-a', 'second'))
    await enrolledAnew('office-a', former)
  }, 180_000)

  it('refuses a second Connector with the current token while the first lives, and shows it', async () => {
    const { status } = (await installation.find('Connector', 'office-b'))!
    const thief = await installation.startConnector('office-b', 'thief')
    await installation.condition('Connector', 'office-b', {
      type: 'EnrolmentConflict',
      status: 'True',
      reason: 'SlotOccupied',
    })
    const after = (await installation.find('Connector', 'office-b'))!
    expect(after.status?.connectorID).toBe(status?.connectorID)
    await ready('Connector', 'office-b')
    const events = await cluster().kube(['get', 'events', '-n', NAMESPACE, '-o', 'json'])
    expect(events).toContain('SlotOccupied')
    await thief.stop('SIGKILL')
  }, 180_000)

  it('makes a row again that was removed in the Controller behind its back', async () => {
    const { metadata } = (await installation.find('Resource', 'web'))!
    const client = installation.rest()
    await client.request({ method: 'DELETE', path: `/v1/resources/${metadata.uid}` })
    await eventually('the row', () => installation.rowExists('resources', metadata.uid))
    client.close()
    await ready('Resource', 'web')
  })

  it('makes a slot again that was removed in the Controller: its Connector enrols anew with the next token', async () => {
    const { metadata, status } = (await installation.find('Connector', 'office-b'))!
    const secret = (await installation.find('Secret', 'office-b'))!
    const client = installation.rest()
    await client.request({ method: 'DELETE', path: `/v1/connectors/${metadata.uid}` })
    client.close()
    await eventually('the next token', async () => {
      const next = await installation.find('Secret', 'office-b')
      return next?.metadata.annotations?.[TOKEN_ID] !== secret.metadata.annotations?.[TOKEN_ID] ? next : undefined
    })
    // What the kubelet does for a pod.
    await installation.mount('office-b', ['token', 'trust.json'], join(installation.dir, 'connector/office-b'))
    await enrolledAnew('office-b', status?.connectorID)
  }, 180_000)

  it('removes what was deleted while it was down, killed in the middle of its work', async () => {
    await installation.stopOperator()
    const killed = installation.spawnOperator()
    await installation.apply(...Array.from({ length: 20 }, (_, index) => object('Group', `group-${index}`, {})))
    await killed.line(/in contact with the Controller/)
    await killed.stop('SIGKILL')
    const { metadata } = (await installation.find('Resource', 'both'))!
    await cluster().kube(['delete', 'resources.sallyport.dev', 'both', '-n', NAMESPACE])
    expect(await installation.rowExists('resources', metadata.uid)).toBe(true)
    await installation.startOperator()
    await eventually('the row to go', async () =>
      (await installation.rowExists('resources', metadata.uid)) === undefined ? true : undefined,
    )
    for (let index = 0; index < 20; index++) await ready('Group', `group-${index}`)
    await ready('Resource', 'web')
  }, 180_000)

  it('removes rows at once when their objects are deleted, and only those', async () => {
    const [gone, kept] = await Promise.all(['group-0', 'group-1'].map(name => installation.find('Group', name)))
    await cluster().kube(['delete', 'groups.sallyport.dev', 'group-0', '-n', NAMESPACE])
    await eventually('the row to go', async () =>
      (await installation.rowExists('groups', gone!.metadata.uid)) === undefined ? true : undefined,
    )
    await installation.settled()
    expect(await installation.rowExists('groups', kept!.metadata.uid)).toBe(true)
  })

  describe('while the Controller is away', () => {
    it('says so at what is new, and catches up', async () => {
      await installation.controller!.close()
      await installation.apply(object('Group', 'late', {}))
      await installation.condition('Group', 'late', { type: 'Programmed', status: 'False' })
      await installation.startController()
      await ready('Group', 'late')
      for (const name of ['office-a', 'office-b']) await ready('Connector', name)
    }, 180_000)
  })

  itArgoCd(
    'shows in Argo CD what is healthy, what is on its way and what someone has to look at',
    120_000,
    async argo => {
      const entries = await argo.install(cluster(), { 'application.instanceLabelKey': 'mine' })
      expect(entries['application.instanceLabelKey']).toBe('mine')
      const health = async (kind: Kind, name: string) => {
        const script =
          entries[`resource.customizations.health.sallyport.dev_${kind}`] ?? expect.fail(`none for ${kind}`)
        return argo.judge(script, [(await installation.find(kind, name))!])[0]!
      }
      const all = {
        RemoteNetwork: 'office',
        Connector: 'office-a',
        Resource: 'web',
        Group: 'developers',
        Relay: 'relay',
      }
      for (const [kind, name] of Object.entries(all) as [Kind, string][]) {
        await ready(kind, name)
        await eventually(`${kind} ${name} healthy`, async () =>
          (await health(kind, name)).status === 'Healthy' ? true : undefined,
        )
      }

      const far = object('Relay', 'far', { deployment: 'External', replicas: 1, address: { list: ['127.0.0.1:1'] } })
      await installation.apply(resource('lost', ['nobody']), connector('office-late'), far)
      const unready = { type: 'Ready', status: 'False' }
      await installation.condition('Resource', 'lost', { ...unready, reason: 'GroupNotFound' })
      expect(await health('Resource', 'lost')).toEqual({
        status: 'Degraded',
        message: 'Group sallyport/nobody does not exist',
      })
      await installation.condition('Connector', 'office-late', { ...unready, reason: 'NotEnrolled' })
      expect(await health('Connector', 'office-late')).toMatchObject({ status: 'Progressing' })
      const { message } = await installation.condition('Relay', 'far', { ...unready, reason: 'NoRegistration' })
      expect(await health('Relay', 'far')).toEqual({ status: 'Progressing', message })
      await connectors.get('office-b')!.stop('SIGKILL')
      await installation.condition('Connector', 'office-b', { ...unready, reason: 'Disconnected' })
      expect(await health('Connector', 'office-b')).toMatchObject({ status: 'Progressing' })

      await installation.stopOperator()
      await installation.apply(resource('web', []), object('Group', 'unseen', {}))
      for (const [kind, name] of [
        ['Resource', 'web'],
        ['Group', 'unseen'],
      ] as const) {
        const { status, message } = await health(kind, name)
        expect({ status, message }).toMatchObject({
          status: 'Progressing',
          message: expect.stringContaining('the operator has not looked at'),
        })
      }
    },
  )

  itArgoCd('has examples for Argo CD and Flux that their definitions take, to the last field', 600_000, async () => {
    const { kube, kubectl } = cluster()
    const files = (await gitopsDefinitions()).flatMap(file => ['-f', file])
    await kube(['apply', '--server-side', ...files])
    await established(cluster())
    await kube(['create', 'namespace', 'flux-system'])
    for (const tool of ['argocd', 'flux']) {
      const objects = await kube(['kustomize', join(EXAMPLES, tool)])
      const { code, stderr } = await eventually('kinds that the API server has just got to know', async () => {
        const strictly = ['apply', '--server-side', '--dry-run=server', '--validate=strict', '-f', '-']
        const output = await kubectl(strictly, objects)
        return output.stderr.includes('no matches for kind') ? undefined : output
      })
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    }
  })
})

const text = (base64 = '') => Buffer.from(base64, 'base64').toString()
