import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { KubeConfig } from '@kubernetes/client-node'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { KubeObject } from '../object.ts'
import { asText, Kube } from './kube.ts'

let status = 200
let details: object | undefined
const server = createServer((_, response) => {
  response.writeHead(status, { 'content-type': 'application/json' })
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

it.each([
  ['the object', { name: 'b' }, 'not_found'],
  ['nothing that was asked for', undefined, 'unavailable'],
])('a 404 that names %s is %s', async (_, named, code) => {
  status = 404
  details = named
  await expect(new Kube(config, () => undefined).apply(group)).rejects.toMatchObject({ code })
})
