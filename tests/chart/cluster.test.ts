/** The chart at a real API server: every object is taken, an upgrade brings the definitions, an uninstall leaves what must stay. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '@sallyport/testkit'
import { beforeAll, expect, it } from 'vitest'
import { type Cluster, describeKube, established, eventually } from '../kube/cluster.ts'
import { definitionsOfOthers } from './definitions.ts'
import { asList, CHART, helm, render, type Values } from './helm.ts'
import { MATRIX } from './matrix.ts'

const OPERATOR = join(import.meta.dirname, '../../operator/src/main.ts')
const RESTRICTED = 'pod-security.kubernetes.io/enforce=restricted'
const LONG_MS = 180_000

describeKube('the chart at an API server', cluster => {
  const runHelm = (args: string[], values?: Values) => helm(args, values, { KUBECONFIG: cluster().kubeconfig })

  async function namespace(name: string) {
    await cluster().kube(['create', 'namespace', name])
    await cluster().kube(['label', 'namespace', name, RESTRICTED, 'pod-security.kubernetes.io/warn=restricted'])
  }

  beforeAll(async () => {
    const files = (await definitionsOfOthers()).flatMap(file => ['-f', file])
    await cluster().kube(['apply', '--server-side', ...files])
    await established(cluster())
    for (const name of ['sallyport', 'apps', 'data', 'networks', 'install']) await namespace(name)
  }, LONG_MS * 2)

  it.each(Object.entries(MATRIX))(
    'renders what the API server takes, to the last field, in namespaces that are restricted: %s',
    { timeout: LONG_MS },
    async (_, values) => {
      const all = await render(values)
      const { code, stderr } = await eventually('kinds that the API server has just got to know', async () => {
        const output = await cluster().kubectl(
          ['apply', '--server-side', '--dry-run=server', '--validate=strict', '-f', '-'],
          asList(all),
        )
        return output.stderr.includes('no matches for kind') ? undefined : output
      })
      expect(stderr).toBe('')
      expect(code).toBe(0)
    },
  )

  it('installs in one go, and what is rendered is what stands there', { timeout: LONG_MS }, async () => {
    const { code, stderr } = await runHelm(['install', 'one', CHART, '--namespace', 'install'], MATRIX['the try-out'])
    expect(stderr).toBe('')
    expect(code).toBe(0)
    const relay = JSON.parse(await cluster().kube(['get', 'relay', 'one-relay', '-n', 'install', '-o', 'json']))
    expect(relay.spec).toEqual({ replicas: 2, address: { fromService: true }, service: { type: 'NodePort' } })
    const release = { name: 'one', namespace: 'install', flags: ['--no-hooks'] }
    const manifests = asList(await render(MATRIX['the try-out'], release))
    const diff = await cluster().kubectl(['diff', '--server-side', '-f', '-'], manifests)
    expect(diff).toEqual({ code: 0, stdout: '', stderr: '' })
  })

  it('brings the definitions up to date at an upgrade, by the rights of a Job', { timeout: LONG_MS }, async () => {
    await cluster().kube([
      ...['patch', 'crd', 'groups.sallyport.dev', '--type=json', '-p'],
      '[{"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/displayName"}]',
    ])
    const explained = async () => (await cluster().kubectl(['explain', 'groups.sallyport.dev.spec.displayName'])).code
    await eventually('a definition without displayName', async () => ((await explained()) === 0 ? undefined : true))
    const upgrade = runHelm(['upgrade', 'one', CHART, '--namespace', 'install'], MATRIX['the try-out'])
    await playJob(cluster(), 'install', 'one-crds')
    expect(await upgrade).toMatchObject({ code: 0, stderr: '' })
    await eventually('the definition of this version', async () => ((await explained()) === 0 ? true : undefined))
    expect((await cluster().kubectl(['get', 'job,clusterrole,sa', 'one-crds', '-n', 'install'])).code).not.toBe(0)
  })

  it('leaves definitions, objects of people, volume, CA and store key when it goes, and nothing else', {
    timeout: LONG_MS,
  }, async () => {
    const made = (kind: string, name: string, more: object) =>
      cluster().kube(['apply', '-f', '-'], JSON.stringify({ kind, metadata: { name, namespace: 'install' }, ...more }))
    await made('Group', 'developers', { apiVersion: 'sallyport.dev/v1alpha1', spec: { members: ['ada@example.com'] } })
    for (const name of ['one-ca', 'one-store-key']) await made('Secret', name, { apiVersion: 'v1' })
    const { code, stdout } = await runHelm(['uninstall', 'one', '--namespace', 'install'])
    expect(code).toBe(0)
    expect(stdout).toContain('[PersistentVolumeClaim] one-controller')
    const left = async () =>
      (
        await cluster().kube([
          ...['get', 'crd,pvc,secrets,groups,relays,deployments,services,roles,configmaps,serviceaccounts', '-A'],
          ...['-o', 'jsonpath={range .items[*]}{.kind} {.metadata.namespace} {.metadata.name}{"\\n"}{end}'],
        ])
      )
        .split('\n')
        .filter(line => / install (one|developers)|sallyport\.dev$/.test(line))
        .sort()
    const wanted = [
      ...['connectors', 'groups', 'relays', 'remotenetworks', 'resources'].map(
        plural => `CustomResourceDefinition  ${plural}.sallyport.dev`,
      ),
      'Group install developers',
      'PersistentVolumeClaim install one-controller',
      'Secret install one-ca',
      'Secret install one-store-key',
    ]
    // Helm does not wait for what it deletes.
    await eventually('nothing but that', async () => ((await left()).length === wanted.length ? true : undefined))
    expect(await left()).toEqual(wanted)
  })

  it('comes back to what it left', { timeout: LONG_MS }, async () => {
    const { code, stderr } = await runHelm(['install', 'one', CHART, '--namespace', 'install'], MATRIX['the try-out'])
    expect(stderr).toBe('')
    expect(code).toBe(0)
  })
})

/** No kubelet runs here: what the Job's pod would run is run with the account of the Job, and its end is reported. */
async function playJob(cluster: Cluster, namespace: string, job: string): Promise<void> {
  const pod = await eventually(
    `the pod of Job ${job}`,
    async () => {
      const { stdout } = await cluster.kubectl(['get', 'pods', '-n', namespace, '-l', `job-name=${job}`, '-o', 'json'])
      return JSON.parse(stdout || '{"items":[]}').items[0]
    },
    LONG_MS,
  )
  const [{ args }] = pod.spec.containers
  const token = await cluster.kube(['create', 'token', pod.spec.serviceAccountName, '-n', namespace])
  const admin = JSON.parse(
    await cluster.kube(['config', 'view', '--raw', '-o', 'json', '--kubeconfig', cluster.kubeconfig]),
  )
  const users = [{ name: admin.users[0].name, user: { token: token.trim() } }]
  const kubeconfig = `${cluster.kubeconfig}-job`
  writeFileSync(kubeconfig, JSON.stringify({ ...admin, users }), { mode: 0o600 })
  const process = run({ name: job, args: [OPERATOR, ...args], env: { KUBECONFIG: kubeconfig } })
  expect(await process.ended, process.lines.join('\n')).toBe(0)
  await cluster.kube([
    ...['patch', 'pod', pod.metadata.name, '-n', namespace, '--subresource=status', '--type=merge', '-p'],
    JSON.stringify({ status: { phase: 'Succeeded' } }),
  ])
}
