import { request } from 'node:https'
import { systemClock } from '@sallyport/runtime'
import { MAX_BODY_BYTES } from '@sallyport/schema'
import { createDpopProof, generateKeyPair } from '@sallyport/trust'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { apiErrors } from '../error.ts'
import { describeApi } from '../openapi.ts'
import type { Answer } from '../test/call.ts'
import type { DeviceHand } from '../test/device.ts'
import { type ControllerLab, furnish, startControllerLab } from '../test/lab.ts'
import { bodies, OPERATOR_SUBJECT, operatorToken, uid } from '../test/operator.ts'

/** Routes that anyone may ask: health, and those whose credential stands in the body (tested where they live). */
const OPEN = /^\/(healthz|readyz|v1\/enroll|oauth\/.*|idp\/.*|\.well-known\/.*)$/
const BODIES = ['PUT', 'POST']

type Route = { method: string; url: string; kind: 'operator' | 'client' | 'admin' | 'channel' }

let lab: ControllerLab
let root: DeviceHand
let ada: DeviceHand
let foreignRoot: DeviceHand
let state: () => Promise<unknown>
const { routes: table } = await describeApi()
const routes: Route[] = table
  .filter(({ method, url }) => method !== 'HEAD' && !OPEN.test(url))
  .map(({ method, url }) => ({ method, url, kind: kindOf(url) }))

function kindOf(url: string): Route['kind'] {
  if (/^\/v1\/(connector|client|operator)$/.test(url)) return 'channel'
  if (url.startsWith('/v1/admin/')) return 'admin'
  return url === '/v1/why' ? 'client' : 'operator'
}

beforeAll(async () => {
  lab = await startControllerLab({
    tenants: [
      {
        name: 'default',
        accounts: ['ada@example.com', 'root@example.com'],
        admins: ['root@example.com'],
        sources: ['cluster', 'second'],
      },
      { name: 'other', accounts: ['eve@example.org'], admins: ['eve@example.org'], sources: ['elsewhere'] },
    ],
  })
  const { operator } = await furnish(lab, ['ada@example.com'])
  await furnish(lab, ['eve@example.org'], 'other', 'elsewhere')
  root = await lab.device('default', 'root@example.com')
  ada = await lab.device('default', 'ada@example.com')
  foreignRoot = await lab.device('other', 'eve@example.org')
  state = async () => {
    const rows = ['office', 'connector-0', 'staff', 'web', 'r0'] as const
    const kinds = ['network', 'connector', 'group', 'resource', 'relay'] as const
    const declared = await Promise.all(rows.map((name, index) => operator.get(kinds[index]!, name)))
    const users = await root.as('GET', '/v1/admin/users')
    const devices = await root.as('GET', '/v1/admin/devices')
    return [...declared, users, devices].map(({ status, body }) => ({ status, body }))
  }
})
afterAll(() => lab.close())

/** A route's path with ids of tenant `default`. */
function pathOf({ url }: Route): string {
  const things = { networks: 'office', connectors: 'connector-0', resources: 'web', groups: 'staff', relays: 'r0' }
  if (url.includes('/admin/users/')) return url.replace(':id', 'nobody')
  if (url.includes('/admin/devices/')) return url.replace(':id', ada.id)
  if (url.includes('/admin/connectors/')) return url.replace(':id', uid('connector-0'))
  const name = Object.entries(things).find(([kind]) => url.startsWith(`/v1/${kind}/`))?.[1] ?? ''
  return url
    .replace(':uid', uid(name))
    .replace(':id', 'x.y')
    .replace(':source', 'cluster')
    .replace('/why', '/why?host=a.b&port=1')
}

const ask = (route: Route, headers: Record<string, string> = {}, body?: unknown): Promise<Answer> =>
  lab.call(route.method, pathOf(route), { headers, ...(body !== undefined && { body }) })
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const guarded = routes.filter(({ kind }) => kind !== 'channel')

it('the routing table holds every route there is', () => {
  expect(routes.length).toBeGreaterThan(30)
  expect(new Set(routes.map(({ kind }) => kind))).toEqual(new Set(['operator', 'client', 'admin', 'channel']))
})

