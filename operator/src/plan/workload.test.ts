import type { PodTemplate, Specs } from '@sallyport/schema'
import { describe, expect, it } from 'vitest'
import type { Declared, KubeObject } from '../object.ts'
import { differs } from './difference.ts'
import { planBudget } from './disruption.ts'
import { settingsOf } from './settings.fixture.ts'
import { connectorDeployment, relayDeployment, relayService } from './workload.ts'

const settings = settingsOf({ connectorImage: 'connector:1', relayImage: 'relay:1' })
const metadata = { namespace: 'sallyport', generation: 1, creationTimestamp: '2030-01-01T00:00:00Z' }
const apiVersion = 'sallyport.dev/v1alpha1'
const connector: Declared<'Connector'> = {
  apiVersion,
  kind: 'Connector',
  metadata: { ...metadata, name: 'office-0', uid: '1f2b7b7e-2f5c-4a0b-9f0e-7d1f6c1a4b11' },
  spec: { remoteNetworkRef: { name: 'office' }, deployment: 'Managed' },
}
const relay: Declared<'Relay'> = {
  apiVersion,
  kind: 'Relay',
  metadata: { ...metadata, name: 'edge', uid: '2f2b7b7e-2f5c-4a0b-9f0e-7d1f6c1a4b11' },
  spec: { address: { fromService: true } },
}
const network = (
  connectors: Specs['RemoteNetwork']['connectors'] = {},
  more: Partial<Declared['metadata']> = {},
): Declared<'RemoteNetwork'> => ({
  apiVersion,
  kind: 'RemoteNetwork',
  metadata: { ...metadata, name: 'office', uid: '0f2b7b7e-2f5c-4a0b-9f0e-7d1f6c1a4b11', ...more },
  spec: { connectors },
})

type PodSpec = Record<string, unknown> & {
  containers: (Record<string, unknown> & { resources: object; volumeMounts: object[] })[]
  volumes: object[]
}
type Fields = {
  selector: { matchLabels: Record<string, string> }
  template: { metadata: { labels: Record<string, string> }; spec: PodSpec }
}
const fieldsOf = (deployment: KubeObject) => deployment.spec as Fields
const deployed = (podTemplate?: PodTemplate) =>
  connectorDeployment(connector, network(podTemplate === undefined ? {} : { podTemplate }), settings)
const podOf = (deployment: KubeObject) => fieldsOf(deployment).template.spec

