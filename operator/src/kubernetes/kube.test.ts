import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { KubeConfig } from '@kubernetes/client-node'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { KubeObject } from '../object.ts'
import { asText, Kube } from './kube.ts'

let status = 200
let details: object | undefined
const GROUPS = { name: 'groups', kind: 'Group', namespaced: true, verbs: ['get'] }
const SERVED = '/apis/sallyport.dev/v1alpha1'
const server = createServer(({ url }, response) => {
  const isDiscovery = url === SERVED
  response.writeHead(isDiscovery ? 200 : status, { 'content-type': 'application/json' })
  if (isDiscovery) return void response.end(JSON.stringify({ kind: 'APIResourceList', resources: [GROUPS] }))
  response.end(JSON.stringify({ kind: 'Status', message: 'as asked', details, code: status }))
})
const config = new KubeConfig()
beforeAll(async () => {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  config.loadFromClusterAndUser({ name: 'c', server: `http://127.0.0.1:${port}`, skipTLSVerify: true }, { name: 'u' })
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const group = { apiVersion: 'sallyport.dev/v1alpha1', kind: 'Group', metadata: { namespace: 'a', name: 'b' } }

it('gives times as a watch does, and texts that look like times as they are', () => {
  const name = '2026-01-01T00:00:00.000Z'
  const read = { kind: 'Group', metadata: { name, creationTimestamp: new Date(name) } }
  expect(asText(read).metadata).toEqual({ name, creationTimestamp: '2026-01-01T00:00:00Z' })
})

it.each([
  [400, 'refused'],
  [403, 'refused'],
  [422, 'refused'],
  [409, 'conflict'],
  [401, 'unavailable'],
  [408, 'unavailable'],
  [429, 'unavailable'],
  [500, 'unavailable'],
  [503, 'unavailable'],
])('a write that the API server answers with %i is %s', async (answered, code) => {
  status = answered
  details = { name: 'b' }
  const kube = new Kube(config, () => undefined)
  const lease: KubeObject & { spec: object } = {
    ...group,
    metadata: { ...group.metadata, resourceVersion: '1' },
    spec: {},
  }
  await expect(kube.writeLease(lease)).rejects.toMatchObject({ code })
})

it('takes an object for absent where a 404 names it, and not where it names none', async () => {
  const kube = new Kube(config, () => undefined)
  status = 404
  details = { name: 'b' }
  expect(await kube.read(group)).toBeUndefined()
  expect(await kube.lease('a', 'b')).toBeUndefined()
  await expect(kube.apply(group)).rejects.toMatchObject({ code: 'not_found' })
  details = undefined
  await expect(kube.read(group)).rejects.toMatchObject({ code: 'unavailable' })
  await expect(kube.lease('a', 'b')).rejects.toMatchObject({ code: 'unavailable' })
  await expect(kube.apply(group)).rejects.toMatchObject({ code: 'unavailable' })
})