describe.each(guarded.map(route => [`${route.method} ${route.url}`, route] as const))('%s', (_, route) => {
  it('admits nobody without a credential that is for it', async () => {
    const before = await state()
    const past = Math.floor(systemClock.now() / 1000) - 7200
    const stranger = generateKeyPair()
    const path = pathOf(route)
    const proofOfOther = createDpopProof(
      ada.keys,
      { method: route.method, url: `${lab.url}/v1/other`, accessToken: ada.access },
      systemClock.now(),
    )
    const proofOfStranger = createDpopProof(
      stranger,
      { method: route.method, url: `${lab.url}${path}`, accessToken: ada.access },
      systemClock.now(),
    )
    const none: Record<string, Record<string, string>> = {
      nothing: {},
      garbage: bearer('garbage'),
      'garbage proof': { authorization: 'DPoP garbage', dpop: 'garbage' },
      'expired token': bearer(operatorToken(lab.operatorKeys, lab.url, { iat: past, exp: past + 3600 })),
      "another issuer's token": bearer(operatorToken(lab.operatorKeys, lab.url, { iss: 'https://evil.test' })),
      "another key's token": bearer(operatorToken(lab.operatorKeys, lab.url, { key: stranger.privateKey })),
      'a token of another audience': bearer(operatorToken(lab.operatorKeys, lab.url, { aud: 'https://evil.test' })),
      'a token of another account': bearer(
        operatorToken(lab.operatorKeys, lab.url, { sub: `${OPERATOR_SUBJECT}-evil` }),
      ),
      'an access token as bearer': bearer(ada.access),
      'an access token without proof': { authorization: `DPoP ${ada.access}` },
      'a proof for another URL': { authorization: `DPoP ${ada.access}`, dpop: proofOfOther },
      "a stranger's proof": { authorization: `DPoP ${ada.access}`, dpop: proofOfStranger },
    }
    for (const [what, headers] of Object.entries(none)) {
      const { status, body } = await ask(route, headers)
      expect([what, status]).toEqual([what, 401])
      expect(Object.keys(apiErrors)).toContain(body.error)
    }
    expect(await state()).toEqual(before)
  })

  it('admits nobody whose credential is a lesser one', async () => {
    const before = await state()
    const person = ada.headersFor(route.method, pathOf(route).split('?')[0]!)
    const operator = bearer(operatorToken(lab.operatorKeys, lab.url))
    if (route.kind === 'admin') expect((await ask(route, person)).status).toBe(403)
    if (route.kind === 'operator') expect([401, 403]).toContain((await ask(route, person)).status)
    if (route.kind !== 'operator') expect((await ask(route, operator)).status).toBe(401)
    expect(await state()).toEqual(before)
  })

  it("does nothing to a tenant with another tenant's credential, nor to a source with another's", async () => {
    const before = await state()
    const body = BODIES.includes(route.method) && route.url.endsWith('/keys') ? { keyIds: ['x'] } : bodyFor(route)
    for (const headers of foreignHands(route)) {
      const { status, text } = await ask(route, headers, body)
      expect(status).toBe(foreignStatus(route))
      expect(text).not.toMatch(/ada@example\.com|root@example\.com/)
      expect(text).not.toContain(ada.id)
    }
    expect(await state()).toEqual(before)
  })
})

describe.each([
  ['connectors', bodies.connector('intruder', 'office')],
  ['resources', bodies.resource('intruder', 'office', [])],
])('PUT /v1/%s/:uid of a UID of its own', (kind, body) => {
  it("puts nothing into another tenant's or source's network", async () => {
    const before = await state()
    const url = `/v1/${kind}/${uid('intruder')}`
    for (const headers of foreignHands({ method: 'PUT', url, kind: 'operator' })) {
      expect(await lab.call('PUT', url, { headers, body })).toMatchObject({
        status: 404,
        body: { error: 'unknown_network' },
      })
      expect((await lab.call('GET', url, { headers })).status).toBe(404)
    }
    expect(await state()).toEqual(before)
  })
})

/** Credentials of the other tenant, and of another source of the same one, that the route takes. */
function foreignHands(route: Route): Record<string, string>[] {
  const admin = () => foreignRoot.headersFor(route.method, pathOf(route).split('?')[0]!)
  if (route.kind !== 'operator') return [admin()]
  const claims = [{ tenant: 'other', source: 'elsewhere' }, { source: 'second' }]
  const operators = claims.map(changes => bearer(operatorToken(lab.operatorKeys, lab.url, changes)))
  return route.url.startsWith('/v1/sources/') ? [...operators, admin()] : operators
}

/** Routes without an id answer for the tenant of the credential: nothing in them could name another one. */
const WITHOUT_ID = [
  ...['users', 'devices', 'sessions', 'connectors', 'access-log', 'audit'].map(list => `GET /v1/admin/${list}`),
  'GET /v1/why',
]

function foreignStatus({ method, url }: Route): number {
  if (WITHOUT_ID.includes(`${method} ${url}`)) return 200
  return method === 'PUT' ? 403 : 404
}

/** A body that would be good, were it one's own. */
function bodyFor({ method, url }: Route): unknown {
  if (method !== 'PUT') return undefined
  if (url.includes('/networks/')) return bodies.network('stolen')
  if (url.includes('/connectors/')) return bodies.connector('stolen', 'office')
  if (url.includes('/resources/')) return bodies.resource('stolen', 'office', [])
  if (url.includes('/groups/')) return bodies.group('stolen', ['eve@example.org'])
  return bodies.relay('stolen')
}