describe('pods of Connectors and Relays', () => {
  const relayed = relayDeployment(relay, { name: 'edge-1', index: 1, listen: ':8443' }, settings)

  it.each([
    ['a Connector', deployed(), { 'sallyport.dev/connector': 'office-0' }, 'office'],
    ['a Relay', relayed, { 'sallyport.dev/relay': 'edge', 'sallyport.dev/index': '1' }, 'edge'],
  ])(
    'are found by no more labels than it takes, and have those that Kubernetes recommends: %s',
    (_, object, selector, instance) => {
      const { selector: found, template } = fieldsOf(object)
      expect(found.matchLabels).toEqual(selector)
      expect(template.metadata.labels).toMatchObject(selector)
      for (const labels of [template.metadata.labels, object.metadata.labels]) {
        expect(labels).toMatchObject({
          'app.kubernetes.io/name': expect.stringMatching(/^sallyport-(connector|relay)$/),
          'app.kubernetes.io/instance': instance,
          'app.kubernetes.io/component': expect.stringMatching(/^(connector|relay)$/),
          'app.kubernetes.io/part-of': 'sallyport',
          'app.kubernetes.io/managed-by': 'sallyport-operator',
        })
      }
    },
  )

  it('keep their own labels whatever the podTemplate says', () => {
    const labels = { 'sallyport.dev/connector': 'another', team: 'network' }
    const { template } = fieldsOf(deployed({ metadata: { labels } }))
    expect(template.metadata.labels).toMatchObject({ 'sallyport.dev/connector': 'office-0', team: 'network' })
  })

  it.each([
    ['a Connector', deployed()],
    ['a Relay', relayed],
  ])('meet the restricted Pod Security standard: %s', (_, object) => {
    const pod = podOf(object)
    expect(pod).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
    })
    const security = { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } }
    expect(pod.containers).toHaveLength(1)
    expect(pod.containers[0]).toMatchObject({ securityContext: security })
    expect(pod.containers[0]).not.toHaveProperty('imagePullPolicy')
  })

  it('write to nothing but a volume of limited size, and mount their Secret as a directory', () => {
    const { volumes, containers } = podOf(deployed())
    expect(volumes).toEqual([
      { name: 'secret', secret: { secretName: 'office-0' } },
      { name: 'state', emptyDir: { sizeLimit: '256Mi' } },
    ])
    expect(containers[0]?.volumeMounts.filter(mount => 'subPath' in mount)).toEqual([])
  })

  it.each([
    ['with the Secrets of the installation', ['regcred'], [{ name: 'regcred' }]],
    ['without any', [], undefined],
  ])('pull their images %s', (_, imagePullSecrets, wanted) => {
    const pod = podOf(connectorDeployment(connector, network(), { ...settings, imagePullSecrets }))
    expect(pod.imagePullSecrets).toEqual(wanted)
  })

  it('have something reserved where nothing is said, and exactly what is said', () => {
    expect(podOf(deployed()).containers[0]?.resources).toEqual({ requests: { cpu: '50m', memory: '128Mi' } })
    const resources = { limits: { memory: '1Gi' } }
    const said = connectorDeployment(connector, network({ resources }), settings)
    expect(podOf(said).containers[0]?.resources).toEqual(resources)
  })

  const constraint = { maxSkew: 2, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' }
  it.each<[string, PodTemplate | undefined, object[]]>([
    [
      'over hosts where nothing is said',
      undefined,
      [
        {
          maxSkew: 1,
          topologyKey: 'kubernetes.io/hostname',
          whenUnsatisfiable: 'ScheduleAnyway',
          labelSelector: { matchLabels: { 'sallyport.dev/remote-network': 'office' } },
        },
      ],
    ],
    ['as the podTemplate says', { topologySpreadConstraints: [constraint] }, [constraint]],
    ['not at all where it says so', { topologySpreadConstraints: [] }, []],
  ])('are spread %s', (_, template, wanted) => {
    expect(podOf(deployed(template)).topologySpreadConstraints).toEqual(wanted)
  })

  it('are the same whatever else the network says', () => {
    const labelled = network({}, { labels: { team: 'x' }, generation: 9, resourceVersion: '7' })
    labelled.spec = { ...labelled.spec, displayName: 'Office', acl: { lifetime: '10m' } }
    expect(connectorDeployment(connector, labelled, settings)).toEqual(deployed())
  })

  it('are missed a field that is no longer wanted, although nothing lacks', () => {
    const live = deployed({ nodeSelector: { zone: 'a' } })
    expect(differs(deployed({ nodeSelector: { zone: 'a' } }), live)).toBe(false)
    expect(differs(deployed(), live)).toBe(true)
    const annotated = { ...relay, spec: { ...relay.spec!, service: { annotations: { lb: 'internal' } } } }
    expect(differs(relayService(relay, 'edge-0', 0), relayService(annotated, 'edge-0', 0))).toBe(true)
  })

  it.each<[string, PodTemplate]>([
    ['no tolerations', { tolerations: [] }],
    ['no node labels', { nodeSelector: {} }],
    ['no spread', { topologySpreadConstraints: [] }],
  ])('are at rest where the API server leaves out what is empty: %s', (_, template) => {
    const wanted = deployed(template)
    const live = JSON.parse(JSON.stringify(wanted))
    for (const name of Object.keys(template)) delete live.spec.template.spec[name]
    expect(differs(wanted, live)).toBe(false)
  })
})

describe('a PodDisruptionBudget', () => {
  const want = (pods: number) => ({
    ...{ name: 'office-connectors', owner: network(), labels: { a: 'b' }, pods },
    selector: { 'sallyport.dev/remote-network': 'office' },
  })
  const [step] = planBudget(want(2), undefined, 'cluster')
  const live = step?.do === 'apply' ? step.object : expect.fail('it is not made')

  it('lets one pod of several go at a time, and one that is not ready at any time', () => {
    expect(live.spec).toEqual({
      maxUnavailable: 1,
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: { matchLabels: { 'sallyport.dev/remote-network': 'office' } },
    })
    expect(planBudget(want(3), live, 'cluster')).toEqual([])
  })

  it('goes when one pod is left, and is none of a single machine', () => {
    expect(planBudget(want(1), live, 'cluster')).toEqual([{ do: 'remove', object: live }])
    expect(planBudget(want(1), undefined, 'cluster')).toEqual([])
    expect(planBudget(want(2), undefined, 'host')).toEqual([])
  })
})
