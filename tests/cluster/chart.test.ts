/**
 * The chart on a real node, as a newcomer uses it: `helm install` with the try-out's values, `kubectl apply -k` of the quickstart, the login
 * that the notes print, and a pod's Service is reached from outside of the cluster's network. Then all of it goes, but for what must stay.
 */
import { join } from 'node:path'
import { ADA, eventually, run as spawn, startWebService } from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { apply, find, helm, kube, kubectl } from './cluster.ts'
import { ALL_KINDS, LONG_MS, NAMESPACE, OFFICE, type Person, RELEASE, Release, seconds, WEB } from './release.ts'

const EVE = 'eve@example.com'

describe('the chart on a node', () => {
  let release: Release
  let installedAtMs: number
  let ada: Person
  beforeAll(async () => {
    release = new Release()
    await release.prepare()
  })
  afterAll(() => release.close())

  it('is installed with one command, and says how to log in', { timeout: LONG_MS }, async () => {
    installedAtMs = performance.now()
    const said = await release.install()
    expect(said).toContain('kubectl apply -k examples/quickstart/overlays/node')
    expect(said).toContain('asks for NO PASSWORD')
    const command = /sallyport login "\$\((kubectl [^)]*)\)"/.exec(said)?.[1]
    expect(command).toBe(`kubectl -n ${NAMESPACE} get configmap ${RELEASE}-login -o jsonpath='{.data.login}'`)
    const login = await release.started()
    expect(login).toMatch(/^https:\/\/[0-9.]+:[0-9]+#sha256:[A-Za-z0-9_-]{43}$/)
  })

  it('makes all that the quickstart declares Ready', { timeout: LONG_MS }, async () => {
    await kube(['apply', '-f', '-'], await release.quickstart())
    const wait = ['wait', '--for=condition=Ready', '-n', NAMESPACE, '--all', '--timeout=300s', ALL_KINDS]
    expect(await kubectl(wait)).toMatchObject({ code: 0, stderr: '' })
  })

  it('lets her reach a Service of the cluster whom a Group names, and nobody else', { timeout: LONG_MS }, async () => {
    await kube(['rollout', 'status', 'deployment/web', '-n', OFFICE, '--timeout=120s'])
    ada = await release.person(ADA)
    expect(await ada.get(WEB.host, WEB.port)).toBe(WEB.says)
    console.log(`from helm install to the first byte: ${seconds(installedAtMs)}`)
    await expect(ada.get(WEB.host, WEB.port + 1)).rejects.toThrow('SOCKS reply 2')
    await expect(release.person(EVE)).rejects.toThrow('login as eve@example.com')
  })

  it('exposes a Service while it is annotated', { timeout: LONG_MS }, async () => {
    const host = 'again.office.svc.cluster.local'
    const spec = { selector: { app: 'web' }, ports: [{ port: WEB.port }] }
    await apply({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'again', namespace: OFFICE }, spec })
    await expect(ada.get(host, WEB.port)).rejects.toThrow('SOCKS reply 2')
    const allowed = { spec: { allowedNamespaces: [{ from: 'All' }] } }
    await kube(['patch', 'remotenetwork', 'office', '-n', NAMESPACE, '--type=merge', '-p', JSON.stringify(allowed)])
    const annotate = (...annotations: string[]) => kube(['annotate', 'service', 'again', '-n', OFFICE, ...annotations])
    await annotate(`sallyport.dev/expose=${NAMESPACE}/office`, `sallyport.dev/groups=${NAMESPACE}/developers`)
    const reached = () =>
      ada.get(host, WEB.port).then(
        answer => answer === WEB.says,
        () => false,
      )
    await eventually('the Service to be reached', reached)
    await annotate('sallyport.dev/expose-', 'sallyport.dev/groups-')
    await eventually('it to be reached no more', async () => !(await reached()))
    await eventually('its Resource to go', async () => (await find('resource', 'again', OFFICE)) === undefined)
  })

  it('has a Connector outside of the cluster, which reaches what is there', { timeout: LONG_MS }, async () => {
    const host = 'printer.datacenter.internal'
    const service = await startWebService('hello from the data centre')
    const declared = (kind: string, name: string, spec: object) => ({
      ...{ apiVersion: 'sallyport.dev/v1alpha1', kind, metadata: { name, namespace: NAMESPACE }, spec },
    })
    await apply(
      declared('RemoteNetwork', 'datacenter', { connectors: { replicas: 0 }, guardExceptions: ['127.0.0.0/8'] }),
      declared('Connector', 'datacenter-a', { remoteNetworkRef: { name: 'datacenter' }, deployment: 'External' }),
      declared('Resource', 'printer', {
        ...{ remoteNetworkRef: { name: 'datacenter' }, address: '127.0.0.1', aliases: [host] },
        access: [{ group: 'developers' }],
      }),
    )
    const directory = join(release.work, 'datacenter-a')
    await eventually('its Secret', () => release.takeSecret('datacenter-a', ['token', 'trust.json'], directory))
    await expect(ada.get(host, service.port)).rejects.toThrow('SOCKS reply')
    expect(service.accepted()).toBe(0)
    const connector = spawn({
      name: 'datacenter-a',
      args: [join(import.meta.dirname, '../../dist/connector.mjs')],
      env: {
        ...{ SALLYPORT_CONNECTOR_DIR: directory, SALLYPORT_STATE_DIR: join(release.work, 'state') },
        SALLYPORT_METRICS_LISTEN: '127.0.0.1:0',
      },
    })
    try {
      await kube(['wait', '--for=condition=Ready', 'connectors/datacenter-a', '-n', NAMESPACE, '--timeout=120s'])
      const answer = () => ada.get(host, service.port)
      expect(await eventually('an answer', answer)).toBe('hello from the data centre\n')
      await kube(['delete', 'connector', 'datacenter-a', '-n', NAMESPACE])
      await eventually('an end of it', () =>
        answer().then(
          () => false,
          () => true,
        ),
      )
      const reached = service.accepted()
      await expect(answer()).rejects.toThrow('SOCKS reply')
      expect(service.accepted()).toBe(reached)
    } finally {
      await connector.stop()
      await service.close()
      await kube(['delete', 'remotenetwork/datacenter', 'sres/printer', '-n', NAMESPACE])
    }
  })

  it('runs pods that are restricted, all of them', { timeout: LONG_MS }, async () => {
    for (const level of ['enforce', 'warn']) {
      const labels = ['label', 'namespace', NAMESPACE, '--overwrite', `pod-security.kubernetes.io/${level}=restricted`]
      // The server warns of each pod that would not be let in.
      expect((await kubectl([...labels, '--dry-run=server'])).stderr).toBe('')
    }
  })

  it('leaves what must stay, and finds it again', { timeout: LONG_MS }, async () => {
    const before = await find<{ data: object }>('secret', `${RELEASE}-ca`, NAMESPACE)
    await helm(['uninstall', RELEASE, '--namespace', NAMESPACE, '--wait'])
    // What a Relay owns goes after it.
    const left = await eventually('its Deployments to go', async () => {
      const names = await kube(['get', 'deployments', '-n', NAMESPACE, '-o', 'name'])
      return names.includes(`/${RELEASE}-`) ? undefined : names
    })
    expect(left).toContain('deployment.apps/office-0')
    await release.install()
    await kube(['rollout', 'status', `deployment/${RELEASE}-controller`, '-n', NAMESPACE, '--timeout=300s'])
    expect((await find<{ data: object }>('secret', `${RELEASE}-ca`, NAMESPACE))?.data).toEqual(before?.data)
    await kube(['wait', '--for=condition=Ready', '-n', NAMESPACE, '--all', '--timeout=300s', ALL_KINDS])
  })
})
