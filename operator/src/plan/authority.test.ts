import { createCa, parseCertificate, pinOf, privateKeyToPem } from '@sallyport/trust'
import { describe, expect, it } from 'vitest'
import { installationNames } from '../installation.ts'
import { type ConfigMap, FIELD_MANAGER, MANAGED_BY_LABEL, type Secret, secretData, secretText } from '../object.ts'
import { type AuthorityWorld, planAuthority } from './authority.ts'
import { settingsOf } from './settings.fixture.ts'

const NOW = Date.parse('2030-01-01T00:00:00Z')
const DAY = 86_400_000
const ca = createCa({ commonName: 'test' }, { nowMs: NOW, lifeSeconds: 3650 * 86_400 })
const secret = (name: string, entries: Record<string, string>): Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: 'sallyport', labels: { [MANAGED_BY_LABEL]: FIELD_MANAGER } },
  data: secretData(entries),
})
const caSecret = secret('sallyport-ca', {
  'tls.crt': ca.certificatePem,
  'tls.key': privateKeyToPem(ca.privateKey),
  'ca.crt': ca.certificatePem,
})
const nothing: AuthorityWorld = {
  ...{ ca: undefined, controllerTls: undefined, storeKey: undefined },
  ...{ lost: {}, service: undefined, nodes: [], login: undefined },
}
const stepsOf = (world: Partial<AuthorityWorld>, settings = settingsOf(), nowMs = NOW) =>
  planAuthority({ ...nothing, ...world }, settings, nowMs).steps
const loginOf = (world: Partial<AuthorityWorld>, settings = settingsOf()): ConfigMap | undefined =>
  stepsOf(world, settings).flatMap(step =>
    step.do === 'apply' && step.object.kind === 'ConfigMap' ? [step.object as ConfigMap] : [],
  )[0]

describe('the names of what the operator makes for itself', () => {
  it('follow from that of the release', () => {
    const settings = settingsOf({ names: installationNames('edge') })
    const steps = stepsOf({ ca: caSecret }, settings)
    const named = steps.map(step => ('secret' in step ? step.secret : 'object' in step ? step.object : undefined))
    expect(named.map(object => object?.metadata.name)).toEqual(['edge-store-key', 'edge-controller-tls', 'edge-login'])
    expect(stepsOf({}, settings)[1]).toMatchObject({ do: 'makeCa', secret: { metadata: { name: 'edge-ca' } } })
    expect(settings.names.lease).toBe('edge-operator')
  })
})

describe('a Secret of the installation that someone has deleted', () => {
  const storeKey = secret('sallyport-store-key', { key: 'key' })
  const login: ConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'sallyport-login', uid: 'u' } }
  const doneFor = (world: Partial<AuthorityWorld>) => stepsOf(world).map(step => step.do)

  it('is written again as it was, if it is the store key or the CA', () => {
    expect(stepsOf({ ca: caSecret, lost: { storeKey }, login })[0]).toEqual({ do: 'restore', secret: storeKey })
    expect(stepsOf({ storeKey, lost: { ca: caSecret }, login })).toEqual([{ do: 'restore', secret: caSecret }])
  })

  it('is made anew, if it is a CA that cannot issue, and not if it is one that someone else has made', () => {
    const broken = secret('sallyport-ca', { 'tls.crt': ca.certificatePem })
    expect(doneFor({ storeKey, lost: { ca: broken } })).toEqual(['makeCa'])
    const theirs = { ...caSecret, metadata: { ...caSecret.metadata, labels: {} } }
    expect(doneFor({ storeKey, lost: { ca: theirs } })).toEqual(['makeCa'])
  })

  it('is a CA with another key, if a person has emptied it instead', () => {
    const empty = secret('sallyport-ca', {})
    expect(stepsOf({ storeKey, ca: empty })).toContainEqual(expect.objectContaining({ do: 'makeCa', previous: empty }))
  })

  it('is never another store key where the database may have been written with this one', () => {
    const [told, ...rest] = stepsOf({ ca: caSecret, login })
    expect(told).toMatchObject({ do: 'tell', object: login, reason: 'StoreKeyMissing' })
    expect(rest.map(step => step.do)).not.toContain('makeStoreKey')
    expect(doneFor({ ca: caSecret })).toContain('makeStoreKey')
  })
})

