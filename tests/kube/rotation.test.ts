/** Everything that is renewed is renewed while a Client asks all the time: not one request fails. `ROTATIONS` (1) multiplies the renewals. */
import { X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  ADA,
  byConnect,
  Device,
  type DnsServer,
  freePorts,
  GREETING,
  httpGet,
  type PrivateService,
  startDnsServer,
  startWebService,
  WEB_HOST,
} from '@sallyport/testkit'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Cluster, describeKube, eventually } from './cluster.ts'
import { KubeInstallation, NAMESPACE, object } from './installation.ts'
import { Kubelet } from './kubelet.ts'

/** Lives of what is renewed, in seconds. A CA is renewed at half of its life, a certificate too. */
const CA_SECONDS = 90
const CERTIFICATE_SECONDS = 30
const [KEY_SECONDS, ANNOUNCE_SECONDS, ACTIVATION_SECONDS] = [60, 15, 10]
const ROTATIONS = Number(process.env.ROTATIONS ?? 1)
/** Renewals to wait for. */
const WANTED = {
  ca: 2 * ROTATIONS,
  controller: 6 * ROTATIONS,
  relay: 6 * ROTATIONS,
  signingKey: ROTATIONS,
  relayKey: ROTATIONS,
}
/** Pause between two requests, longer than a session without a stream is kept: each request makes a tunnel of its own. */
const PAUSE_MS = 1_300
const IDLE_SECONDS = 1
/** A device may ask the Controller 30 times a minute. */
const QUESTION_MS = 3_000

const TIMEOUT_MS = 1_200_000

