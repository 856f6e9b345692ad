import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { createServer as createTlsServer, get } from 'node:https'
import { type AddressInfo, connect, type Server as NetServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts, run } from '@sallyport/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { writeFiles } from './test/lab.ts'

const dir = mkdtempSync(join(tmpdir(), 'sallyport-proxy-'))
const files = writeFiles(dir)
/** Environment of the image. */
const image = Object.fromEntries(
  [...readFileSync(join(import.meta.dirname, '../Dockerfile'), 'utf8').matchAll(/^ENV (\w+)=(.*)$/gm)].map(
    ([, name, value]) => [name, value],
  ),
)
let proxy: Server
/** Targets that the proxy was asked for. */
const asked: string[] = []
/** An identity provider and an API server in one. */
let issuer: NetServer

beforeAll(async () => {
  proxy = createServer().on('connect', ({ url = '' }, near, head) => {
    asked.push(url)
    const { hostname, port } = new URL(`tcp://${url}`)
    const far = connect(Number(port), hostname, () => {
      near.write('HTTP/1.1 200 OK\r\n\r\n')
      far.write(head)
      far.pipe(near).pipe(far)
    })
    near.on('error', () => far.destroy())
    far.on('error', () => near.destroy())
  })
  const { certFile, keyFile } = files.paths.tls
  issuer = createTlsServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, ({ url }, response) => {
    const issuer = base()
    const metadata = { issuer, authorization_endpoint: `${issuer}/authorize`, jwks_uri: `${issuer}/jwks` }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(url === '/openid/v1/jwks' ? { keys: [] } : metadata))
  })
  for (const server of [proxy, issuer])
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', () => resolve()))
})
beforeEach(() => {
  asked.length = 0
})
afterAll(() => {
  for (const server of [proxy, issuer]) server.close()
  rmSync(dir, { recursive: true, force: true })
})

const portOf = (server: NetServer) => (server.address() as AddressInfo).port
const base = () => `https://127.0.0.1:${portOf(issuer)}`
const environment = () => ({
  ...image,
  NODE_EXTRA_CA_CERTS: join(dir, 'ca.crt'),
  HTTP_PROXY: `http://127.0.0.1:${portOf(proxy)}`,
  HTTPS_PROXY: `http://127.0.0.1:${portOf(proxy)}`,
  NO_PROXY: '',
})

/** Where a Controller that runs in `env` sends someone who logs in. */
async function sentTo(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const [port] = await freePorts(1)
  const url = `https://127.0.0.1:${port}`
  const provider = {
    name: 'company',
    type: 'oidc',
    issuer: base(),
    clientId: 'sallyport',
    emailDomains: ['example.com'],
  }
  const config = {
    ...{ url, listen: `127.0.0.1:${port}`, metricsListen: '127.0.0.1:0', ...files.paths },
    database: { path: join(dir, `${port}.db`) },
    tenants: [{ name: 'default', identityProviders: [provider] }],
  }
  writeFileSync(join(dir, 'controller.json'), JSON.stringify(config))
  const args = [join(import.meta.dirname, 'main.ts'), '--config', join(dir, 'controller.json')]
  const controller = run({ name: 'controller', args, env })
  await controller.line(/"msg":"serving"/)
  const query = new URLSearchParams({
    ...{ response_type: 'code', client_id: 'sallyport', redirect_uri: 'http://127.0.0.1:9/callback' },
    ...{ state: 'x'.repeat(16), code_challenge: 'x'.repeat(43), code_challenge_method: 'S256' },
    dpop_jkt: 'x'.repeat(43),
  })
  const location = await new Promise<string | undefined>((resolve, reject) => {
    get(`${url}/oauth/authorize?${query}`, { ca: files.ca.certificatePem, agent: false }, response => {
      response.resume()
      resolve(response.headers.location)
    }).on('error', reject)
  })
  await controller.stop()
  return location
}

describe('a Controller in its image, where the environment names a proxy', { timeout: 120_000 }, () => {
  it('reaches its identity provider through it', async () => {
    expect(await sentTo(environment())).toMatch(`${base()}/authorize?`)
    expect(asked).toEqual([`127.0.0.1:${portOf(issuer)}`])
  })

  it('goes past it to what NO_PROXY names', async () => {
    expect(await sentTo({ ...environment(), NO_PROXY: '127.0.0.1' })).toMatch(`${base()}/authorize?`)
    expect(asked).toEqual([])
  })

  it('needs the variable of its image for it', async () => {
    expect(await sentTo({ ...environment(), NODE_USE_ENV_PROXY: '0' })).toMatch(`${base()}/authorize?`)
    expect(asked).toEqual([])
  })

  it('asks the API server of its cluster directly', async () => {
    writeFileSync(join(dir, 'token'), 'token')
    const args = [join(import.meta.dirname, 'test/discover.ts'), dir, base()]
    const found = run({ name: 'discover', args, env: environment() })
    expect(JSON.parse(await found.line(/issuer/))).toEqual({ issuer: base(), jwks: { keys: [] } })
    expect(await found.ended).toBe(0)
    expect(asked).toEqual([])
  })
})
