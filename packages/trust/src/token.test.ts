import { createHmac, sign } from 'node:crypto'
import type { ConnectorId, DeviceId, NetworkId } from '@sallyport/schema'
import fc from 'fast-check'
import { compactVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import { issueAccessToken, verifyAccessToken } from './access-token.ts'
import {
  issueClientAcl,
  issueConnectionToken,
  issueConnectorAcl,
  issueTrustUpdate,
  verifyClientAcl,
  verifyConnectionToken,
  verifyConnectorAcl,
  verifyTrustUpdate,
} from './acl-token.ts'
import {
  createControllerAssertion,
  createEnrolmentProof,
  createRelayAssertion,
  verifyControllerAssertion,
  verifyEnrolmentProof,
  verifyRelayAssertion,
} from './assertion.ts'
import { createDpopProof, verifyDpopProof } from './dpop.ts'
import { TrustError } from './error.ts'
import { fixedKeys } from './fixture.ts'
import { unverifiedIssuer } from './jws.ts'
import { connectorIdOf, deviceIdOf, generateKeyPair, publicJwk, thumbprintOf } from './key.ts'
import { issueRelayPass, verifyRelayPass } from './relay-pass.ts'
import { firstOf } from './rotation.ts'
import { jwksOf, type SigningKey, signingKey, verifyKeys } from './signing-key.ts'

const NOW = Date.UTC(2026, 5, 1)
const LIFE_SECONDS = 60
const device = generateKeyPair()
const connector = generateKeyPair()
const deviceId: DeviceId = deviceIdOf(device.publicKey)
const connectorId: ConnectorId = connectorIdOf(connector.publicKey)
const jkt = thumbprintOf(device.publicKey)
const network = '00000000-0000-4000-8000-000000000001' as NetworkId
const otherNetwork = '00000000-0000-4000-8000-000000000002' as NetworkId
const issuer = 'sallyport://default'
const enrolmentToken = `spe_${'A'.repeat(43)}`
const request = { method: 'GET', url: 'https://controller.example/v1/client', accessToken: 'token' }
const binding = { relay: 'r0.example', nonce: 'nonce', exporter: 'exporter' }

// One key for everything, so that nothing but the rules of each type tells one token from another.
const pem = fixedKeys
const key = <P extends SigningKey['purpose']>(purpose: P): SigningKey<P> => ({
  purpose,
  kid: thumbprintOf(pem.publicKey),
  ...pem,
})
const keys = verifyKeys(jwksOf(firstOf(key('clientAcl'))))
const life = (nowMs: number) => ({ nowMs, lifeSeconds: LIFE_SECONDS })
const clientAcl = { tenant: 'default', user: 'ann', device: deviceId, jkt, network, rev: 7, res: [] }
const connectorAcl = {
  tenant: 'default',
  network,
  rev: 7,
  guardExceptions: [],
  onControllerLoss: { mode: 'untilExpiry' as const },
  resources: [],
}
const trust = {
  tenant: 'default',
  network,
  rev: 7,
  tenantCa: 'PEM',
  jwks: { clientAcl: { keys: [] }, connectorAcl: { keys: [] } },
}

type Type = {
  issue: (nowMs: number) => string
  verify: (token: string, nowMs: number, leewaySeconds?: number) => unknown
}
const at = (nowMs: number, leewaySeconds?: number) =>
  leewaySeconds === undefined ? { nowMs } : { nowMs, leewaySeconds }
const types: Record<string, Type> = {
  clientAcl: {
    issue: nowMs => issueClientAcl(key('clientAcl'), clientAcl, life(nowMs)),
    verify: (token, ...when) => verifyClientAcl(token, { keys, issuer, network, jkt, ...at(...when) }),
  },
  connection: {
    issue: nowMs => issueConnectionToken(key('clientAcl'), { ...clientAcl, connectors: [] }, life(nowMs)),
    verify: (token, ...when) => verifyConnectionToken(token, { keys, issuer, device: deviceId, jkt, ...at(...when) }),
  },
  connectorAcl: {
    issue: nowMs => issueConnectorAcl(key('connectorAcl'), connectorAcl, life(nowMs)),
    verify: (token, ...when) => verifyConnectorAcl(token, { keys, issuer, network, ...at(...when) }),
  },
  trust: {
    issue: nowMs => issueTrustUpdate(key('connectorAcl'), trust, life(nowMs)),
    verify: (token, ...when) => verifyTrustUpdate(token, { keys, issuer, network, ...at(...when) }),
  },
  relayPass: {
    issue: nowMs => issueRelayPass(key('relayPass'), { connectorId, jkt, relay: 'r0.example' }, life(nowMs)),
    verify: (token, ...when) => verifyRelayPass(token, { keys, relay: 'r0.example', jkt, ...at(...when) }),
  },
  accessToken: {
    issue: nowMs =>
      issueAccessToken(
        key('accessToken'),
        { tenant: 'default', user: 'ann', device: deviceId, jkt, login: 'l1' },
        life(nowMs),
      ),
    verify: (token, ...when) => verifyAccessToken(token, { keys, issuer, jkt, ...at(...when) }),
  },
  controllerAssertion: {
    issue: nowMs => createControllerAssertion(connector, nowMs),
    verify: (token, ...when) => verifyControllerAssertion(token, at(...when)),
  },
  relayAssertion: {
    issue: nowMs => createRelayAssertion(connector, binding, nowMs),
    verify: (token, ...when) => verifyRelayAssertion(token, { ...binding, ...at(...when) }),
  },
  enrolmentProof: {
    issue: nowMs => createEnrolmentProof(connector, enrolmentToken, nowMs),
    verify: (token, ...when) =>
      verifyEnrolmentProof(token, { enrolmentToken, publicKey: connector.publicKey, ...at(...when) }),
  },
  dpop: {
    issue: nowMs => createDpopProof(device, request, nowMs),
    verify: (token, ...when) => verifyDpopProof(token, { ...request, ...at(...when) }),
  },
}
const names = Object.keys(types)
const typeOf = (name: string): Type => types[name]!

function codeOf(verify: () => unknown): string {
  try {
    verify()
  } catch (error) {
    if (error instanceof TrustError) return error.code
    throw error
  }
  return 'accepted'
}
const json = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString())
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
/** The token with other header or claims, signed again with the same key. */
function resign(
  token: string,
  change: (header: Record<string, unknown>, claims: Record<string, unknown>) => void,
): string {
  const [head, body] = token.split('.') as [string, string]
  const [header, claims] = [json(head), json(body)]
  change(header, claims)
  const privateKey = [fixedKeys, device, connector].find(({ publicKey }) =>
    header.jwk === undefined ? publicKey === fixedKeys.publicKey : publicJwk(publicKey).x === header.jwk.x,
  )!.privateKey
  const signed = `${part(header)}.${part(claims)}`
  return `${signed}.${sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

describe('every type of token', () => {
  const everyPair = names.flatMap(name => names.map(other => [name, other] as const))
  it.each(everyPair)('%s in the place of %s', (name, place) => {
    const code = codeOf(() => typeOf(place).verify(typeOf(name).issue(NOW), NOW))
    const assertions = ['controllerAssertion', 'relayAssertion']
    if (name === place) expect(code).toBe('accepted')
    else if (assertions.includes(name) && assertions.includes(place)) expect(code).toBe('wrong_audience')
    else expect(code).toBe('wrong_type')
  })

  describe.each(names)('%s', name => {
    const { issue, verify } = typeOf(name)
    const token = issue(NOW)
    const [head, body, signature] = token.split('.') as [string, string, string]

    it('is a JWS that jose accepts too', async () => {
      const { jwk } = json(head)
      const publicKey =
        jwk === undefined
          ? fixedKeys.publicKey
          : jwk.x === publicJwk(device.publicKey).x
            ? device.publicKey
            : connector.publicKey
      const verified = await compactVerify(token, publicKey, { algorithms: ['ES256'] })
      expect(JSON.parse(Buffer.from(verified.payload).toString())).toEqual(json(body))
    })
    it.each<[string, string]>([
      ['of algorithm none', `${part({ ...json(head), alg: 'none' })}.${body}.`],
      ['of algorithm none, with its signature', `${part({ ...json(head), alg: 'none' })}.${body}.${signature}`],
      ['of an HMAC with the public key', hmac({ ...json(head), alg: 'HS256' }, body)],
      ['of another elliptic curve', `${part({ ...json(head), alg: 'ES384' })}.${body}.${signature}`],
    ])('is refused when %s', (_, forged) => {
      expect(codeOf(() => verify(forged, NOW))).toMatch(/^(wrong_algorithm|malformed)$/)
    })
    it.each<[string, string, string]>([
      ['with another byte in its claims', `${head}.${flip(body)}.${signature}`, 'bad_signature'],
      ['with another byte in its signature', `${head}.${body}.${flip(signature)}`, 'bad_signature'],
      ['without signature', `${head}.${body}.`, 'bad_signature'],
      [
        'with a signature in DER',
        `${head}.${body}.${sign('sha256', Buffer.from(`${head}.${body}`), fixedKeys.privateKey).toString('base64url')}`,
        'bad_signature',
      ],
      ['with an all-zero signature', `${head}.${body}.${'A'.repeat(86)}`, 'bad_signature'],
      ['cut', token.slice(0, -1), 'malformed'],
      ['with a fourth part', `${token}.x`, 'malformed'],
      ['with padding', `${head}.${body}.${signature}==`, 'malformed'],
      ['with a space', ` ${token}`, 'malformed'],
      ['empty', '', 'malformed'],
      ['with a header that is no object', `${part([])}.${body}.${signature}`, 'malformed'],
      [
        'with a critical extension',
        `${part({ ...json(head), crit: ['b64'], b64: false })}.${body}.${signature}`,
        'malformed',
      ],
      [
        'with a header without end',
        `${part({ ...json(head), x: 'x'.repeat(1_000) })}.${body}.${signature}`,
        'malformed',
      ],
    ])('is refused %s', (_, forged, code) => {
      expect(codeOf(() => verify(forged, NOW))).toBe(code)
    })
    it('is refused when signed by someone else', () => {
      const stranger = generateKeyPair()
      const header = json(head)
      const forge = (changed: object) => {
        const signed = `${part(changed)}.${body}`
        const forged = sign('sha256', Buffer.from(signed), { key: stranger.privateKey, dsaEncoding: 'ieee-p1363' })
        return `${signed}.${forged.toString('base64url')}`
      }
      expect(codeOf(() => verify(forge(header), NOW))).toBe('bad_signature')
      const changed =
        header.jwk === undefined
          ? { ...header, kid: thumbprintOf(stranger.publicKey) }
          : { ...header, jwk: publicJwk(stranger.publicKey) }
      // A DPoP proof by any key is a proof of that key: what it is worth, the token beside it says.
      const wanted = name === 'dpop' ? 'accepted' : header.jwk === undefined ? 'unknown_key' : 'wrong_issuer'
      expect(codeOf(() => verify(forge(changed), NOW))).toBe(wanted)
    })
    it('takes no key from a header that should name one', () => {
      const swapped = resign(token, header => {
        if (header.jwk === undefined) delete header.kid
        else delete header.jwk
      })
      expect(codeOf(() => verify(swapped, NOW))).toMatch(/^(unknown_key|malformed)$/)
    })
    it('is refused without any one of its claims', () => {
      for (const claim of Object.keys(json(body))) {
        const lesser = resign(token, (_, claims) => {
          delete claims[claim]
        })
        const own = { nonce: 'wrong_nonce', exporter: 'wrong_connection', ath: 'wrong_request' }[claim]
        expect([claim, codeOf(() => verify(lesser, NOW))]).toEqual([claim, own ?? 'bad_claims'])
      }
    })
    it('is refused with a claim of another kind', () => {
      for (const claim of Object.keys(json(body))) {
        const odd = resign(token, (_, claims) => {
          claims[claim] = { toString: 'x' }
        })
        expect([claim, codeOf(() => verify(odd, NOW))]).toEqual([claim, 'bad_claims'])
      }
    })
    it('is good until its end and the leeway, exclusive', () => {
      expect(codeOf(() => verify(token, NOW + 89_999))).toBe('accepted')
      expect(codeOf(() => verify(token, NOW + 90_000))).toBe('expired')
      expect(codeOf(() => verify(token, NOW + 59_999, 0))).toBe('accepted')
      expect(codeOf(() => verify(token, NOW + 60_000, 0))).toBe('expired')
    })
    it('names the clocks when it comes from the future', () => {
      expect(codeOf(() => verify(token, NOW - 30_000))).toBe('accepted')
      expect(codeOf(() => verify(token, NOW - 30_001))).toBe('clock_skew')
      expect(codeOf(() => verify(token, NOW, 0))).toBe('accepted')
      expect(codeOf(() => verify(token, NOW - 1, 0))).toBe('clock_skew')
    })
    it('says nothing of itself in its errors', () => {
      expect(() => verify(`${head}.${flip(body)}.${signature}`, NOW)).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining(body.slice(0, 20)) }),
      )
    })
    it('is judged by its not-before', () => {
      const later = resign(token, (_, claims) => {
        claims.nbf = NOW / 1000 + 31
      })
      expect(codeOf(() => verify(later, NOW))).toBe('clock_skew')
    })
    it('has times that are numbers, or none', () => {
      for (const claim of ['iat', 'nbf', 'exp']) {
        const timeless = resign(token, (_, claims) => {
          claims[claim] = 'never'
        })
        expect(codeOf(() => verify(timeless, NOW + 1e9))).toBe('bad_claims')
      }
    })
  })

  it('throws nothing but TrustError at garbage', () => {
    const text = fc.oneof(
      fc.string(),
      fc.tuple(fc.base64String(), fc.base64String(), fc.base64String()).map(parts => parts.join('.')),
      fc
        .tuple(fc.json(), fc.json())
        .map(
          ([header, claims]) =>
            `${Buffer.from(header).toString('base64url')}.${Buffer.from(claims).toString('base64url')}.AAAA`,
        ),
    )
    fc.assert(
      fc.property(fc.constantFrom(...names), text, (name, garbage) => {
        expect(codeOf(() => typeOf(name).verify(garbage, NOW))).not.toBe('accepted')
        unverifiedIssuer(garbage)
      }),
    )
  })
  it('is refused whatever one character becomes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...names),
        fc.nat(),
        fc.constantFrom('A', 'z', '_', '.', '='),
        (name, position, character) => {
          const token = typeOf(name).issue(NOW)
          const place = position % token.length
          const changed = token.slice(0, place) + character + token.slice(place + 1)
          if (changed !== token) expect(codeOf(() => typeOf(name).verify(changed, NOW))).not.toBe('accepted')
        },
      ),
    )
  })
})

describe('a token for someone else', () => {
  const stranger = generateKeyPair()
  const otherJkt = thumbprintOf(stranger.publicKey)
  it.each<[string, () => unknown, string]>([
    [
      'Client ACL of another tenant',
      () => verifyClientAcl(typeOf('clientAcl').issue(NOW), { keys, issuer: 'sallyport://other', network, nowMs: NOW }),
      'wrong_issuer',
    ],
    [
      'Client ACL of another network',
      () => verifyClientAcl(typeOf('clientAcl').issue(NOW), { keys, issuer, network: otherNetwork, nowMs: NOW }),
      'wrong_audience',
    ],
    [
      'Client ACL of another device',
      () => verifyClientAcl(typeOf('clientAcl').issue(NOW), { keys, issuer, network, jkt: otherJkt, nowMs: NOW }),
      'wrong_key',
    ],
    [
      'Client ACL signed with a key of another tenant',
      () =>
        verifyClientAcl(issueClientAcl(signingKey('clientAcl'), clientAcl, life(NOW)), {
          keys,
          issuer,
          network,
          nowMs: NOW,
        }),
      'unknown_key',
    ],
    [
      'connection token of another tenant',
      () =>
        verifyConnectionToken(typeOf('connection').issue(NOW), {
          keys,
          issuer: 'sallyport://other',
          device: deviceId,
          nowMs: NOW,
        }),
      'wrong_issuer',
    ],
    [
      'connection token of another device',
      () =>
        verifyConnectionToken(typeOf('connection').issue(NOW), {
          keys,
          issuer,
          device: deviceIdOf(stranger.publicKey),
          nowMs: NOW,
        }),
      'wrong_audience',
    ],
    [
      'connection token of another key',
      () =>
        verifyConnectionToken(typeOf('connection').issue(NOW), {
          keys,
          issuer,
          device: deviceId,
          jkt: otherJkt,
          nowMs: NOW,
        }),
      'wrong_key',
    ],
    [
      'Connector ACL of another network',
      () => verifyConnectorAcl(typeOf('connectorAcl').issue(NOW), { keys, issuer, network: otherNetwork, nowMs: NOW }),
      'wrong_audience',
    ],
    [
      'Connector ACL of another tenant',
      () =>
        verifyConnectorAcl(typeOf('connectorAcl').issue(NOW), {
          keys,
          issuer: 'sallyport://other',
          network,
          nowMs: NOW,
        }),
      'wrong_issuer',
    ],
    [
      'trust update of another network',
      () => verifyTrustUpdate(typeOf('trust').issue(NOW), { keys, issuer, network: otherNetwork, nowMs: NOW }),
      'wrong_audience',
    ],
    [
      'relay pass for Relay A at Relay B',
      () => verifyRelayPass(typeOf('relayPass').issue(NOW), { keys, relay: 'r1.example', jkt, nowMs: NOW }),
      'wrong_audience',
    ],
    [
      'relay pass with another key',
      () => verifyRelayPass(typeOf('relayPass').issue(NOW), { keys, relay: 'r0.example', jkt: otherJkt, nowMs: NOW }),
      'wrong_key',
    ],
    [
      'access token with another device key',
      () => verifyAccessToken(typeOf('accessToken').issue(NOW), { keys, issuer, jkt: otherJkt, nowMs: NOW }),
      'wrong_key',
    ],
    [
      'access token of another tenant',
      () => verifyAccessToken(typeOf('accessToken').issue(NOW), { keys, issuer: 'sallyport://other', jkt, nowMs: NOW }),
      'wrong_issuer',
    ],
    [
      'assertion for Relay A at Relay B',
      () => verifyRelayAssertion(typeOf('relayAssertion').issue(NOW), { ...binding, relay: 'r1.example', nowMs: NOW }),
      'wrong_audience',
    ],
    [
      'assertion for another challenge',
      () => verifyRelayAssertion(typeOf('relayAssertion').issue(NOW), { ...binding, nonce: 'other', nowMs: NOW }),
      'wrong_nonce',
    ],
    [
      'assertion on another connection',
      () => verifyRelayAssertion(typeOf('relayAssertion').issue(NOW), { ...binding, exporter: 'other', nowMs: NOW }),
      'wrong_connection',
    ],
    [
      'enrolment proof for another token',
      () =>
        verifyEnrolmentProof(typeOf('enrolmentProof').issue(NOW), {
          enrolmentToken: 'spe_x',
          publicKey: connector.publicKey,
          nowMs: NOW,
        }),
      'wrong_nonce',
    ],
    [
      'enrolment proof of another key',
      () =>
        verifyEnrolmentProof(typeOf('enrolmentProof').issue(NOW), {
          enrolmentToken,
          publicKey: stranger.publicKey,
          nowMs: NOW,
        }),
      'wrong_key',
    ],
    [
      'assertion that speaks of another Connector',
      () =>
        verifyControllerAssertion(
          resign(typeOf('controllerAssertion').issue(NOW), (_, claims) => {
            claims.sub = connectorIdOf(stranger.publicKey)
          }),
          { nowMs: NOW },
        ),
      'wrong_subject',
    ],
    [
      'assertion that gives itself a longer life',
      () =>
        verifyControllerAssertion(
          resign(typeOf('controllerAssertion').issue(NOW), (_, claims) => {
            claims.exp = NOW / 1000 + 3_600
          }),
          { nowMs: NOW + 90_000 },
        ),
      'expired',
    ],
  ])('is refused: %s', (_, verify, code) => {
    expect(codeOf(verify)).toBe(code)
  })
})

describe('a DPoP proof', () => {
  const proof = createDpopProof(device, request, NOW)
  const verify = (rest: Partial<typeof request>) =>
    codeOf(() => verifyDpopProof(proof, { ...request, ...rest, nowMs: NOW }))
  it.each([
    ['the same request', {}, 'accepted'],
    ['the method in another case', { method: 'get' }, 'accepted'],
    ['query and fragment', { url: 'https://controller.example/v1/client?a=b#c' }, 'accepted'],
    ['the default port', { url: 'https://CONTROLLER.example:443/v1/client' }, 'accepted'],
    ['another method', { method: 'POST' }, 'wrong_request'],
    ['another path', { url: 'https://controller.example/v1/clients' }, 'wrong_request'],
    ['another host', { url: 'https://evil.example/v1/client' }, 'wrong_request'],
    ['another scheme', { url: 'http://controller.example/v1/client' }, 'wrong_request'],
    ['what is no URL', { url: '/v1/client' }, 'wrong_request'],
    ['another access token', { accessToken: 'other' }, 'wrong_request'],
  ])('with %s: %s', (_, rest, wanted) => {
    expect(verify(rest)).toBe(wanted)
  })
  it('without a token is no proof with one, and the other way round', () => {
    const { method, url } = request
    const bare = createDpopProof(device, { method, url }, NOW)
    expect(codeOf(() => verifyDpopProof(bare, { method, url, nowMs: NOW }))).toBe('accepted')
    expect(codeOf(() => verifyDpopProof(bare, { ...request, nowMs: NOW }))).toBe('wrong_request')
    expect(codeOf(() => verifyDpopProof(proof, { method, url, nowMs: NOW }))).toBe('wrong_request')
  })
  it('proves its key and has an id of its own', () => {
    const first = verifyDpopProof(proof, { ...request, nowMs: NOW })
    expect(first.jkt).toBe(jkt)
    expect(first.jti).not.toBe(verifyDpopProof(createDpopProof(device, request, NOW), { ...request, nowMs: NOW }).jti)
  })
})

describe('what a token says', () => {
  it('comes out as it went in', () => {
    expect(typeOf('clientAcl').verify(typeOf('clientAcl').issue(NOW), NOW)).toEqual({
      iss: issuer,
      sub: 'ann',
      aud: `network:${network}`,
      iat: NOW / 1000,
      exp: NOW / 1000 + 60,
      device: deviceId,
      cnf: { jkt },
      rev: 7,
      res: [],
    })
    expect(verifyControllerAssertion(createControllerAssertion(connector, NOW), { nowMs: NOW })).toMatchObject({
      connectorId,
      jkt: thumbprintOf(connector.publicKey),
      expiresAtMs: NOW + 60_000,
    })
  })
  it('names no tenant, network or person in a relay pass', () => {
    const pass = Buffer.from(typeOf('relayPass').issue(NOW).split('.')[1]!, 'base64url').toString()
    expect(Object.keys(JSON.parse(pass)).sort()).toEqual(['aud', 'cnf', 'exp', 'iat', 'iss', 'sub'])
    expect(pass).not.toContain('default')
  })
  it('tells its issuer before it is verified, and only that', () => {
    expect(unverifiedIssuer(typeOf('clientAcl').issue(NOW))).toBe(issuer)
    expect(unverifiedIssuer('a.b.c')).toBeUndefined()
  })
  it('accepts a golden token of an earlier version', () => {
    expect(codeOf(() => typeOf('relayPass').verify(GOLDEN_PASS, NOW))).toBe('wrong_key')
    const pass = verifyRelayPass(GOLDEN_PASS, {
      keys,
      relay: 'r0.example',
      jkt: thumbprintOf(fixedKeys.publicKey),
      nowMs: NOW,
    })
    expect(pass.sub).toBe(connectorIdOf(fixedKeys.publicKey))
  })
})

const GOLDEN_PASS =
  'eyJhbGciOiJFUzI1NiIsInR5cCI6InJlbGF5LXBhc3Mrand0Iiwia2lkIjoiRE92eHZKaUFkSXFWV0lrRnQ1aER0Q3VuWExGMEJW' +
  'NC1KR3Y0Zi1BTFNtMCJ9.eyJpc3MiOiJzYWxseXBvcnQiLCJzdWIiOiJsajVocnRmZXVkMmNid240bWs1d25oYjRlNW02aGgzcyI' +
  'sImF1ZCI6InJlbGF5OnIwLmV4YW1wbGUiLCJpYXQiOjE3ODAyNzIwMDAsImV4cCI6MTc4MDI3NTYwMCwiY25mIjp7ImprdCI6IkR' +
  'Pdnh2SmlBZElxVldJa0Z0NWhEdEN1blhMRjBCVjQtSkd2NGYtQUxTbTAifX0.UupPn213ey079N9EjSgoxgaTLSgyYGj--BmWYeW' +
  'KPKWeZGz62NKVVFZ9qtXN2iAI5lSty9ufrWHnhXP5nzH3Og'

function flip(text: string): string {
  return (text.startsWith('A') ? 'B' : 'A') + text.slice(1)
}

function hmac(header: object, body: string): string {
  const signed = `${part(header)}.${body}`
  const secret = fixedKeys.publicKey.export({ type: 'spki', format: 'pem' })
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}
