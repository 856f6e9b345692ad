import { join } from 'node:path'
import { createLog } from '@sallyport/runtime'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeKube, eventually } from './cluster.ts'
import { KubeInstallation, NAMESPACE, object } from './installation.ts'
import { Way } from './way.ts'

const USER = `system:serviceaccount:${NAMESPACE}:sallyport-operator`
const log = process.env.SALLYPORT_TEST_LOG === undefined ? undefined : createLog('test', 'info')
const network = (allowedNamespaces: object[] = [], namespace = NAMESPACE) =>
  object('RemoteNetwork', 'office', { connectors: { replicas: 1 }, allowedNamespaces } as object, namespace)
const resource = (name: string, namespace: string) =>
  object(
    'Resource',
    name,
    { remoteNetworkRef: { name: 'office', namespace: NAMESPACE }, address: `${name}.team.internal` },
    namespace,
  )
const selecting = (matchLabels: Record<string, string>) => ({
  from: 'Selector',
  selector: { matchLabels },
  addresses: ['*.team.internal'],
})

describeKube('an operator with rights in single namespaces only', cluster => {
  let installation: KubeInstallation

  beforeAll(async () => {
    for (const name of ['team', 'outside']) await cluster().kube(['create', 'namespace', name])
    await cluster().kube(['label', 'namespace', 'team', 'access=office'])
    installation = await KubeInstallation.prepare(cluster(), log, { operator: { watchNamespaces: ['team'] } })
    await installation.startOperator({ 'watch-namespaces': `${NAMESPACE},team` })
    await installation.startController()
  }, 120_000)
  afterAll(() => installation.close())

  const accepted = (name: string, status: string, reason: string) =>
    installation.condition('Resource', name, { type: 'Accepted', status, reason, namespace: 'team' })

  it.each([
    ['list Namespaces', ['list', 'namespaces'], 'no'],
    ['list Nodes', ['list', 'nodes'], 'no'],
    ['list Resources of all namespaces', ['list', 'resources.sallyport.dev', '-A'], 'no'],
    ['list Services of all namespaces', ['list', 'services', '-A'], 'no'],
    ['list Secrets of a namespace that it only watches', ['list', 'secrets', '-n', 'team'], 'no'],
    ['list Resources there', ['list', 'resources.sallyport.dev', '-n', 'team'], 'yes'],
  ])('is one that may or may not: %s', async (_, args, wanted) => {
    const { stdout } = await cluster().kubectl(['auth', 'can-i', ...args, `--as=${USER}`])
    expect(stdout.trim()).toBe(wanted)
  })

  it('makes what is declared there, and is healthy', async () => {
    await installation.apply(network([{ from: 'All', addresses: ['*.team.internal'] }]), resource('web', 'team'))
    await eventually('the Deployment', () => installation.find('Deployment', 'office-0'))
    await accepted('web', 'True', 'Accepted')
    await installation.settled()
    const { status } = await fetch(`http://${installation.operator!.metricsAddress}/readyz`)
    expect(status).toBe(200)
  })

  it('leaves other namespaces alone', async () => {
    await installation.apply(resource('web', 'outside'), resource('next', 'team'))
    await accepted('next', 'True', 'Accepted')
    await installation.settled()
    expect((await installation.find('Resource', 'web', 'outside'))?.status).toBeUndefined()
  })

  it('says that it cannot read the labels of a namespace, and takes its name for one', async () => {
    await installation.apply(network([selecting({ access: 'office' })]))
    const { message } = await accepted('web', 'False', 'NamespaceLabelsUnreadable')
    expect(message).toContain('labels of namespace "team"')
    await installation.apply(network([selecting({ 'kubernetes.io/metadata.name': 'outside' })]))
    await accepted('web', 'False', 'NamespaceNotAllowed')
    await installation.apply(network([selecting({ 'kubernetes.io/metadata.name': 'team' })]))
    await accepted('web', 'True', 'Accepted')
  })

  it('says that only a load balancer gives a Relay an address, for it cannot read Nodes', async () => {
    await installation.apply(
      object('Relay', 'edge', { replicas: 1, address: { fromService: true }, service: { type: 'NodePort' } }),
    )
    const { message } = await installation.condition('Relay', 'edge', { type: 'Available', status: 'False' })
    expect(message).toContain('only a load balancer can give one')
  })

  it('may ask by its name for all that a list lacks', async () => {
    await installation.apply(object('Group', 'staff', {}), {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', namespace: 'team' },
      spec: { ports: [{ port: 80 }] },
    })
    await installation.settled()
    const kubeconfig = join(installation.dir, 'kubeconfig-way')
    const way = await Way.open(join(installation.dir, 'kubeconfig'), kubeconfig)
    await installation.stopOperator()
    await installation.startOperator({ 'watch-namespaces': `${NAMESPACE},team`, 'resync-seconds': '1', kubeconfig })
    await installation.settled()
    const before = cluster().asked().length
    const asked = () =>
      cluster()
        .asked()
        .slice(before)
        .filter(({ user }) => user === USER)
    const rows = () => installation.rows('declared').map(({ uid, body }) => `${uid} ${body}`)
    const declared = rows()
    const hidden = ['remotenetworks', 'connectors', 'resources', 'groups', 'relays', 'services']
    way.hide(...hidden)
    await eventually('a look at each', () =>
      hidden.every(kind => asked().some(({ verb, resource }) => verb === 'get' && resource === kind)),
    )
    await eventually('more lists', () => way.thinned > 3 * hidden.length)
    expect(asked().filter(({ code }) => code === 403)).toEqual([])
    expect(rows()).toEqual(declared)
    await installation.stopOperator()
    way.close()
  })
})

describeKube('an operator that manages two namespaces', cluster => {
  let installation: KubeInstallation

  beforeAll(async () => {
    for (const name of ['edge', 'team']) await cluster().kube(['create', 'namespace', name])
    installation = await KubeInstallation.prepare(cluster(), log, { operator: { managedNamespaces: ['edge'] } })
    await installation.startOperator({ 'managed-namespaces': `${NAMESPACE},edge` })
    await installation.startController()
  }, 120_000)
  afterAll(() => installation.close())

  it('runs Connectors in both, and says elsewhere that it does not', async () => {
    await installation.apply(network([], NAMESPACE), network([], 'edge'), network([], 'team'))
    for (const namespace of [NAMESPACE, 'edge']) {
      await eventually(`the Deployment in ${namespace}`, () => installation.find('Deployment', 'office-0', namespace))
    }
    const wanted = { type: 'Accepted', status: 'False', reason: 'NamespaceNotManaged', namespace: 'team' }
    const { message } = await installation.condition('RemoteNetwork', 'office', wanted)
    expect(message).toBe('the operator does not manage namespace "team", so a RemoteNetwork has no effect there')
    await installation.settled()
    const there = await cluster().kube([
      'get',
      'connectors.sallyport.dev,deployments,secrets',
      '-n',
      'team',
      '-o',
      'json',
    ])
    expect(JSON.parse(there).items).toEqual([])
  })
})
