import { X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { connect, type DetailedPeerCertificate } from 'node:tls'
import { createLog, silentLog, systemClock } from '@sallyport/runtime'
import { eventually } from '@sallyport/testkit'
import { generateKeyPair, issueServingCertificate, parseCertificate, pinOf, privateKeyToPem } from '@sallyport/trust'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { configFrom } from './config.ts'
import { startController } from './controller.ts'
import type { DeviceHand } from './test/device.ts'
import { type ControllerLab, furnish, startControllerLab } from './test/lab.ts'
import { bodies, uid } from './test/operator.ts'
import { claimsOf } from './test/payload.ts'

const warned: string[] = []
let lab: ControllerLab
let ada: DeviceHand
let eve: DeviceHand
let office: Awaited<ReturnType<typeof furnish>>
let theirs: Awaited<ReturnType<typeof furnish>>
beforeAll(async () => {
  lab = await startControllerLab({
    log: createLog('controller', 'warn', { write: (line: string) => void warned.push(line) }),
    tenants: [
      { name: 'default', accounts: ['ada@example.com', 'root@example.com'], admins: ['root@example.com'] },
      { name: 'other', accounts: ['ada@example.com', 'eve@example.org'], admins: ['eve@example.org'] },
    ],
  })
  office = await furnish(lab, ['ada@example.com'])
  theirs = await furnish(lab, ['eve@example.org'], 'other')
  ada = await lab.device('default', 'ada@example.com')
  eve = await lab.device('other', 'eve@example.org')
})
afterAll(() => lab.close())

describe('two tenants', () => {
  it('have keys, certificate authorities, people and Connectors of their own', async () => {
    const [one, two] = [ada.connect(), eve.connect()]
    await Promise.all([one.next('synced'), two.next('synced')])
    expect(one.of('trust')[0]).not.toEqual(two.of('trust')[0])
    expect(one.of('resources')[0]?.resources.map(({ uid }) => uid)).toEqual([uid('web')])
    expect(two.of('resources')[0]?.resources.map(({ uid }) => uid)).toEqual([uid('other-web')])
    const said = JSON.stringify(two.messages)
    for (const foreign of [office.connector.id, ada.id, uid('office')]) expect(said).not.toContain(foreign)
    const { acl } = two.of('network')[0]!
    expect(claimsOf<{ iss: string }>(acl).iss).toBe('sallyport://other')
    await Promise.all([one.channel.close(), two.channel.close()])
  })

  it('do not hear of changes in the other one', async () => {
    const two = theirs.connector.connect()
    await two.next('synced')
    const before = two.messages.length
    const one = office.connector.connect()
    const { revision } = await office.operator.put('resource', 'news', bodies.resource('news', 'office', ['staff']))
    await one.next('synced', synced => synced.revision >= revision)
    expect(two.messages.slice(before).filter(({ type }) => type !== 'heartbeat')).toEqual([])
    await Promise.all([one.channel.close(), two.channel.close()])
  })

  it('know the same e-mail as two people: a Group of one invites nobody into the other', async () => {
    await expect(lab.device('other', 'ada@example.com')).rejects.toThrow(/not_invited/)
  })
})

describe('why', () => {
  it('names a Resource that is visible, and no other', async () => {
    await office.operator.put('resource', 'shown', bodies.resource('shown', 'office', [], { visible: true }))
    await office.operator.put('resource', 'hidden', bodies.resource('hidden', 'office', []))
    await office.operator.get('resource', 'hidden')
    const ask = (host: string) => ada.as('GET', `/v1/why?host=${host}&port=443&protocol=tcp`)
    expect(await ask('shown.internal')).toMatchObject({ status: 200, body: { reason: 'not_granted' } })
    expect(await ask('hidden.internal')).toMatchObject({ status: 200, body: { reason: 'no_such_name' } })
    expect(await ask('nothing.internal')).toMatchObject({ status: 200, body: { reason: 'no_such_name' } })
    const root = await lab.device('default', 'root@example.com')
    const { items } = (await root.as('GET', '/v1/admin/access-log?limit=1')).body as {
      items: { email: string; record: object }[]
    }
    expect(items).toMatchObject([
      { email: 'ada@example.com', record: { event: 'denied', host: 'nothing.internal', reason: 'no_such_name' } },
    ])
  })

  it('answers one device 30 times a minute', async () => {
    const root = await lab.device('default', 'root@example.com')
    const ask = async () => (await root.as('GET', '/v1/why?host=a.b&port=1')).status
    const answers: number[] = []
    for (let count = 0; count < 31; count++) answers.push(await ask())
    expect(answers).toEqual([...Array.from({ length: 30 }, () => 200), 429])
  })
})

describe('admin pages', () => {
  it('hold what limit says, and go on where the last one ended', async () => {
    const root = await lab.device('default', 'root@example.com')
    const page = async (after = '') =>
      (await root.as('GET', `/v1/admin/audit?limit=3${after && `&after=${after}`}`)).body as {
        items: { seq: number }[]
        next?: string
      }
    const first = await page()
    expect(first.items.map(({ seq }) => seq)).toEqual([1, 2, 3])
    expect((await page(first.next)).items.map(({ seq }) => seq)).toEqual([4, 5, 6])
    await office.vacated()
    const connectors = (await root.as('GET', '/v1/admin/connectors')).body as { items: object[] }
    expect(connectors.items).toMatchObject([
      { id: uid('connector-0'), connectorId: office.connector.id, connected: false },
    ])
  })
})

describe('the serving certificate', () => {
  it('is sent with its CA, for Clients that pin that', async () => {
    const issuer = await served(({ issuerCertificate }) => issuerCertificate?.raw)
    expect(issuer?.equals(parseCertificate(lab.ca.certificatePem).raw)).toBe(true)
  })

  it('is replaced without a restart, and what does not fit is left', async () => {
    const keys = generateKeyPair()
    const life = { nowMs: systemClock.now(), lifeSeconds: 3600 }
    const names = { publicKey: keys.publicKey, dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] }
    const { certFile, keyFile } = lab.input.tls
    const old = await servedPin()
    writeFileSync(certFile, 'not a certificate')
    writeFileSync(keyFile, privateKeyToPem(keys.privateKey))
    writeFileSync(certFile, issueServingCertificate(lab.ca, names, life) + lab.ca.certificatePem)
    await eventually('the new certificate', async () => (await servedPin()) === pinOf(keys.publicKey))
    expect(old).not.toBe(pinOf(keys.publicKey))
    const refused = () => warned.filter(line => line.includes('the new serving certificate is not usable')).length
    const before = refused()
    writeFileSync(keyFile, privateKeyToPem(generateKeyPair().privateKey))
    await eventually('the unfit key to be seen', () => refused() > before)
    expect(await servedPin()).toBe(pinOf(keys.publicKey))
    writeFileSync(keyFile, privateKeyToPem(keys.privateKey))
  })
})

