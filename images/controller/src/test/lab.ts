import { createHash, type KeyObject, sign } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type ChannelState,
  type Clock,
  ControlChannel,
  channelUrl,
  type MessageParser,
  messageParser,
  silentLog,
  systemClock,
} from '@sallyport/runtime'
import {
  type ControllerConfigInput,
  type DeclaredKind,
  type DeclaredRow,
  type FromClient,
  type FromConnector,
  type FromOperator,
  type TenantConfig,
  ToClient,
  ToConnector,
  ToOperator,
} from '@sallyport/schema'
import { eventually, freePorts, ScriptedBrowser } from '@sallyport/testkit'
import {
  type CertificateAuthority,
  connectorIdOf,
  createCa,
  createControllerAssertion,
  createDpopProof,
  createEnrolmentProof,
  deviceIdOf,
  generateKeyPair,
  issueServingCertificate,
  type KeyPair,
  privateKeyToPem,
  publicJwk,
  randomSecret,
  thumbprintOf,
} from '@sallyport/trust'
import { configFrom } from '../config.ts'
import { type Controller, startController } from '../controller.ts'

export const OPERATOR_ISSUER = 'https://cluster.test'
export const OPERATOR_SUBJECT = 'system:serviceaccount:sallyport:operator'
export const CREATED_AT = '2026-01-01T00:00:00Z'

/** Answer to a request, its body read as JSON where it is. */
export type Answer = { status: number; body: Record<string, unknown>; text: string; headers: Record<string, unknown> }

export type LabOptions = {
  tenants?: { name: string; accounts?: string[]; admins?: string[]; sources?: string[] }[]
  config?: Partial<ControllerConfigInput>
  clock?: Clock
}

/** The machine's clock, that far ahead; its timers fire as they always do. */
export class ShiftedClock implements Clock {
  #aheadMs = 0
  now = () => systemClock.now() + this.#aheadMs
  monotonic = () => systemClock.monotonic() + this.#aheadMs
  timer = systemClock.timer

  /** Lets `ms` pass at once. */
  pass(ms: number): void {
    this.#aheadMs += ms
  }
}

/** UID of a thing in a test, from its name. */
export function uid(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** A running Controller with its files, and everyone who may speak to it. */
export async function startControllerLab(options: LabOptions = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-controller-'))
  const [port = 0] = await freePorts(1)
  const url = `https://127.0.0.1:${port}`
  const operatorKeys = generateKeyPair()
  const { ca, paths } = writeFiles(dir)
  const tenants = (options.tenants ?? [{ name: 'default' }]).map(tenant => tenantConfig(tenant, operatorKeys))
  const input: ControllerConfigInput = {
    url,
    listen: `127.0.0.1:${port}`,
    metricsListen: '127.0.0.1:0',
    database: { path: join(dir, 'controller.db') },
    ...paths,
    tenants,
    ...options.config,
  }
  const deps = { log: silentLog, ...(options.clock && { clock: options.clock }) }
  let controller: Controller | undefined = await startController(configFrom(input), deps)
  const closers: (() => Promise<unknown>)[] = []
  const now = () => (options.clock ?? systemClock).now()
  const call = (method: string, path: string, { headers = {}, body }: CallOptions = {}) =>
    send(`${url}${path}`, ca.certificatePem, method, headers, body)

  return {
    url,
    dir,
    port,
    ca,
    input,
    call,
    operatorKeys,
    get metricsAddress() {
      return controller?.metricsAddress ?? ''
    },
    operator: (changes: Partial<OperatorClaims> = {}) => operatorHand({ url, call, now }, operatorKeys, changes),
    connector: (keys = generateKeyPair()) => connectorHand({ url, ca, call, closers, now }, keys),
    device: (tenant: string, email: string, keys = generateKeyPair()) =>
      deviceHand({ url, ca, call, closers, now }, { tenant, email, keys }),
    operatorChannel: (token: string) =>
      openChannel<ToOperator, FromOperator>({ url, ca, closers, now }, '/v1/operator', ToOperator, { token }),
    stop: async () => {
      await controller?.close()
      controller = undefined
    },
    start: async () => {
      controller = await startController(configFrom(input), deps)
    },
    close: async () => {
      for (const close of closers.splice(0).reverse()) await close()
      await controller?.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
export type ControllerLab = Awaited<ReturnType<typeof startControllerLab>>

/** Writes CA, serving certificate and store key. */
export function writeFiles(dir: string) {
  mkdirSync(dir, { recursive: true })
  const life = { nowMs: systemClock.now(), lifeSeconds: 86_400 }
  const ca = createCa({ commonName: 'installation' }, life)
  const keys = generateKeyPair()
  const names = { publicKey: keys.publicKey, dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] }
  const paths = {
    storeKeyFile: join(dir, 'store.key'),
    tls: { certFile: join(dir, 'tls.crt'), keyFile: join(dir, 'tls.key') },
  }
  writeFileSync(paths.tls.certFile, issueServingCertificate(ca, names, life))
  writeFileSync(join(dir, 'ca.crt'), ca.certificatePem)
  writeFileSync(paths.tls.keyFile, privateKeyToPem(keys.privateKey))
  writeFileSync(paths.storeKeyFile, Buffer.alloc(32, 7).toString('base64'))
  return { ca, paths }
}

function tenantConfig(
  { name, accounts = [], admins = [], sources = ['cluster'] }: NonNullable<LabOptions['tenants']>[number],
  { publicKey }: KeyPair,
): TenantConfig {
  const keys = [{ ...publicJwk(publicKey), kid: 'operator', alg: 'ES256' }]
  return {
    name,
    operators: sources.map(source => ({
      issuer: OPERATOR_ISSUER,
      jwks: { keys },
      subject: operatorSubject(name, source),
      source,
    })),
    ...(accounts.length > 0 && {
      identityProviders: [
        { name: 'tryout', type: 'embedded', embedded: true, accounts: accounts.map(email => ({ email })) },
      ],
    }),
    admins,
  }
}

const operatorSubject = (tenant: string, source: string) => `${OPERATOR_SUBJECT}-${tenant}-${source}`

export type CallOptions = { headers?: Record<string, string>; body?: unknown }
type Call = (method: string, path: string, options?: CallOptions) => Promise<Answer>

function send(
  url: string,
  ca: string,
  method: string,
  headers: Record<string, string>,
  body: unknown,
): Promise<Answer> {
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        method,
        ca,
        agent: false,
        headers: { ...(text !== undefined && { 'content-type': 'application/json' }), ...headers },
      },
      response => {
        let received = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          received += chunk
        })
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            text: received,
            headers: response.headers,
            body: received.startsWith('{') ? JSON.parse(received) : {},
          }),
        )
        response.on('error', reject)
      },
    )
    sent.on('error', reject)
    sent.end(text)
  })
}

