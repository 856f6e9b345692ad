import { createLog } from '@sallyport/runtime'
import { freePorts } from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeKube, eventually } from './cluster.ts'
import { KubeInstallation, type Live, NAMESPACE, object } from './installation.ts'
import { PodRunner } from './pod-runner.ts'

const CONNECTORS = ['office-0', 'office-1', 'office-2']
const RELAYS = ['edge-0', 'edge-1']
const TOKEN_ID = 'sallyport.dev/token-id'
/** Time for processes to start one after the other, and for a slot that was left to become vacant. */
const ROLLOUT_MS = 120_000

describeKube('an image', cluster => {
  let installation: KubeInstallation
  let pods: PodRunner
  let addresses: string[]

  beforeAll(async () => {
    const log = process.env.SALLYPORT_TEST_LOG === undefined ? undefined : createLog('test', 'info')
    installation = await KubeInstallation.prepare(cluster(), log)
    await installation.start()
    addresses = (await freePorts(2)).map(port => `127.0.0.1:${port}`)
    pods = new PodRunner(installation, { 'edge-0': addresses[0]!, 'edge-1': addresses[1]! })
    pods.start()
  }, 120_000)
  afterAll(async () => {
    await pods.close()
    await installation.close()
  })

  const network = (image: string, replicas = CONNECTORS.length, more: object = {}) =>
    object('RemoteNetwork', 'office', { connectors: { replicas, image, ...more } })
  const relay = (image: string) => object('Relay', 'edge', { replicas: 2, image, address: { list: addresses } })
  const images = async (names: string[]) =>
    Promise.all(names.map(async name => imageOf(await installation.find('Deployment', name))))
  const runs = (names: string[], image: string) =>
    eventually(
      `${names} to run ${image}`,
      () => names.every(name => pods.ready().some(pod => pod.deployment === name && pod.image === image)) || undefined,
      ROLLOUT_MS,
    )
  const progressing = (kind: 'RemoteNetwork' | 'Relay', name: string, status: string, reason: string) =>
    installation.condition(kind, name, { type: 'Progressing', status, reason, timeoutMs: ROLLOUT_MS })

  it('runs in one pod for each Connector and each replica of a Relay', async () => {
    await installation.apply(relay('relay:1'), network('connector:1'))
    await runs(RELAYS, 'relay:1')
    await runs(CONNECTORS, 'connector:1')
    await progressing('RemoteNetwork', 'office', 'False', 'Settled')
    await progressing('Relay', 'edge', 'False', 'Settled')
    expect((await installation.find('RemoteNetwork', 'office'))?.status?.connectors).toEqual({ desired: 3, ready: 3 })
  }, 180_000)

  it('runs in pods of which an eviction takes one at a time', async () => {
    const budgets = { 'office-connectors': 3, 'edge-relays': 2 }
    for (const [name, expectedPods] of Object.entries(budgets)) {
      const { spec } = await eventually(`the budget ${name}`, async () => {
        const live = await installation.find('PodDisruptionBudget', name)
        const { expectedPods: seen, disruptionsAllowed } = live?.status ?? {}
        return seen === expectedPods && disruptionsAllowed === 1 ? live : undefined
      })
      expect(spec).toMatchObject({ maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow' })
    }
  })

  it('is not pulled again, nor a pod replaced, for anything but a change of the pods', async () => {
    const before = await replicaSets(installation)
    const labelled = network('connector:1') as { metadata: object }
    await installation.apply({ ...labelled, metadata: { ...labelled.metadata, labels: { team: 'network' } } })
    await installation.apply(
      object('RemoteNetwork', 'office', { displayName: 'Office', connectors: { replicas: 3, image: 'connector:1' } }),
    )
    await cluster().kube(['label', 'deployment', 'office-0', '-n', NAMESPACE, 'touched=yes'])
    await installation.stopOperator()
    await installation.startOperator({ 'resync-seconds': '1' })
    await eventually('two resyncs', async () => ((await installation.resyncs()) >= 2 ? true : undefined))
    await installation.settled()
    expect(await replicaSets(installation)).toEqual(before)
    await installation.stopOperator()
    await installation.startOperator()
  })

  it('reaches the next Connector when the one before is ready again', async () => {
    for (const name of CONNECTORS) pods.held.add(name)
    await installation.apply(network('connector:2'))
    for (const [index, name] of CONNECTORS.entries()) {
      await eventually(`${name} to get the image`, async () =>
        imageOf(await installation.find('Deployment', name)) === 'connector:2' ? true : undefined,
      )
      await eventually(`the pod of ${name} to go`, () =>
        pods.ready().some(pod => pod.deployment === name) ? undefined : true,
      )
      const { message } = await progressing('RemoteNetwork', 'office', 'True', 'RollingOut')
      expect(message).toContain(`Deployment sallyport/${name}`)
      await installation.settled()
      const rest = CONNECTORS.slice(index + 1)
      expect(await images(rest)).toEqual(rest.map(() => 'connector:1'))
      pods.held.delete(name)
      await runs([name], 'connector:2')
    }
    await progressing('RemoteNetwork', 'office', 'False', 'Settled')
  }, 400_000)

  it('reaches the next replica of a Relay when Connectors are back at the one before', async () => {
    pods.held.add('edge-0')
    await installation.apply(relay('relay:2'))
    await progressing('Relay', 'edge', 'True', 'RollingOut')
    await eventually('the pod to go', () => (pods.ready().some(pod => pod.deployment === 'edge-0') ? undefined : true))
    await installation.settled()
    expect(await images(RELAYS)).toEqual(['relay:2', 'relay:1'])
    pods.held.delete('edge-0')
    await runs(RELAYS, 'relay:2')
    await progressing('Relay', 'edge', 'False', 'Settled')
    await installation.condition('RemoteNetwork', 'office', { type: 'Ready', status: 'True' })
  }, 180_000)

  describe('that cannot be pulled', () => {
    it('stops at the first Connector, and says where; the others go on', async () => {
      // One that serves nobody would be the first.
      await eventually('all to serve', async () => {
        const { ready } = ((await installation.find('RemoteNetwork', 'office'))?.status?.connectors ?? {}) as {
          ready?: number
        }
        return ready === CONNECTORS.length ? true : undefined
      })
      for (const name of CONNECTORS) await installation.condition('Connector', name, { type: 'Ready', status: 'True' })
      await installation.apply(network('broken:3'))
      await eventually('the first', async () =>
        imageOf(await installation.find('Deployment', 'office-0')) === 'broken:3' ? true : undefined,
      )
      // The operator leaves it to Kubernetes, which allows 10 min.
      const deadline = JSON.stringify({ spec: { progressDeadlineSeconds: 1 } })
      await cluster().kube(['patch', 'deployment', 'office-0', '-n', NAMESPACE, '-p', deadline])
      const { message } = await progressing('RemoteNetwork', 'office', 'False', 'RolloutStuck')
      expect(message).toMatch(/^Deployment sallyport\/office-0 is not ready: .* 2 more keep their former pods/)
      await installation.settled()
      expect(await images(CONNECTORS)).toEqual(['broken:3', 'connector:2', 'connector:2'])
      await installation.condition('RemoteNetwork', 'office', { type: 'Ready', status: 'True' })
      expect((await installation.find('RemoteNetwork', 'office'))?.status?.connectors).toEqual({ desired: 3, ready: 2 })
      const events = JSON.parse(await cluster().kube(['get', 'events', '-n', NAMESPACE, '-o', 'json'])).items
      expect(events.filter(({ reason }: { reason: string }) => reason === 'RolloutStuck')).toHaveLength(1)
    }, 120_000)

    it('is replaced there first by the one that can', async () => {
      pods.held.add('office-0')
      await installation.apply(network('connector:4'))
      await eventually('the broken one', async () =>
        imageOf(await installation.find('Deployment', 'office-0')) === 'connector:4' ? true : undefined,
      )
      expect(await images(CONNECTORS)).toEqual(['connector:4', 'connector:2', 'connector:2'])
      pods.held.delete('office-0')
      await runs(CONNECTORS, 'connector:4')
      await progressing('RemoteNetwork', 'office', 'False', 'Settled')
    }, 400_000)
  })

  it('runs again after its pod was deleted by force, with the token that was mounted when the new one began', async () => {
    const { uid, name } = pods.ready().find(pod => pod.deployment === 'office-1') ?? expect.fail('there is no such pod')
    const before = await token(installation, 'office-1')
    pods.force = true
    await cluster().kube(['delete', 'pod', name, '-n', NAMESPACE, '--force', '--grace-period=0'])
    const another = await eventually(
      'the next pod to be ready',
      () => pods.ready().find(pod => pod.deployment === 'office-1' && pod.uid !== uid),
      ROLLOUT_MS,
    )
    pods.force = false
    expect(another.image).toBe('connector:4')
    // It was used, once, and the next one lies ready.
    await eventually('the next token', async () =>
      (await token(installation, 'office-1')) === before ? undefined : true,
    )
    await installation.condition('Connector', 'office-1', { type: 'Ready', status: 'True', timeoutMs: ROLLOUT_MS })
  }, 180_000)

  it('leaves a single pod without a budget, which would protect nothing', async () => {
    await installation.apply(network('connector:4', 1))
    await eventually('the budget to go', async () =>
      (await installation.find('PodDisruptionBudget', 'office-connectors')) === undefined ? true : undefined,
    )
    expect(await installation.find('PodDisruptionBudget', 'edge-relays')).toBeDefined()
  })
})

const imageOf = (deployment: Live | undefined) =>
  (deployment?.spec as { template: { spec: { containers: { image: string }[] } } } | undefined)?.template.spec
    .containers[0]?.image

const token = async (installation: KubeInstallation, connector: string) =>
  (await installation.find('Secret', connector))?.metadata.annotations?.[TOKEN_ID]

const replicaSets = async (installation: KubeInstallation) =>
  (await installation.list('ReplicaSet')).map(({ metadata }) => metadata.name).sort()
