/** Connectors, nodes and the Controller change while people work: no new connection is refused, and live streams end as they should. */
import { ADA, eventually } from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { kube } from './cluster.ts'
import { isReady, LONG_MS, NAMESPACE, type Person, type Pod, RELEASE, Release, seconds } from './release.ts'
import { Traffic } from './traffic.ts'

describe('a release in use', () => {
  let release: Release
  let ada: Person
  beforeAll(async () => {
    release = new Release()
    await release.everything()
    ada = await release.person(ADA)
  }, LONG_MS)
  afterAll(() => release.close())

  it('refuses nobody while Connectors and the Controller change', { timeout: LONG_MS }, async () => {
    const traffic = new Traffic(ada)
    await traffic.during('two Connectors more', async () => {
      await release.setConnectors({ replicas: 4 })
      await release.settled(4)
    })
    await traffic.during('two Connectors fewer', async () => {
      await release.setConnectors({ replicas: 2 })
      await release.settled(2)
    })
    await traffic.during('another pod template', async () => {
      await release.setConnectors({ podTemplate: { metadata: { annotations: { 'example.com/change': '1' } } } })
      await eventually(
        'pods of the new template',
        async () => {
          const pods = await release.connectors()
          return pods.filter(({ metadata }) => metadata.annotations?.['example.com/change'] === '1').length === 2
        },
        { timeoutMs: LONG_MS, everyMs: 500 },
      )
      await release.settled(2)
    })
    await traffic.during('a Connector deleted by force', async () => {
      const former = await release.connectors()
      const { name } = former[0]!.metadata
      await kube(['delete', 'pod', name, '-n', NAMESPACE, '--force', '--grace-period=0'])
      const goneAtMs = performance.now()
      const isNew = ({ metadata }: Pod) => former.every(({ metadata: { uid } }) => uid !== metadata.uid)
      await eventually(
        'its successor',
        async () => (await release.connectors()).some(pod => isNew(pod) && isReady(pod)),
        { timeoutMs: LONG_MS, everyMs: 100 },
      )
      console.log(`from a Connector's pod deleted by force to the next one Ready: ${seconds(goneAtMs)}`)
    })
    await traffic.during('the Controller anew', async () => {
      await kube(['rollout', 'restart', `deployment/${RELEASE}-controller`, '-n', NAMESPACE])
      await kube(['rollout', 'status', `deployment/${RELEASE}-controller`, '-n', NAMESPACE, '--timeout=300s'])
    })
    console.log(await traffic.end())
    expect(traffic.failures).toEqual([])
  })
})