export type OperatorClaims = {
  tenant: string
  source: string
  iss: string
  sub: string
  aud: string
  iat: number
  exp: number
  key: KeyObject
}

/** A ServiceAccount token as an API server signs it. */
export function operatorToken(
  keys: KeyPair,
  url: string,
  changes: Partial<OperatorClaims> = {},
  nowMs = systemClock.now(),
): string {
  const nowSeconds = Math.floor(nowMs / 1000)
  const { tenant = 'default', source = 'cluster', key = keys.privateKey, ...claims } = changes
  const payload = {
    iss: OPERATOR_ISSUER,
    sub: operatorSubject(tenant, source),
    aud: url,
    iat: nowSeconds,
    exp: nowSeconds + 3600,
    ...claims,
  }
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${encode({ alg: 'ES256', kid: 'operator', typ: 'JWT' })}.${encode(payload)}`
  const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' })
  return `${signed}.${signature.toString('base64url')}`
}

const PATHS: Record<DeclaredKind, string> = {
  network: 'networks',
  connector: 'connectors',
  resource: 'resources',
  group: 'groups',
  relay: 'relays',
}

/** Bodies of declared objects, by the names that tests give them. */
export const bodies = {
  network: (name: string, spec: object = {}) => ({ metadata: metadata(name), spec }),
  connector: (name: string, network: string) => ({
    metadata: metadata(name),
    network: uid(network),
    spec: { remoteNetworkRef: { name: network } },
  }),
  resource: (name: string, network: string, groups: string[], spec: Record<string, unknown> = {}) => {
    const access = groups.map(group => ({ group }))
    return {
      metadata: metadata(name),
      network: uid(network),
      spec: { remoteNetworkRef: { name: network }, address: `${name}.internal`, access, ...spec },
      groups: groups.map(group => uid(group)),
    }
  },
  group: (name: string, members: string[], more: object = {}) => ({
    metadata: metadata(name),
    spec: { members, ...more },
  }),
  relay: (name: string) => ({ metadata: metadata(name), index: 0, name: `${name}.relay.test`, address: '127.0.0.1:9' }),
}
const metadata = (name: string) => ({ namespace: 'default', name, createdAt: CREATED_AT, generation: 1 })

function operatorHand(
  { url, call, now }: Pick<Ground, 'url' | 'now'> & { call: Call },
  keys: KeyPair,
  changes: Partial<OperatorClaims>,
) {
  const token = () => operatorToken(keys, url, changes, now())
  const as = (method: string, path: string, body?: unknown) =>
    call(method, path, { headers: { authorization: `Bearer ${token()}` }, body })
  const put = async (kind: DeclaredKind, name: string, body: unknown) => {
    const answer = await as('PUT', `/v1/${PATHS[kind]}/${uid(name)}`, body)
    if (answer.status !== 200) throw new Error(`PUT ${kind} ${name}: ${answer.status} ${answer.text}`)
    return answer.body as { revision: number; changed: boolean }
  }
  return {
    token,
    as,
    put,
    path: (kind: DeclaredKind, name: string) => `/v1/${PATHS[kind]}/${uid(name)}`,
    get: (kind: DeclaredKind, name: string) => as('GET', `/v1/${PATHS[kind]}/${uid(name)}`),
    delete: (kind: DeclaredKind, name: string) => as('DELETE', `/v1/${PATHS[kind]}/${uid(name)}`),
    /** Declares a Relay and acknowledges its key, as an operator that has written its Secret. */
    relay: async (name: string) => {
      await put('relay', name, bodies.relay(name))
      const path = `/v1/relays/${uid(name)}/keys`
      const { keys } = (await as('GET', path)).body as { keys: { id: string; key: string }[] }
      await as('POST', path, { keyIds: keys.map(({ id }) => id) })
      return keys
    },
    enrolmentToken: async (slot: string) => {
      const answer = await as('POST', `/v1/connectors/${uid(slot)}/token`)
      if (answer.status !== 200) throw new Error(`token of ${slot}: ${answer.status} ${answer.text}`)
      return answer.body as { token: string; id: string; expiresAtMs: number }
    },
  }
}
export type OperatorHand = ReturnType<typeof operatorHand>

type Ground = { url: string; ca: CertificateAuthority; closers: (() => Promise<unknown>)[]; now: () => number }

function openChannel<I extends { type: string }, O extends { type: string }>(
  { url, ca, closers, now }: Ground,
  path: string,
  union: Parameters<typeof messageParser>[0],
  by: { token: string } | { headers: () => Promise<Record<string, string>> },
) {
  const messages: I[] = []
  const states: ChannelState[] = []
  const hear: ((message: I) => void)[] = []
  const channel = new ControlChannel<I, O>({
    url: () => channelUrl(url, path),
    ca: () => ca.certificatePem,
    headers: 'token' in by ? async () => ({ authorization: `Bearer ${by.token}` }) : by.headers,
    incoming: messageParser(union) as MessageParser<I>, // I is the union's type.
    // A Connector's says more than the others', which ignore what they do not know.
    heartbeat: () => ({ type: 'heartbeat', nowMs: now(), ready: true, relays: [] }) as unknown as O,
    onMessage: message => {
      messages.push(message)
      for (const listener of hear) listener(message)
    },
    onState: state => states.push(state),
  })
  closers.push(() => channel.close())
  const of = <T extends I['type']>(type: T) =>
    messages.filter(message => message.type === type) as Extract<I, { type: T }>[]
  return {
    channel,
    messages,
    states,
    of,
    onMessage: (listener: (message: I) => void) => hear.push(listener),
    /** Waits for the first message after the first `from` that fits. */
    next: <T extends I['type']>(type: T, fits: (message: Extract<I, { type: T }>) => boolean = () => true, from = 0) =>
      eventually(`message ${type}`, () =>
        (messages.slice(from) as Extract<I, { type: T }>[]).find(message => message.type === type && fits(message)),
      ),
    /** Waits until the channel has been refused; its end. */
    refused: () =>
      eventually('a refusal', () => {
        const down = states.find(state => state.kind === 'down')
        return down?.kind === 'down' ? down.end : undefined
      }),
    closed: () => eventually('the end of the channel', () => states.some(state => state.kind === 'down')),
  }
}

function connectorHand(ground: Ground & { call: Call }, keys: KeyPair) {
  const id = connectorIdOf(keys.publicKey)
  const enrolRequest = (token: string) => ({
    token,
    publicKey: publicJwk(keys.publicKey),
    proof: createEnrolmentProof(keys, token, ground.now()),
    version: '0.1.0',
    host: 'pod',
  })
  return {
    id,
    keys,
    enrolRequest,
    enrol: (token: string) => ground.call('POST', '/v1/enroll', { body: enrolRequest(token) }),
    /** Connects, says hello and which sessions it has, and acknowledges every batch. */
    connect: (sessions: (FromConnector & { type: 'sessions' })['sessions'] = []) => {
      const opened = openChannel<ToConnector, FromConnector>(ground, '/v1/connector', ToConnector, {
        headers: async () => ({ authorization: `Bearer ${createControllerAssertion(keys, ground.now())}` }),
      })
      opened.onMessage(message => {
        if (message.type === 'welcome') {
          opened.channel.send({ type: 'hello', version: '0.1.0', host: 'pod', revision: 0, nowMs: ground.now() })
          opened.channel.send({ type: 'sessions', complete: true, sessions })
        }
        if (message.type === 'synced') opened.channel.send({ type: 'applied', revision: message.revision })
      })
      return opened
    },
  }
}

async function deviceHand(
  ground: Ground & { call: Call },
  { tenant, email, keys }: { tenant: string; email: string; keys: KeyPair },
) {
  const { url, ca, call, now } = ground
  const base = tenant === 'default' ? url : `${url}/t/${tenant}`
  let { access, refresh } = await logIn(base, { ca, now }, email, keys)
  const headersFor = (method: string, path: string) => ({
    authorization: `DPoP ${access}`,
    dpop: createDpopProof(keys, { method, url: `${url}${path}`, accessToken: access }, now()),
  })
  return {
    id: deviceIdOf(keys.publicKey),
    keys,
    get access() {
      return access
    },
    headersFor,
    as: (method: string, path: string, body?: unknown) =>
      call(method, path, { headers: headersFor(method, path), body }),
    connect: () => {
      const opened = openChannel<ToClient, FromClient>(ground, '/v1/client', ToClient, {
        headers: async () => headersFor('GET', '/v1/client'),
      })
      opened.onMessage(message => {
        if (message.type === 'synced') opened.channel.send({ type: 'applied', revision: message.revision })
      })
      return opened
    },
    again: async () => {
      ;({ access, refresh } = await logIn(base, { ca, now }, email, keys))
      return refresh
    },
  }
}
export type DeviceHand = Awaited<ReturnType<typeof deviceHand>>

async function logIn(base: string, { ca, now }: Pick<Ground, 'ca' | 'now'>, email: string, keys: KeyPair) {
  let heard: URL | undefined
  const server = createServer((request, response) => {
    heard = new URL(request.url ?? '/', 'http://127.0.0.1')
    response.end('done')
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const redirect = `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`
  const verifier = randomSecret()
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: 'sallyport',
    redirect_uri: redirect,
    state: randomSecret(),
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    dpop_jkt: thumbprintOf(keys.publicKey),
  })
  const page = await new ScriptedBrowser(ca.certificatePem).visit(`${base}/oauth/authorize?${query}`, (_, forms) =>
    forms.find(({ text, fields }) => text.includes(email) || fields.toString().includes(encodeURIComponent(email))),
  )
  server.closeAllConnections()
  server.close()
  const code = heard?.searchParams.get('code')
  if (code === null || code === undefined)
    throw new Error(`no code: ${heard?.search ?? ''} ${page.body.replace(/<[^>]*>/g, ' ').slice(0, 400)}`)
  const form = new URLSearchParams({
    grant_type: 'authorization_code',
    client_id: 'sallyport',
    code,
    redirect_uri: redirect,
    code_verifier: verifier,
  })
  const answer = await send(
    `${base}/oauth/token`,
    ca.certificatePem,
    'POST',
    {
      'content-type': 'application/x-www-form-urlencoded',
      dpop: createDpopProof(keys, { method: 'POST', url: `${base}/oauth/token` }, now()),
    },
    form.toString(),
  )
  if (answer.status !== 200) throw new Error(`no tokens: ${answer.text}`)
  return { access: answer.body.access_token as string, refresh: answer.body.refresh_token as string }
}

/** A whole office: network, two Relays, a Connector that has enrolled, a Group with `members`, a Resource that it may reach. */
export async function furnish(lab: ControllerLab, members: string[], tenant = 'default', source = 'cluster') {
  const operator = lab.operator({ tenant, source })
  const named = (name: string) => (tenant === 'default' ? name : `${tenant}-${name}`)
  const [network, slot, group, resource] = [named('office'), named('connector-0'), named('staff'), named('web')]
  await operator.put('network', network, bodies.network(network))
  await operator.put('connector', slot, bodies.connector(slot, network))
  const relays = [named('r0'), named('r1')]
  for (const relay of relays) await operator.relay(relay)
  await operator.put('group', group, bodies.group(group, members))
  await operator.put('resource', resource, bodies.resource(resource, network, [group]))
  const connector = lab.connector()
  const { token } = await operator.enrolmentToken(slot)
  const enrolled = await connector.enrol(token)
  if (enrolled.status !== 200) throw new Error(`enrolment: ${enrolled.status} ${enrolled.text}`)
  /** Waits until the Controller has seen the end of the Connector's channel. */
  const vacated = () =>
    eventually('that the Connector is gone', async () => {
      const { body } = await operator.get('connector', slot)
      return (body as DeclaredRow).slot?.connected === false
    })
  return { operator, network, slot, group, resource, relays, connector, vacated }
}