const withBody = table.filter(({ method, url }) => BODIES.includes(method) && !/^\/(oauth|idp)\//.test(url))

describe.each(withBody.map(route => [`${route.method} ${route.url}`, { ...route, kind: kindOf(route.url) }] as const))(
  '%s',
  (_, route) => {
    const credential = () =>
      route.kind === 'admin'
        ? root.headersFor(route.method, pathOf(route))
        : bearer(operatorToken(lab.operatorKeys, lab.url))

    it('refuses a body that is too large, before it has arrived', async () => {
      const status = await new Promise<number | undefined>((resolve, reject) => {
        const sent = request(
          `${lab.url}${pathOf(route)}`,
          {
            method: route.method,
            ca: lab.ca.certificatePem,
            agent: false,
            headers: {
              ...credential(),
              'content-type': 'application/json',
              'content-length': String(MAX_BODY_BYTES * 100),
            },
          },
          response => {
            resolve(response.statusCode)
            sent.destroy()
          },
        )
        sent.on('error', reject)
        sent.write('{')
      })
      expect(status).toBe(413)
    })

    it.each(['{"__proto__":{"admin":true}}', '{"constructor":{"prototype":{"admin":true}}}', '[]', '"x"', '{', 'null'])(
      'refuses the body %s, and nothing is polluted',
      async body => {
        const { status } = await ask(route, credential(), body)
        expect([400, 404]).toContain(status)
        expect(({} as { admin?: boolean }).admin).toBeUndefined()
      },
    )
  },
)

describe('a body that never ends', () => {
  it.each([
    ['PUT', `/v1/networks/${uid('office')}`],
    ['POST', '/v1/enroll'],
    ['POST', '/oauth/token'],
  ])('%s %s ends at its limit', async (method, path) => {
    const type = path.startsWith('/oauth') ? 'application/x-www-form-urlencoded' : 'application/json'
    const headers = { ...bearer(operatorToken(lab.operatorKeys, lab.url)), 'content-type': type }
    let sentBytes = 0
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const options = { method, ca: lab.ca.certificatePem, agent: false, headers }
      const sent = request(`${lab.url}${path}`, options, response => {
        resolve(response.statusCode)
        sent.destroy()
      })
      sent.on('error', reject)
      const more = () => {
        if (sent.destroyed || sentBytes > 4 * MAX_BODY_BYTES) return
        sentBytes += 16_384
        sent.write(' '.repeat(16_384), () => setImmediate(more))
      }
      more()
    })
    expect(status).toBe(413)
  })
})

describe('a proof', () => {
  it('is good once', async () => {
    const headers = root.headersFor('GET', '/v1/admin/users')
    expect((await lab.call('GET', '/v1/admin/users', { headers })).status).toBe(200)
    expect((await lab.call('GET', '/v1/admin/users', { headers })).status).toBe(401)
  })
})

describe('paths and headers', () => {
  it.each([
    '//v1/admin/users',
    '/v1//admin/users',
    '/V1/admin/users',
    '/v1/admin/users/',
    '/v1/admin/users;x',
    '/v1/why/../admin/users',
    '/v1/why/..%2fadmin/users',
    '/%76%31/admin/users',
  ])('%s gives nothing away', async path => {
    const { status } = await lab.call('GET', path, {
      headers: { 'x-original-url': '/v1/admin/users', 'x-forwarded-host': 'evil' },
    })
    expect([401, 404]).toContain(status)
  })

  it('an unknown query is refused, not ignored', async () => {
    const headers = root.headersFor('GET', '/v1/admin/users')
    const answer = await lab.call('GET', '/v1/admin/users?tenant=other', { headers })
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_query' } })
  })
})

describe('a control channel', () => {
  it.each(['/v1/connector', '/v1/client', '/v1/operator'])('%s answers a plain request 426', async path => {
    expect(await lab.call('GET', path)).toMatchObject({ status: 426, body: { error: 'upgrade_required' } })
  })

  it.each(['/v1/connector', '/v1/client', '/v1/operator', '/v1/else'])(
    '%s is refused without a credential',
    async path => {
      const answer = await upgrade(path, {})
      expect(answer.status).toBe(path === '/v1/else' ? 404 : 401)
    },
  )

  it("is refused with another channel's credential", async () => {
    expect((await upgrade('/v1/connector', bearer(operatorToken(lab.operatorKeys, lab.url)))).status).toBe(401)
    expect((await upgrade('/v1/operator', ada.headersFor('GET', '/v1/operator'))).status).toBe(401)
    expect((await upgrade('/v1/client', bearer(operatorToken(lab.operatorKeys, lab.url)))).status).toBe(401)
  })
})

function upgrade(path: string, headers: Record<string, string>): Promise<{ status: number | undefined }> {
  return new Promise((resolve, reject) => {
    const handshake = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    }
    const sent = request(
      `${lab.url}${path}`,
      { ca: lab.ca.certificatePem, agent: false, headers: { ...handshake, ...headers } },
      response => {
        response.resume()
        resolve({ status: response.statusCode })
      },
    )
    sent.on('upgrade', (_response, socket) => {
      socket.destroy()
      resolve({ status: 101 })
    })
    sent.on('error', reject)
    sent.end()
  })
}
