/** What the chart's templates promise, for every case of the matrix. */
import { configFrom } from '@sallyport/controller'
import { readConfig } from '@sallyport/operator'
import { expect, it } from 'vitest'
import { CHART, describeChart, helm, type Manifest, manifests, nameOf, ofKind, pick, render, template } from './helm.ts'
import { MATRIX } from './matrix.ts'

const CASES = Object.entries(MATRIX)
/** Each case as Helm writes it, rendered once. */
const rendered = new Map<string, Promise<string>>()
function text(name: string): Promise<string> {
  const written = rendered.get(name) ?? template(MATRIX[name])
  rendered.set(name, written)
  return written
}
const objects = async (name: string): Promise<Manifest[]> => manifests(await text(name))
const ROLES = ['Role', 'ClusterRole', 'RoleBinding', 'ClusterRoleBinding']

/** Pod specs of everything that runs pods. */
const pods = (all: Manifest[]) =>
  all.filter(({ spec }) => spec?.template?.spec?.containers !== undefined).map(({ spec }) => spec.template.spec)
const containers = (all: Manifest[]) => pods(all).flatMap(pod => pod.containers)
const config = (all: Manifest[], release = 'sallyport') =>
  JSON.parse(pick(all, 'ConfigMap', `${release}-controller`).data['controller.json'])
const environment = (all: Manifest[], release = 'sallyport'): Record<string, string> =>
  Object.fromEntries(
    pick(all, 'Deployment', `${release}-operator`).spec.template.spec.containers[0].env.map(
      ({ name, value }: { name: string; value: string }) => [name, value],
    ),
  )

