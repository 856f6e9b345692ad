import { X509Certificate } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { parser, Type } from '@sallyport/schema'
import { pinOf } from '@sallyport/trust'
import { afterEach, describe, expect, it } from 'vitest'
import { createControllerClient } from './controller-client.ts'
import { ControllerError, RuntimeError } from './error.ts'
import { fetchPinnedCa } from './pinned-ca.ts'
import { servingIdentity, startRefusing, startServer } from './test/server.ts'

const identity = servingIdentity()
const answer = parser(Type.Object({ revision: Type.Integer() }))
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void

async function start(handler: Handler) {
  const server = await startServer(identity, async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    handler(request, response, Buffer.concat(chunks).toString())
  })
  const client = createControllerClient({
    url: `https://127.0.0.1:${server.port}/`,
    ca: () => identity.ca,
    headers: async (method, url) => ({ authorization: `Bearer ${method} ${new URL(url).pathname}` }),
  })
  cleanups.push(
    () => server.close(),
    () => client.close(),
  )
  return { server, client }
}

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('it did not fail')
    },
    (error: unknown) => error,
  )

describe('the REST client of the Controller', () => {
  it('keeps the connections of many requests at a time for those that follow', async () => {
    const { client, server } = await start((_request, response) => response.end('{"revision": 3}'))
    const many = () =>
      Promise.all(Array.from({ length: 40 }, () => client.request({ method: 'GET', path: '/v1/groups/x', answer })))
    await many()
    const made = server.connections()
    for (let round = 0; round < 5; round++) await many()
    expect(server.connections()).toBe(made)
  })

  it('sends JSON with a credential and checks the answer', async () => {
    const seen: unknown[] = []
    const { client, server } = await start((request, response, body) => {
      seen.push([request.method, request.url, request.headers.authorization, body])
      response.end('{"revision": 3, "more": 1}')
    })
    const result = await client.request({ method: 'PUT', path: '/v1/groups/x', body: { a: 1 }, answer })
    expect(result.revision).toBe(3)
    await client.request({ method: 'GET', path: '/v1/groups/x' })
    expect(seen).toEqual([
      ['PUT', '/v1/groups/x', 'Bearer PUT /v1/groups/x', '{"a":1}'],
      ['GET', '/v1/groups/x', 'Bearer GET /v1/groups/x', ''],
    ])
    expect(server.connections()).toBe(1)
  })

  it('turns a refusal into an error with status, code and fields', async () => {
    const { client } = await start((_, response) => {
      response.writeHead(409).end('{"error":"slot_occupied","message":"the slot is occupied","fields":[]}')
    })
    const error = await failure(client.request({ method: 'POST', path: '/v1/enroll', body: {}, answer }))
    expect(error).toBeInstanceOf(ControllerError)
    expect(error).toMatchObject({ status: 409, code: 'slot_occupied', message: 'the slot is occupied', fields: [] })
  })

  it('names a failure without a body that it knows', async () => {
    const { client } = await start((_, response) => response.writeHead(502).end('<html>'))
    expect(await failure(client.request({ method: 'GET', path: '/' }))).toMatchObject({
      status: 502,
      code: 'unexpected_status',
    })
  })

  it.each([
    ['another shape', '{"revision": "3"}'],
    ['no JSON', 'revision'],
  ])('refuses an answer of %s', async (_, text) => {
    const { client } = await start((_request, response) => response.end(text))
    expect(await failure(client.request({ method: 'GET', path: '/', answer }))).toMatchObject({ code: 'bad_answer' })
  })

  it('gives up after its time, and when it is told to', async () => {
    const { client } = await start(() => undefined)
    expect(await failure(client.request({ method: 'GET', path: '/', timeoutMs: 50 }))).toMatchObject({
      code: 'timeout',
    })
    const abort = new AbortController()
    const request = client.request({ method: 'GET', path: '/', signal: abort.signal })
    abort.abort()
    expect(await failure(request)).toMatchObject({ code: 'aborted' })
  })

  it('goes on when the server has closed the kept connection', async () => {
    const { client, server } = await start((_, response) => response.end('{"revision": 1}'))
    await client.request({ method: 'GET', path: '/', answer })
    server.drop()
    expect((await client.request({ method: 'GET', path: '/', answer })).revision).toBe(1)
  })

  it('sends nothing to a server that it cannot trust', async () => {
    let asked = 0
    const { server } = await start((_, response) => {
      asked++
      response.end()
    })
    const stranger = createControllerClient({
      url: `https://127.0.0.1:${server.port}`,
      ca: () => servingIdentity().ca,
      headers: async () => ({ authorization: 'Bearer secret' }),
    })
    const error = await failure(stranger.request({ method: 'GET', path: '/' }))
    expect(error).toBeInstanceOf(RuntimeError)
    expect(error).toMatchObject({ code: 'tls_failed' })
    expect(asked).toBe(0)
  })

  it('says refused where nobody listens', async () => {
    const { port, close } = await startRefusing()
    const client = createControllerClient({ url: `https://127.0.0.1:${port}` })
    expect(await failure(client.request({ method: 'GET', path: '/' }))).toMatchObject({ code: 'refused' })
    close()
  })
})

describe('a CA by its pin', () => {
  const pin = (pem: string) => Buffer.from(pinOf(new X509Certificate(pem).publicKey), 'base64url')

  it('is fetched from the chain that the server shows', async () => {
    const { server } = await start((_, response) => response.end())
    const pem = await fetchPinnedCa('127.0.0.1', server.port, pin(identity.ca))
    expect(new X509Certificate(pem).fingerprint256).toBe(new X509Certificate(identity.ca).fingerprint256)
  })

  it('is not taken when its key is another', async () => {
    const { server } = await start((_, response) => response.end())
    const stranger = pin(servingIdentity().ca)
    await expect(fetchPinnedCa('127.0.0.1', server.port, stranger)).rejects.toMatchObject({ code: 'pin_mismatch' })
  })

  it('is not taken from a certificate that is no CA', async () => {
    const { server } = await start((_, response) => response.end())
    const leaf = pin(identity.cert)
    await expect(fetchPinnedCa('127.0.0.1', server.port, leaf)).rejects.toMatchObject({ code: 'pin_mismatch' })
  })
})
