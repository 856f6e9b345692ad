/** Connectors, nodes and the Controller change while people work: no new connection is refused, and live streams end as they should. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ADA, eventually } from '@sallyport/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { buildImage, image, kube, kubectl, NODES } from './cluster.ts'
import { isReady, LONG_MS, NAMESPACE, OFFICE, type Pod, RELEASE, Release, seconds } from './release.ts'
import { Traffic } from './traffic.ts'

const NEXT_IMAGE = 'sallyport/connector:next'
/** Shorter than the default, so that a stream that has to be cut at its end is. */
const DRAIN_SECONDS = 5
const CONTROLLER = `deployment/${RELEASE}-controller`

describe('a release in use', () => {
  let release: Release
  let traffic: Traffic
  /** Where the services that people reach run, one pod of each: it is not emptied. Undefined on a single node. */
  let serviceNode: string | undefined
  beforeAll(async () => {
    release = new Release()
    await release.everything()
    const dockerfile = join(release.work, 'Dockerfile')
    writeFileSync(dockerfile, `FROM ${image('connector')}\nLABEL next=yes\n`)
    await buildImage(dockerfile, release.work, NEXT_IMAGE)
    serviceNode = NODES > 1 ? await keepServices() : undefined
    traffic = new Traffic(await release.person(ADA))
  }, LONG_MS)
  beforeEach(async () => {
    await release.setConnectors({ replicas: 2, drainSeconds: DRAIN_SECONDS })
    await release.settled(2)
  }, LONG_MS)
  afterAll(async () => {
    console.log(await traffic?.end())
    await release.close()
  })

  const under = (title: string, change: () => Promise<unknown>) => traffic.under(title, change)
  const restartController = () => kube(['rollout', 'restart', CONTROLLER, '-n', NAMESPACE])
  const controllerIsBack = () => kube(['rollout', 'status', CONTROLLER, '-n', NAMESPACE, '--timeout=300s'])
  const change = (value: string) => ({ podTemplate: { metadata: { annotations: { 'example.com/change': value } } } })
  const isChanged =
    (value: string) =>
    ({ metadata }: Pod) =>
      metadata.annotations?.['example.com/change'] === value
  /** Waits until so many pods of Connectors are as they should be. */
  const pods = (what: string, is: (pod: Pod) => boolean, count: number) =>
    eventually(what, async () => (await release.connectors()).filter(is).length === count, {
      timeoutMs: LONG_MS,
      everyMs: 200,
    })
  const byNobodyOf = (former: Pod[]) => (pod: Pod) =>
    isReady(pod) && former.every(({ metadata }) => metadata.uid !== pod.metadata.uid)

  it('gets two Connectors more, and loses them and one more again', { timeout: LONG_MS }, async () => {
    const stream = await under('2 to 4 Connectors', async () => {
      await release.setConnectors({ replicas: 4 })
      await release.settled(4)
    })
    await stream.echo()
    await under('4 to 1 Connectors', async () => {
      await release.setConnectors({ replicas: 1 })
      await release.settled(1)
    })
    await under('1 to 2 Connectors', async () => {
      await release.setConnectors({ replicas: 2 })
      await release.settled(2)
    })
  })

  it('gets another image, and another pod template', { timeout: LONG_MS }, async () => {
    await under('another image', async () => {
      await release.setConnectors({ image: NEXT_IMAGE })
      await pods('pods of the next image', ({ spec }) => spec.containers[0]?.image === NEXT_IMAGE, 2)
      await release.settled(2)
    })
    await under('another pod template', async () => {
      await release.setConnectors(change('1'))
      await pods('pods of the new template', isChanged('1'), 2)
      await release.settled(2)
    })
  })

  it('loses a Connector by force', { timeout: LONG_MS }, async () => {
    await under('a pod deleted by force', async () => {
      const former = await release.connectors()
      await kube(['delete', 'pod', former[0]!.metadata.name, '-n', NAMESPACE, '--force', '--grace-period=0'])
      const goneAtMs = performance.now()
      await pods('its successor', byNobodyOf(former), 1)
      console.log(`from a Connector's pod deleted by force to the next one Ready: ${seconds(goneAtMs)}`)
      await release.settled(2)
    })
  })

  it('loses the Controller for a while, and in the middle of a rollout', { timeout: LONG_MS }, async () => {
    const stream = await under('the Controller restarted', async () => {
      await restartController()
      await controllerIsBack()
    })
    await stream.echo()
    await release.settled(2)
    await under('the Controller restarted during a rollout', async () => {
      await release.setConnectors(change('2'))
      await pods('a first pod of the new template', isChanged('2'), 1)
      await restartController()
      await controllerIsBack()
      await pods('pods of the new template', isChanged('2'), 2)
      await release.settled(2)
    })
  })

  it('has a node emptied, of which an eviction takes one Connector at a time', { timeout: LONG_MS }, async () => {
    const former = await release.connectors()
    const node = former.map(({ spec }) => spec.nodeName!).find(name => name !== serviceNode)
    if (node === undefined) throw new Error('both Connectors run on one node, of two')
    const evict = ({ metadata: { name } }: Pod) => {
      const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: NAMESPACE } }
      const path = `/api/v1/namespaces/${NAMESPACE}/pods/${name}/eviction`
      return kubectl(['create', '--raw', path, '-f', '-'], JSON.stringify(eviction))
    }
    await kube(['cordon', node])
    await under(NODES > 1 ? 'a node drained' : 'both Connectors evicted', async () => {
      if (NODES > 1) {
        await kube(['drain', node, '--ignore-daemonsets', '--delete-emptydir-data', '--force', '--timeout=300s'])
      } else {
        expect(await evict(former[0]!)).toMatchObject({ code: 0 })
        const { code, stderr } = await evict(former[1]!)
        expect([code, stderr]).toEqual([1, expect.stringContaining('disruption budget')])
      }
      await kube(['uncordon', node])
      if (NODES === 1) {
        await pods('two Connectors', isReady, 2)
        await eventually('the second to go', async () => (await evict(former[1]!)).code === 0, { everyMs: 500 })
        await pods('their successors', byNobodyOf(former), 2)
      }
      await release.settled(2)
    })
  })
})

/** Makes the quickstart's services stay on one node; gives its name. */
async function keepServices(): Promise<string> {
  const node = await kube(['get', 'nodes', '-o', 'jsonpath={.items[0].metadata.name}'])
  const patch = { spec: { template: { spec: { nodeSelector: { 'kubernetes.io/hostname': node } } } } }
  for (const name of ['web', 'tcp']) {
    await kube(['patch', 'deployment', name, '-n', OFFICE, '-p', JSON.stringify(patch)])
    await kube(['rollout', 'status', `deployment/${name}`, '-n', OFFICE, '--timeout=120s'])
  }
  return node
}