describeChart('the chart', () => {
  it.each(CASES)('lints, strictly: %s', async (_, values) => {
    const { code, stdout, stderr } = await helm(['lint', '--strict', CHART], values)
    expect(`${stdout}${stderr}`).toContain('0 chart(s) failed')
    expect(code).toBe(0)
  })

  it.each(CASES)('renders the same bytes twice: %s', async (name, values) => {
    expect(await template(values)).toBe(await text(name))
  })

  it.each(CASES)('runs every pod restricted, with a read-only root, requests and limits: %s', async name => {
    const all = await objects(name)
    for (const { securityContext, enableServiceLinks } of pods(all)) {
      expect(enableServiceLinks).toBe(false)
      expect(securityContext).toMatchObject({
        runAsNonRoot: true,
        runAsUser: 65532,
        seccompProfile: { type: 'RuntimeDefault' },
      })
    }
    expect(containers(all).length).toBeGreaterThan(0)
    for (const { securityContext, resources } of containers(all)) {
      expect(securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      })
      expect(resources).toMatchObject({
        requests: { memory: expect.any(String) },
        limits: { memory: expect.any(String) },
      })
    }
  })

  it.each(CASES)('probes what goes on running, and never asks for the image "latest": %s', async name => {
    const all = await objects(name)
    for (const { spec } of ofKind(all, 'Deployment')) {
      for (const { livenessProbe, readinessProbe } of spec.template.spec.containers) {
        expect([livenessProbe.httpGet.path, readinessProbe.httpGet.path]).toEqual(['/healthz', '/readyz'])
      }
    }
    for (const { image } of containers(all)) expect(image).toMatch(/@sha256:[0-9a-f]{64}$|:(?!latest$)[\w.-]+$/)
  })

  it.each(CASES)('labels every object, and selects pods by labels that they have: %s', async name => {
    const all = await objects(name)
    for (const manifest of all) {
      expect(manifest.metadata.labels, nameOf(manifest)).toMatchObject({
        'app.kubernetes.io/name': 'sallyport',
        'app.kubernetes.io/instance': 'sallyport',
        'app.kubernetes.io/component': expect.any(String),
        'app.kubernetes.io/managed-by': 'Helm',
        'app.kubernetes.io/version': '0.1.0',
      })
    }
    for (const { spec } of ofKind(all, 'Deployment')) {
      expect(spec.template.metadata.labels).toMatchObject(spec.selector.matchLabels)
    }
  })

  it.each(CASES)('names everything after the release, so that two stand side by side: %s', async (name, values) => {
    const all = await objects(name)
    const beside = await render(values, { name: 'other' })
    const elsewhere = await render(values, { namespace: 'b' })
    const id = (manifest: Manifest) => `${nameOf(manifest)} ${manifest.metadata.namespace}`
    const names = new Set([...all, ...beside, ...elsewhere].map(id))
    expect(names.size).toBe(all.length + beside.length + elsewhere.length)
    for (const manifest of beside) expect(nameOf(manifest)).toContain('other')
  })

  it.each(CASES)('gives the Controller a configuration that it accepts: %s', async name => {
    const all = await objects(name)
    if (ofKind(all, 'Deployment').every(({ metadata }) => metadata.name !== 'sallyport-controller')) return
    expect(() => configFrom(config(all))).not.toThrow()
  })

  it.each(CASES)(
    'gives the operator settings that it accepts, and the token that the Controller asks for: %s',
    async name => {
      const all = await objects(name)
      const read = readConfig([], environment(all))
      expect(read).toMatchObject({ namespace: 'sallyport', provider: { kind: 'kubernetes', leaderElection: true } })
      expect(read.managedNamespaces).toContain('sallyport')
      const { volumes } = pick(all, 'Deployment', 'sallyport-operator').spec.template.spec
      expect(
        volumes.find(({ name }: { name: string }) => name === 'token').projected.sources[0].serviceAccountToken
          .audience,
      ).toBe(read.controller.audience)
      if (all.some(manifest => nameOf(manifest) === 'ConfigMap sallyport-controller')) {
        expect(config(all).tenants[0].operators[0]).toEqual({
          jwks: 'inCluster',
          subject: 'system:serviceaccount:sallyport:sallyport-operator',
          audience: read.controller.audience,
          source: 'sallyport/sallyport',
        })
      }
    },
  )

  it.each(CASES)('reads no Secret and mounts no directory of the host: %s', async name => {
    const all = await objects(name)
    expect(ofKind(all, 'Secret')).toEqual([])
    for (const pod of pods(all))
      expect(pod.volumes?.some((volume: object) => 'hostPath' in volume) ?? false).toBe(false)
  })

  it('runs two operators that one node does not take down together, and one Controller at a time', async () => {
    const all = await objects('defaults')
    const operator = pick(all, 'Deployment', 'sallyport-operator').spec
    expect(operator.replicas).toBe(2)
    expect(operator.template.spec.topologySpreadConstraints).toEqual([
      {
        maxSkew: 1,
        topologyKey: 'kubernetes.io/hostname',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: operator.selector.matchLabels },
      },
    ])
    expect(pick(all, 'PodDisruptionBudget', 'sallyport-operator').spec).toEqual({
      maxUnavailable: 1,
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: operator.selector,
    })
    const controller = pick(all, 'Deployment', 'sallyport-controller').spec
    expect([controller.replicas, controller.strategy]).toEqual([1, { type: 'Recreate' }])
  })

  it('waits for what the operator makes, and never takes it for optional', async () => {
    const { volumes } = pick(await objects('defaults'), 'Deployment', 'sallyport-controller').spec.template.spec
    expect(volumes).toContainEqual({
      name: 'tls',
      secret: { secretName: 'sallyport-controller-tls', defaultMode: 0o440 },
    })
    expect(volumes).toContainEqual({
      name: 'store-key',
      secret: { secretName: 'sallyport-store-key', defaultMode: 0o440 },
    })
    expect(volumes).toContainEqual({ name: 'login', configMap: { name: 'sallyport-login' } })
  })

  it('waits for the CA where others make it, and mounts no key of it', async () => {
    const mounted = async (name: string) =>
      pick(await objects(name), 'Deployment', 'sallyport-operator').spec.template.spec.volumes.find(
        (volume: { name: string }) => volume.name === 'ca',
      )
    const secret = { secretName: 'sallyport-ca', defaultMode: 0o440, items: [{ key: 'tls.crt', path: 'tls.crt' }] }
    expect(await mounted('a CA of their own')).toEqual({ name: 'ca', secret })
    expect(await mounted('cert-manager')).toEqual({ name: 'ca', secret })
    expect(await mounted('defaults')).toBeUndefined()
    const { spec } = pick(await objects('cert-manager'), 'Certificate', 'sallyport-ca')
    expect(spec).toMatchObject({ isCA: true, secretName: 'sallyport-ca', duration: '87600h', renewBefore: '52560h' })
  })

  it('keeps the database when the release goes', async () => {
    const all = await objects('the try-out on a node without a provisioner')
    for (const kind of ['PersistentVolumeClaim', 'PersistentVolume']) {
      const [volume] = ofKind(all, kind)
      expect(volume?.metadata.annotations).toMatchObject({ 'helm.sh/resource-policy': 'keep' })
    }
    expect(ofKind(await objects('a claim that exists'), 'PersistentVolumeClaim')).toEqual([])
  })

  it('restarts the Controller for a change of its configuration, and nothing for a change of the labels of others', async () => {
    const pod = (all: Manifest[], name: string) => pick(all, 'Deployment', `sallyport-${name}`).spec.template
    const [before, after] = [await objects('defaults'), await render({ admins: ['ada@example.com'] })]
    expect(pod(after, 'controller')).not.toEqual(pod(before, 'controller'))
    expect(pod(after, 'operator')).toEqual(pod(before, 'operator'))
  })

  it('writes the public URL where one is given, and leaves it to the operator where none is', async () => {
    const url = async (name: string) => {
      const { url, urlFile } = config(await objects(name))
      return url ?? urlFile
    }
    expect(await url('defaults')).toBe('/var/run/sallyport/login/url')
    expect(environment(await objects('defaults'))).toMatchObject({
      SALLYPORT_CONTROLLER_SERVICE: 'sallyport-controller',
    })
    expect(environment(await objects('behind an Ingress'))).not.toHaveProperty('SALLYPORT_CONTROLLER_SERVICE')
    expect(await url('everything about Services')).toBe('https://access.example.com')
    expect(await url('behind an Ingress')).toBe('https://access.example.com')
    expect(await url('behind a Gateway that ends TLS')).toBe('https://access.example.com')
  })

  it('mounts client secrets as files of their provider, and writes none down', async () => {
    const all = await objects('people of two providers and two tenants')
    const [first, second] = config(all).tenants
    expect(first.identityProviders[0].clientSecretFile).toBe('/var/run/sallyport/identity-provider/default.corp')
    expect(first.identityProviders[1]).not.toHaveProperty('clientSecretFile')
    expect(second.identityProviders[0].clientSecretFile).toBe('/var/run/sallyport/identity-provider/lab.corp')
    const { volumes } = pick(all, 'Deployment', 'sallyport-controller').spec.template.spec
    expect(volumes.find(({ name }: { name: string }) => name === 'identity-provider').projected.sources).toEqual(
      ['default.corp', 'lab.corp'].map(path => ({
        secret: { name: 'corp-oidc', items: [{ key: 'secret', path }] },
      })),
    )
  })

  it('takes images by digest, by tag, and from a registry', async () => {
    const all = await objects('images by digest from a registry of their own')
    expect(containers(all).every(({ image }) => image.startsWith('registry.example.com/mirror/sallyport/'))).toBe(true)
    expect(pods(all).every(({ imagePullSecrets }) => imagePullSecrets[0].name === 'regcred')).toBe(true)
    expect(environment(all)).toMatchObject({
      SALLYPORT_RELAY_IMAGE: 'registry.example.com/mirror/sallyport/relay:1.2.3',
      SALLYPORT_CONNECTOR_IMAGE: 'registry.example.com/mirror/ours/connector:0.1.0',
    })
  })

  it('routes a host and its capabilities to each replica of a Relay', async () => {
    const routes = ofKind(await objects('behind a Gateway that passes TLS through'), 'TLSRoute')
    const relays = routes.filter(({ metadata }) => metadata.name.includes('edge'))
    expect(relays.map(({ spec }) => spec.hostnames)).toEqual(
      [0, 1, 2].map(index => [`relay-${index}.example.com`, `*.relay-${index}.example.com`]),
    )
    expect(relays.map(({ spec }) => spec.rules[0].backendRefs)).toEqual(
      [0, 1, 2].map(index => [{ name: `sallyport-edge-${index}`, port: 8443 }]),
    )
  })

  it('makes Roles only, and none outside of the namespaces that it names, where namespaces are watched', async () => {
    const all = (await objects('Roles only')).filter(({ kind }) => ROLES.includes(kind))
    expect([...new Set(all.map(({ kind }) => kind))].sort()).toEqual(['Role', 'RoleBinding'])
    expect([...new Set(all.map(({ metadata }) => metadata.namespace))].sort()).toEqual([
      'apps',
      'data',
      'networks',
      'sallyport',
    ])
  })

  it('gives no ClusterRole a Secret, and Secrets in managed namespaces only', async () => {
    const all = await objects('several managed namespaces')
    const secrets = all
      .filter(({ rules }) => rules?.some(({ resources }: { resources: string[] }) => resources.includes('secrets')))
      .map(({ kind, metadata }) => `${kind} ${metadata.namespace}`)
    expect(secrets.sort()).toEqual(['Role networks', 'Role sallyport'])
  })

  it('gives no rule a wildcard', async () => {
    for (const name of Object.keys(MATRIX)) {
      for (const { rules = [] } of await objects(name)) expect(JSON.stringify(rules)).not.toContain('*')
    }
  })

  it('lets nobody dial a Connector but for metrics, and lets a Relay dial nobody', async () => {
    const all = await objects('watched and fenced')
    const from = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }]
    const metrics = { ports: [{ port: 9090, protocol: 'TCP' }], from }
    const serving = { ports: [{ port: 8443, protocol: 'TCP' }] }
    const policy = (name: string) => pick(all, 'NetworkPolicy', name).spec
    expect(policy('sallyport-sallyport-connector')).toMatchObject({ policyTypes: ['Ingress'], ingress: [metrics] })
    expect(policy('sallyport-sallyport-relay')).toMatchObject({
      policyTypes: ['Ingress', 'Egress'],
      ingress: [serving, metrics],
    })
    expect(policy('sallyport-sallyport-relay')).not.toHaveProperty('egress')
    expect(policy('sallyport-controller').ingress).toEqual([serving, metrics])
    expect(policy('sallyport-operator').ingress).toEqual([metrics])
  })

  it.each([
    ['behind an Ingress', 'false'],
    ['behind a Gateway that ends TLS', 'false'],
    ['behind a Gateway that passes TLS through', undefined],
    ['defaults', undefined],
  ])("pins the installation's CA at login only where people see its certificates: %s", async (name, pin) => {
    const { SALLYPORT_LOGIN_PIN } = environment(await objects(name))
    expect(SALLYPORT_LOGIN_PIN).toBe(pin)
  })

  it('stands as plain manifests too: the definitions with it, no hooks', async () => {
    const all = await render({}, { flags: ['--include-crds', '--no-hooks'] })
    expect(ofKind(all, 'CustomResourceDefinition')).toHaveLength(5)
    expect(ofKind(all, 'Job')).toEqual([])
  })
})
