/**
 * `kubectl apply -k` of the quickstart on a real API server: to the first byte through Relay and Connector, and back to none. The time of
 * each edit is printed; `ROUNDS` says how many there are.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  ADA,
  bySocks,
  Device,
  type DnsServer,
  GREETING,
  httpGet,
  type PrivateService,
  startDnsServer,
  startEchoService,
  startWebService,
  TCP_GREETING,
  TCP_HOST,
  WEB_HOST,
} from '@sallyport/testkit'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Cluster, describeKube, eventually } from './cluster.ts'
import { KubeInstallation, NAMESPACE, object } from './installation.ts'

const OVERLAY = join(import.meta.dirname, '../../examples/quickstart/overlays/loopback')
/** Ports and addresses as the quickstart's files have them. */
const [WEB_PORT, TCP_PORT] = [8080, 9000]
const RELAYS = ['127.0.0.1:17443', '127.0.0.1:17444']
const ROUNDS = Number(process.env.ROUNDS ?? 5)
const ALL_KINDS = 'remotenetworks,connectors,resources,groups,relays'

describeKube('kubectl apply -k of the quickstart', cluster => {
  let installation: KubeInstallation
  let web: PrivateService
  let tcp: PrivateService
  let dns: DnsServer
  let device: Device
  let socks: number

  beforeAll(async () => {
    ;[web, tcp] = await Promise.all([startWebService(GREETING, WEB_PORT), startEchoService(TCP_GREETING, TCP_PORT)])
    dns = await startDnsServer({ [WEB_HOST]: ['127.0.0.1'], [TCP_HOST]: ['127.0.0.1'] })
    installation = await KubeInstallation.prepare(cluster())
    await installation.startOperator()
    await installation.startController({ tenants: [await tenant(cluster())] })
  })
  afterAll(async () => {
    await device?.close()
    await installation?.close()
    await Promise.all([web, tcp, dns].map(service => service?.close()))
  })

  const get = () => httpGet(bySocks(socks), WEB_HOST, WEB_PORT).then(({ body }) => body.toString())
  const applyMembers = (members: string[]) =>
    installation.apply(object('Group', 'developers', { displayName: 'Developers', members }))

  it('makes every kind Ready', async () => {
    await cluster().kube(['apply', '-n', NAMESPACE, '-k', OVERLAY])
    for (const [index, address] of RELAYS.entries()) await installation.startRelay(`relay-${index}`, address)
    for (const name of ['office-a', 'office-b']) {
      await installation.startConnector(name, 'state', { SALLYPORT_RESOLVER: dns.address })
    }
    const wait = ['wait', '--for=condition=Ready', '-n', NAMESPACE, '--all', '--timeout=55s', ALL_KINDS]
    expect(await cluster().kubectl(wait)).toMatchObject({ code: 0, stderr: '' })
  })

  it('lets a byte through', async () => {
    // Keeps Ada invited while she is in no Group that grants anything.
    await installation.apply(object('Group', 'staff', { members: [ADA] }))
    device = new Device({ home: join(installation.dir, 'ada'), environment: {} })
    const ca = join(installation.dir, 'sallyport-controller-tls', 'ca.crt')
    await device.login(`${installation.url}#sha256:${pinOf(readFileSync(ca))}`, ADA, ca)
    socks = (await device.proxies()).socks
    expect(
      await get().catch(async error => `${error}\n${(await device.run(['why', `${WEB_HOST}:${WEB_PORT}`])).stdout}`),
    ).toBe(`${GREETING}\n`)
  })

  it.each([
    ['client-side', []],
    ['server-side', ['--server-side', '--force-conflicts']],
  ])('shows no difference after a %s apply, and a second one makes nobody write', async (_, side) => {
    await cluster().kube(['apply', ...side, '-n', NAMESPACE, '-k', OVERLAY])
    await installation.settled()
    const [writes, rows] = [installation.operatorWrites().length, await installation.rowWrites()]
    expect(await cluster().kubectl(['diff', ...side, '-n', NAMESPACE, '-k', OVERLAY])).toMatchObject({
      code: 0,
      stdout: '',
    })
    await cluster().kube(['apply', ...side, '-n', NAMESPACE, '-k', OVERLAY])
    await installation.settled()
    expect(installation.operatorWrites().slice(writes)).toEqual([])
    expect((await installation.rowWrites()) - rows).toBe(0)
  })

  it('gives and takes access by an edit of the Group', { timeout: 300_000 }, async () => {
    const times: Record<'granted' | 'cutAtClient' | 'cutAtService', number[]> = {
      granted: [],
      cutAtClient: [],
      cutAtService: [],
    }
    for (let round = 0; round < ROUNDS; round++) {
      const stream = await bySocks(socks)(WEB_HOST, WEB_PORT)
      stream.write(`GET /slow?bytes=1000000000 HTTP/1.1\r\nHost: ${WEB_HOST}\r\n\r\n`)
      await new Promise(resolve => stream.once('data', resolve))
      stream.on('error', () => {})
      stream.resume()
      const cutAtClient = new Promise<number>(resolve => stream.once('close', () => resolve(performance.now())))
      const revoked = performance.now()
      await applyMembers([])
      times.cutAtClient.push((await cutAtClient) - revoked)
      await eventually('the service to lose its connection', async () => (web.open() === 0 ? true : undefined))
      times.cutAtService.push(performance.now() - revoked)
      const accepted = web.accepted()
      await expect(get()).rejects.toThrow('SOCKS reply 2')
      expect(web.accepted()).toBe(accepted)

      const granted = performance.now()
      await applyMembers([ADA])
      await untilGranted(get)
      times.granted.push(performance.now() - granted)
    }
    for (const [what, values] of Object.entries(times))
      console.log(`${what}: ${summary(values)}, kubectl's own time included`)
  })
})

/** Asks again until it is answered; reads only. */
async function untilGranted(get: () => Promise<string>): Promise<void> {
  const end = performance.now() + 20_000
  while (
    await get().then(
      () => false,
      () => true,
    )
  )
    if (performance.now() > end) throw new Error('access did not come back within 20 s')
}

function summary(ms: number[]): string {
  const sorted = [...ms].sort((a, b) => a - b)
  const at = (share: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]!)
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, ${ms.length} runs`
}

async function tenant(cluster: Cluster) {
  const { keys } = JSON.parse(await cluster.kube(['get', '--raw', '/openid/v1/jwks']))
  const { issuer } = JSON.parse(await cluster.kube(['get', '--raw', '/.well-known/openid-configuration']))
  return {
    name: 'default',
    operators: [
      { issuer, jwks: { keys }, subject: `system:serviceaccount:${NAMESPACE}:sallyport-operator`, source: 'kube' },
    ],
    identityProviders: [{ name: 'tryout', type: 'embedded' as const, embedded: true, accounts: [{ email: ADA }] }],
  }
}

/** SHA-256 of the key of a CA, as `sallyport login` takes it. */
function pinOf(caPem: Buffer): string {
  const spki = new X509Certificate(caPem).publicKey.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(spki).digest('hex')
}