describe('health', () => {
  it('is told on the metrics port, with metrics, and on the main one without', async () => {
    for (const path of ['/healthz', '/readyz'])
      expect((await plain(`http://${lab.metricsAddress}${path}`)).status).toBe(200)
    expect((await lab.call('GET', '/readyz')).body).toMatchObject({ status: 'ok' })
    expect((await lab.call('GET', '/metrics')).status).toBe(404)
    const client = ada.connect()
    await client.next('synced')
    const { text } = await plain(`http://${lab.metricsAddress}/metrics`)
    expect(text).toMatch(/sallyport_controller_clients 1\n/)
    await client.channel.close()
  })
})

describe('a Controller that stops', () => {
  it('says goodbye, and everyone comes back by themselves', async () => {
    const client = ada.connect()
    const there = office.connector.connect()
    await Promise.all([client.next('synced'), there.next('synced')])
    await lab.stop()
    await Promise.all([client.next('goodbye', ({ retry }) => retry), there.next('goodbye', ({ retry }) => retry)])
    const [clientSaw, connectorSaw] = [client.messages.length, there.messages.length]
    await lab.start()
    await Promise.all([client.next('synced', () => true, clientSaw), there.next('synced', () => true, connectorSaw)])
    await Promise.all([client.channel.close(), there.channel.close()])
  })

  it('does not start with another store key, and leaves everything as it is', async () => {
    await lab.stop()
    const { storeKeyFile } = lab.input
    writeFileSync(storeKeyFile, Buffer.alloc(32, 8).toString('base64'))
    await expect(startController(configFrom(lab.input), { log: silentLog })).rejects.toThrow(
      /sealed with a key not known here/,
    )
    writeFileSync(storeKeyFile, Buffer.alloc(32, 7).toString('base64'))
    await lab.start()
    expect((await office.operator.get('network', 'office')).status).toBe(200)
  })
})

const servedPin = () => served(({ raw }) => pinOf(new X509Certificate(raw).publicKey))

/** Looks at the certificate that is served, without trusting any: only what is sent shows. */
function served<T>(look: (certificate: DetailedPeerCertificate) => T): Promise<T> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: lab.port, rejectUnauthorized: false, ca: [] }, () => {
      const seen = look(socket.getPeerCertificate(true))
      socket.destroy()
      resolve(seen)
    })
    socket.on('error', reject)
  })
}

function plain(url: string): Promise<{ status: number | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    get(url, response => {
      let text = ''
      response.on('data', chunk => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode, text }))
    }).on('error', reject)
  })
}
