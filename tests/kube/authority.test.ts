/** What the operator makes for the installation itself, with the rights that the chart gives it: CA, certificates, the way to log in. */
import { X509Certificate } from 'node:crypto'
import { createCa, generateKeyPair, issueServingCertificate, pinOf, privateKeyToPem } from '@sallyport/trust'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { parseLoginUrl } from '../../client/src/login/login-url.ts'
import { describeKube, eventually } from './cluster.ts'
import { KubeInstallation, NAMESPACE, object } from './installation.ts'

const SERVICE = 'sallyport-controller'
const [CA, TLS, LOGIN] = ['sallyport-ca', 'sallyport-controller-tls', 'sallyport-login']
const STORE_KEY = 'sallyport-store-key'
const NODE_PORT = 30443

describeKube('the installation', cluster => {
  let installation: KubeInstallation
  beforeAll(async () => {
    installation = await KubeInstallation.prepare(cluster())
  })
  afterAll(() => installation.close())
  afterEach(async () => {
    await installation.stopOperator()
    await cluster().kube([
      'delete',
      'secret,configmap',
      '-n',
      NAMESPACE,
      '--ignore-not-found',
      CA,
      TLS,
      LOGIN,
      'edge-0',
    ])
  })

  const entry = async (name: string, key: string) => {
    const text = (await installation.find('Secret', name))?.data?.[key]
    return text === undefined ? undefined : Buffer.from(text, 'base64').toString()
  }
  const loginOf = async () => (await installation.find('ConfigMap', LOGIN))?.data
  const told = (url: string) =>
    eventually(`the login URL ${url}`, async () => {
      const login = await loginOf()
      return login?.url === url ? login : undefined
    })
  const certified = (name: string) =>
    eventually(`a certificate for ${name}`, async () => {
      const pem = await entry(TLS, 'tls.crt')
      return pem !== undefined && new X509Certificate(pem).subjectAltName?.includes(name) ? pem : undefined
    })
  const secret = (name: string, type: string, entries: Record<string, string>) => ({
    ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: NAMESPACE }, type },
    stringData: entries,
  })

  describe('whose public URL is derived from a Service', () => {
    const node = async (name: string, address: string) => {
      await installation.apply({ apiVersion: 'v1', kind: 'Node', metadata: { name } })
      const status = { addresses: [{ type: 'InternalIP', address }] }
      await cluster().kube(['patch', 'node', name, '--subresource=status', '-p', JSON.stringify({ status })])
    }

    it('is told how to log in: in the cluster, by a Node, by the load balancer, as one comes after the other', {
      timeout: 180_000,
    }, async () => {
      await installation.startOperator({ 'controller-service': SERVICE })
      await told(installation.url)
      await installation.apply({
        ...{ apiVersion: 'v1', kind: 'Service', metadata: { name: SERVICE, namespace: NAMESPACE } },
        spec: { type: 'LoadBalancer', selector: { a: 'b' }, ports: [{ port: 8443, nodePort: NODE_PORT }] },
      })
      await node('node-b', '10.0.0.2')
      const byNode = `https://10.0.0.2:${NODE_PORT}`
      const { login = '' } = await told(byNode)
      await certified('IP Address:10.0.0.2')
      const ca = new X509Certificate((await entry(CA, 'ca.crt'))!)
      expect(parseLoginUrl(login)).toEqual({
        url: byNode,
        pin: new Uint8Array(Buffer.from(pinOf(ca.publicKey), 'base64url')),
      })

      await node('node-a', '10.0.0.1')
      await installation.settled()
      expect((await loginOf())?.url).toBe(byNode)

      const status = { loadBalancer: { ingress: [{ hostname: 'controller.example.com' }] } }
      const patch = ['--subresource=status', '-p', JSON.stringify({ status })]
      await cluster().kube(['patch', 'service', SERVICE, '-n', NAMESPACE, ...patch])
      await told('https://controller.example.com:8443')
      await certified('DNS:controller.example.com')
      await installation.settled()
      const writes = installation.operatorWrites().length
      await installation.stopOperator()
      await installation.startOperator({ 'controller-service': SERVICE })
      await installation.settled()
      expect(installation.operatorWrites().slice(writes)).toEqual([])
    })
  })

  describe('with a CA of one’s own', () => {
    const [keys, life] = [generateKeyPair(), { nowMs: Date.now(), lifeSeconds: 86_400 }]
    const ca = createCa({ commonName: 'ours', keys }, life)
    const entries = { 'tls.crt': ca.certificatePem, 'tls.key': privateKeyToPem(ca.privateKey) }

    it('issues under it, pins it, and never writes it', { timeout: 120_000 }, async () => {
      await installation.apply(secret(CA, 'kubernetes.io/tls', entries))
      const { resourceVersion } = (await installation.find('Secret', CA))!.metadata
      await installation.startOperator({ 'resync-seconds': '1' })
      const certificate = new X509Certificate(await certified('127.0.0.1'))
      expect(certificate.verify(keys.publicKey)).toBe(true)
      expect((await told(installation.url)).login).toBe(`${installation.url}#sha256:${pinOf(keys.publicKey)}`)
      await eventually('a resync', async () => ((await installation.resyncs()) > 0 ? true : undefined))
      await installation.settled()
      expect((await installation.find('Secret', CA))?.metadata.resourceVersion).toBe(resourceVersion)
    })

    it('issues nothing under what is no CA, and does not replace it', { timeout: 120_000 }, async () => {
      const broken = { ...entries, 'tls.key': privateKeyToPem(generateKeyPair().privateKey) }
      await installation.apply(secret(CA, 'kubernetes.io/tls', broken))
      await installation.startOperator()
      await eventually('the failure', async () => {
        const metric = await installation.metrics.registry.getSingleMetric('sallyport_operator_failures_total')?.get()
        return metric?.values.some(({ labels }) => labels.kind === 'authority') ? true : undefined
      })
      const events = ['get', 'events', '-n', NAMESPACE, '--field-selector', `involvedObject.name=${CA}`, '-o']
      const told = await installation.cluster.kube([...events, 'jsonpath={.items[*].reason}: {.items[*].message}'])
      expect(told).toMatch(/^AuthorityUnusable: the CA of Secret sallyport-ca cannot be used: /)
      expect(await entry(TLS, 'tls.crt')).toBeUndefined()
      expect(await entry(CA, 'tls.key')).toBe(broken['tls.key'])
    })
  })

  describe('with certificates that others issue', () => {
    const life = { nowMs: Date.now(), lifeSeconds: 86_400 }
    const ca = createCa({ commonName: 'theirs' }, life)
    const issued = (name: string, dnsNames: string[], ipAddresses: string[] = []) => {
      const { publicKey, privateKey } = generateKeyPair()
      const certificate = issueServingCertificate(ca, { publicKey, dnsNames, ipAddresses }, life)
      const pair = { 'tls.crt': certificate, 'tls.key': privateKeyToPem(privateKey) }
      return secret(name, 'kubernetes.io/tls', { ...pair, 'ca.crt': ca.certificatePem })
    }

    it('trusts their CA, leaves the Controller’s certificate as it is, and hands each Relay its own', {
      timeout: 180_000,
    }, async () => {
      const own = issued(TLS, ['controller.test'], ['127.0.0.1'])
      await installation.apply(own)
      await installation.startOperator({ certificates: 'external' })
      await told(installation.url)
      expect(await entry(CA, 'ca.crt')).toBe(ca.certificatePem)
      expect(await entry(CA, 'tls.key')).toBeUndefined()
      expect(await entry(TLS, 'tls.crt')).toBe(own.stringData['tls.crt'])

      await installation.startController()
      await installation.apply(
        object('Relay', 'edge', { deployment: 'External', replicas: 1, address: { list: ['edge.test:7443'] } }),
      )
      await installation.condition('Relay', 'edge', {
        type: 'Available',
        status: 'False',
        reason: 'CertificatePending',
      })
      expect(await entry('edge-0', 'tls.crt')).toBeUndefined()
      const theirs = issued('edge-0-tls', ['edge.test'])
      await installation.apply(theirs)
      await eventually('the certificate at the Relay', async () =>
        (await entry('edge-0', 'tls.crt')) === theirs.stringData['tls.crt'] ? true : undefined,
      )
      const renewed = issued('edge-0-tls', ['edge.test'])
      await installation.apply(renewed)
      await eventually('the renewed certificate at the Relay', async () =>
        (await entry('edge-0', 'tls.crt')) === renewed.stringData['tls.crt'] ? true : undefined,
      )
    })
  })

  describe('one of whose Secrets someone deletes', () => {
    const remove = (...names: string[]) => cluster().kube(['delete', 'secret', '-n', NAMESPACE, ...names])
    const anew = (name: string, key: string, uid: string) =>
      eventually(`Secret ${name} again`, async () => {
        const found = await installation.find('Secret', name)
        return found !== undefined && found.metadata.uid !== uid ? await entry(name, key) : undefined
      })

    it('has CA and store key again as they were, and another CA when that Secret was emptied', {
      timeout: 120_000,
    }, async () => {
      await installation.startOperator()
      const { login } = await told(installation.url)
      for (const [name, key] of [
        [CA, 'tls.key'],
        [STORE_KEY, 'key'],
      ] as const) {
        const { uid } = (await installation.find('Secret', name))!.metadata
        const before = await entry(name, key)
        await remove(name)
        expect(await anew(name, key, uid)).toBe(before)
      }
      await installation.settled()
      expect((await loginOf())?.login).toBe(login)
      const empty = ['--type=merge', '-p', JSON.stringify({ data: null })]
      await cluster().kube(['patch', 'secret', CA, '-n', NAMESPACE, ...empty])
      await eventually('another pin', async () => ((await loginOf())?.login !== login ? true : undefined))
    })

    it('has no other store key, if no operator ran then, as long as people are told how to log in', {
      timeout: 120_000,
    }, async () => {
      await installation.startOperator()
      await told(installation.url)
      const before = (await entry(STORE_KEY, 'key'))!
      await installation.stopOperator()
      await remove(STORE_KEY)
      await installation.startOperator()
      await eventually('the Event', async () => {
        const events = await cluster().kube(['get', 'events', '-n', NAMESPACE, '-o', 'json'])
        return events.includes('StoreKeyMissing') ? true : undefined
      })
      await installation.settled()
      expect(await entry(STORE_KEY, 'key')).toBeUndefined()
      await installation.apply(secret(STORE_KEY, 'Opaque', { key: before }))
      await installation.settled()
      expect(await entry(STORE_KEY, 'key')).toBe(before)
      await installation.stopOperator()
      await remove(STORE_KEY)
      await cluster().kube(['delete', 'configmap', LOGIN, '-n', NAMESPACE])
      await installation.startOperator()
      await eventually('another store key', () => entry(STORE_KEY, 'key'))
    })
  })

  it('gives no Relay the name of its Controller', { timeout: 120_000 }, async () => {
    await installation.startOperator({ 'controller-public-url': 'https://controller.example.com' })
    const at = (host: string) =>
      object('Relay', 'impostor', { deployment: 'External', replicas: 1, address: { list: [`${host}:7443`] } })
    await installation.apply(at('controller.example.com'))
    await installation.condition('Relay', 'impostor', { type: 'Accepted', status: 'False', reason: 'NameReserved' })
    await installation.apply(at('relay.example.com'))
    await installation.condition('Relay', 'impostor', { type: 'Accepted', status: 'True' })
  })
})
