/** An operator as the Controller knows it: its token, and what it declares. */

import { createHash, type KeyObject, sign } from 'node:crypto'
import { systemClock } from '@sallyport/runtime'
import type { DeclaredKind } from '@sallyport/schema'
import type { KeyPair } from '@sallyport/trust'
import type { Call } from './call.ts'
import type { Ground } from './channel.ts'

export const OPERATOR_ISSUER = 'https://cluster.test'
export const OPERATOR_SUBJECT = 'system:serviceaccount:sallyport:operator'
export const CREATED_AT = '2026-01-01T00:00:00Z'

export const operatorSubject = (tenant: string, source: string) => `${OPERATOR_SUBJECT}-${tenant}-${source}`

/** UID of a thing in a test, from its name. */
export function uid(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
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

/** An operator with the right token, but for `changes`. */
export function operatorHand(
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