describeKube('what is renewed', cluster => {
  let installation: KubeInstallation
  let kubelet: Kubelet
  let web: PrivateService
  let dns: DnsServer
  let device: Device
  let proxy: number
  let firstCa: string
  const controller = {
    signingKeys: { rotationSeconds: KEY_SECONDS, announceSeconds: ANNOUNCE_SECONDS },
    relayKeys: { rotationSeconds: KEY_SECONDS, activationSeconds: ACTIVATION_SECONDS },
    acl: { defaultLifetimeSeconds: 30 },
    login: { accessTokenSeconds: 10 },
  }

  beforeAll(async () => {
    web = await startWebService(GREETING)
    dns = await startDnsServer({ [WEB_HOST]: ['127.0.0.1'] })
    const [relayPort] = (await freePorts(1)) as [number]
    installation = await KubeInstallation.prepare(cluster())
    kubelet = new Kubelet(cluster().kubeconfig)
    await installation.startOperator({
      'ca-seconds': String(CA_SECONDS),
      'certificate-seconds': String(CERTIFICATE_SECONDS),
    })
    await installation.startController({ ...controller, tenants: [await tenant(cluster())] })
    const tls = join(installation.dir, 'sallyport-controller-tls')
    kubelet.mount('sallyport-controller-tls', tls)
    firstCa = kubelet.seen('sallyport-ca', 'tls.crt')[0]!

    const relay = `127.0.0.1:${relayPort}`
    await installation.apply(
      object('RemoteNetwork', 'office', { connectors: { replicas: 0 }, guardExceptions: ['127.0.0.0/8'] }),
      object('Relay', 'edge', { deployment: 'External', replicas: 1, address: { list: [relay] } }),
      object('Connector', 'office-a', { remoteNetworkRef: { name: 'office' }, deployment: 'External' }),
      object('Group', 'staff', { members: [ADA] }),
      object('Resource', 'web', {
        remoteNetworkRef: { name: 'office' },
        address: WEB_HOST,
        protocols: { tcp: { policy: 'Restricted', ports: [{ start: web.port, end: web.port }] } },
        access: [{ group: 'staff' }],
      }),
    )
    await installation.startRelay('edge-0', relay)
    kubelet.mount('edge-0', join(installation.dir, 'relay/edge-0'))
    await installation.startConnector('office-a', 'state', { SALLYPORT_RESOLVER: dns.address })
    kubelet.mount('office-a', join(installation.dir, 'connector/office-a'))
    await installation.condition('Resource', 'web', { type: 'Ready', status: 'True', timeoutMs: 60_000 })

    const environment = { SALLYPORT_SESSION_IDLE_SECONDS: String(IDLE_SECONDS) }
    device = new Device({ home: join(installation.dir, 'ada'), environment })
    const caFile = join(installation.dir, 'first-ca.crt')
    writeFileSync(caFile, readFileSync(join(tls, 'ca.crt')))
    const { data } = (await installation.find('ConfigMap', 'sallyport-login'))!
    await device.login(data!.login!, ADA, caFile)
    proxy = (await device.proxies()).http
  }, 240_000)
  afterAll(async () => {
    await device?.close()
    await kubelet?.close()
    await installation?.close()
    await Promise.all([web, dns].map(service => service?.close()))
  })

  const get = () => httpGet(byConnect(proxy), WEB_HOST, web.port).then(({ body }) => body.toString())
  const countOf = () => ({
    ca: kubelet.seen('sallyport-ca', 'tls.crt').length - 1,
    controller: kubelet.seen('sallyport-controller-tls', 'tls.crt').length - 1,
    relay: kubelet.seen('edge-0', 'tls.crt').length - 1,
    signingKey: keysOf(kubelet.seen('office-a', 'trust.json'), trust =>
      trust.jwks.clientAcl.keys.map(({ kid }) => kid),
    ),
    relayKey: keysOf(kubelet.seen('edge-0', 'relay.json'), relay => relay.keys.map(({ id }) => id)),
  })

  it('is renewed under requests of which none fails', { timeout: TIMEOUT_MS }, async () => {
    const failures: string[] = []
    let [served, tunnels] = [0, 0]
    let isOver = false
    const network = (await installation.find('RemoteNetwork', 'office'))!.metadata.uid
    const ask = async (what: string, once: () => Promise<unknown>, pauseMs = PAUSE_MS) => {
      while (!isOver) {
        await once().catch(error => failures.push(`${new Date().toISOString()} ${what}: ${error}`))
        await new Promise(resolve => setTimeout(resolve, pauseMs))
      }
    }
    const asked = [
      ask('a request', async () => {
        expect(await get()).toBe(`${GREETING}\n`)
        served++
        tunnels++
      }),
      // What is no Resource is asked of the Controller, with a token that is renewed as often as can be.
      ask(
        'a question',
        async () => {
          expect((await device.json(['why', 'elsewhere.example.com:80'])).reason).toBe('no_such_name')
          served++
        },
        QUESTION_MS,
      ),
      ask('the operator', async () => {
        expect(await installation.rowExists('networks', network)).toBe(true)
        served++
      }),
    ]
    await eventually(
      `renewals ${JSON.stringify(WANTED)}`,
      () => {
        const counts: Record<string, number> = countOf()
        const isRenewed = Object.entries(WANTED).every(([what, wanted]) => counts[what]! >= wanted)
        return isRenewed && hasEnded(firstCa) ? true : undefined
      },
      TIMEOUT_MS,
    ).finally(() => {
      isOver = true
    })
    await Promise.all(asked)
    console.log(`${served} requests, ${tunnels} through tunnels of their own, during ${JSON.stringify(countOf())}`)
    expect(failures).toEqual([])
    expect(tunnels).toBeGreaterThan(0)
  })

  it('leaves the login good whose CA certificate has ended meanwhile, and the pin that it was made with', async () => {
    expect(hasEnded(firstCa)).toBe(true)
    await installation.controller?.close()
    await installation.startController({ ...controller, tenants: [await tenant(cluster())] })
    await installation.condition('Connector', 'office-a', { type: 'ControllerConnected', status: 'True' })
    await eventually('the Client at the Controller', async () => {
      return (await device.json(['status'])).state === 'connected' ? true : undefined
    })
    expect(await get()).toBe(`${GREETING}\n`)
    const pins = kubelet
      .seen('sallyport-ca', 'tls.crt')
      .map(pem => new X509Certificate(pem).publicKey.export({ format: 'jwk' }))
    expect(new Set(pins.map(({ x }) => x)).size).toBe(1)
  })
})

const hasEnded = (pem: string) => new X509Certificate(pem).validToDate.getTime() < Date.now()

/** How many keys beyond the first have been seen in any version of a file. */
function keysOf(files: string[], keys: (file: Trust & { keys: { id: string }[] }) => string[]): number {
  return new Set(files.flatMap(file => keys(JSON.parse(file)))).size - 1
}
type Trust = { jwks: { clientAcl: { keys: { kid: string }[] } } }

async function tenant(cluster: Cluster) {
  const { keys } = JSON.parse(await cluster.kube(['get', '--raw', '/openid/v1/jwks']))
  const { issuer } = JSON.parse(await cluster.kube(['get', '--raw', '/.well-known/openid-configuration']))
  const subject = `system:serviceaccount:${NAMESPACE}:sallyport-operator`
  return {
    name: 'default',
    operators: [{ issuer, jwks: { keys }, subject, source: 'kube' }],
    identityProviders: [{ name: 'tryout', type: 'embedded' as const, embedded: true, accounts: [{ email: ADA }] }],
  }
}