describe('how people log in', () => {
  const pin = pinOf(parseCertificate(ca.certificatePem).publicKey)

  it('is told with the URL, the pin of the CA and the CA', () => {
    expect(loginOf({ ca: caSecret })?.data).toEqual({
      url: 'https://outside',
      login: `https://outside#sha256:${pin}`,
      'ca.crt': ca.certificatePem,
    })
  })

  it('pins no CA where people see the certificate of a proxy in front of the Controller', () => {
    const settings = settingsOf({ pinsLogin: false })
    expect(loginOf({ ca: caSecret }, settings)?.data).toMatchObject({
      url: 'https://outside',
      login: 'https://outside',
    })
  })

  it('is not told before there is a CA, nor again while it is as told', () => {
    expect(loginOf({})).toBeUndefined()
    const login = loginOf({ ca: caSecret })!
    expect(loginOf({ ca: caSecret, login })).toBeUndefined()
  })

  it('is told with the CA of a Controller elsewhere', () => {
    const other = createCa({ commonName: 'other' }, { nowMs: NOW, lifeSeconds: 3600 }).certificatePem
    expect(loginOf({ ca: caSecret }, settingsOf({ controllerCa: other }))?.data).toMatchObject({
      login: `https://outside#sha256:${pinOf(parseCertificate(other).publicKey)}`,
      'ca.crt': other,
    })
  })
})

describe("the Controller's serving certificate", () => {
  it('names the public URL as derived, the URL in the cluster and the further names', () => {
    const settings = settingsOf({
      ...{ controllerUrl: 'https://inside.svc', controllerPublicUrl: undefined, controllerNames: ['inside'] },
      controllerService: 'sallyport-controller',
    })
    const service = {
      ...{ apiVersion: 'v1', kind: 'Service', metadata: { name: 'sallyport-controller', namespace: 'sallyport' } },
      ...{ spec: { ports: [{ port: 443, nodePort: 30443 }] }, status: {} },
    }
    const node = {
      ...{ apiVersion: 'v1', kind: 'Node', metadata: { name: 'a' } },
      status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] },
    }
    const [step] = stepsOf({ ca: caSecret, service, nodes: [node] }, settings).filter(
      ({ do: what }) => what === 'makeControllerCertificate',
    )
    expect(step).toMatchObject({ names: { dnsNames: ['inside.svc', 'inside'], ipAddresses: ['10.0.0.1'] } })
  })
})

describe('the CA', () => {
  it('is renewed at half of its life, and not a day before', () => {
    const half = NOW + (3650 / 2) * DAY
    const does = (nowMs: number) => stepsOf({ ca: caSecret }, settingsOf(), nowMs).map(step => step.do)
    expect(does(half)).toContain('makeCa')
    expect(does(half - DAY)).not.toContain('makeCa')
  })
})

describe('certificates that others issue', () => {
  const settings = settingsOf({ certificates: 'external' })
  const issued = (entries: Record<string, string>) => secret('sallyport-controller-tls', entries)
  const next = createCa({ commonName: 'next' }, { nowMs: NOW, lifeSeconds: 3600 }).certificatePem
  const bundleOf = (world: Partial<AuthorityWorld>, nowMs = NOW) =>
    stepsOf(world, settings, nowMs).flatMap(step =>
      step.do === 'apply' && step.object.kind === 'Secret' ? [secretText(step.object as Secret, 'ca.crt')] : [],
    )

  it('are waited for, and none is issued', () => {
    expect(stepsOf({}, settings).map(step => step.do)).toEqual(['makeStoreKey'])
  })

  it('bring the CA that vouches for them', () => {
    expect(bundleOf({ controllerTls: issued({ 'ca.crt': ca.certificatePem }) })).toEqual([ca.certificatePem])
    const controllerTls = issued({})
    expect(stepsOf({ controllerTls }, settings)).toContainEqual(
      expect.objectContaining({
        ...{ do: 'tell', reason: 'AuthorityUnusable' },
        object: expect.objectContaining({ metadata: { name: 'sallyport-controller-tls', namespace: 'sallyport' } }),
        message: expect.stringMatching(/sallyport-controller-tls has no ca.crt/),
      }),
    )
    expect(bundleOf({ controllerTls })).toEqual([])
  })

  it('of another CA leave the former one trusted until it expires', () => {
    const trusted = secret('sallyport-ca', { 'ca.crt': next })
    const controllerTls = issued({ 'ca.crt': ca.certificatePem })
    expect(bundleOf({ controllerTls, ca: trusted })).toEqual([`${ca.certificatePem}${next}`])
    expect(bundleOf({ controllerTls, ca: trusted }, NOW + 3_600_000)).toEqual([ca.certificatePem])
  })
})
