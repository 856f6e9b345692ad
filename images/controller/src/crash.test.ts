import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts, run } from '@sallyport/testkit'
import { generateKeyPair, publicJwk } from '@sallyport/trust'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeFiles } from './test/lab.ts'
import { bodies, OPERATOR_ISSUER, OPERATOR_SUBJECT, operatorToken, uid } from './test/operator.ts'

const main = join(import.meta.dirname, 'main.ts')
const dir = mkdtempSync(join(tmpdir(), 'sallyport-crash-'))
const configFile = join(dir, 'controller.json')
const keys = generateKeyPair()
let url = ''
let ca = ''

beforeAll(async () => {
  const [port] = await freePorts(1)
  url = `https://127.0.0.1:${port}`
  const files = writeFiles(dir)
  ca = files.ca.certificatePem
  const jwks = { keys: [{ ...publicJwk(keys.publicKey), kid: 'operator', alg: 'ES256' }] }
  const subject = `${OPERATOR_SUBJECT}-default-cluster`
  const operators = [{ issuer: OPERATOR_ISSUER, jwks, subject, source: 'cluster' }]
  const config = {
    ...{ url, listen: `127.0.0.1:${port}`, metricsListen: '127.0.0.1:0', ...files.paths },
    ...{ database: { path: join(dir, 'controller.db') }, tenants: [{ name: 'default', operators }] },
  }
  writeFileSync(configFile, JSON.stringify(config))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const start = async () => {
  const process = run({ name: 'controller', args: [main, '--config', configFile] })
  await process.line(/"msg":"serving"/, 60_000)
  return process
}

function call(method: string, path: string, body?: unknown): Promise<{ status: number; text: string }> {
  const headers = { authorization: `Bearer ${operatorToken(keys, url)}`, 'content-type': 'application/json' }
  return new Promise((resolve, reject) => {
    const sent = request(`${url}${path}`, { method, ca, headers, agent: false }, response => {
      let text = ''
      response.on('data', chunk => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
      response.on('error', reject)
    })
    sent.on('error', reject)
    sent.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

describe('a Controller killed in the middle of writes', () => {
  it('has everything that it acknowledged when it is back', { timeout: 180_000 }, async () => {
    const first = await start()
    const acknowledged: string[] = []
    let killed: Promise<unknown> | undefined
    const write = async (lane: number) => {
      for (let index = 0; index < 500; index++) {
        const name = `g-${lane}-${index}`
        const answer = await call('PUT', `/v1/groups/${uid(name)}`, bodies.group(name, [])).catch(() => undefined)
        if (answer?.status !== 200) return
        acknowledged.push(name)
        if (acknowledged.length === 60) killed = first.stop('SIGKILL')
      }
    }
    await Promise.all([0, 1, 2, 3].map(write))
    await killed
    expect(await first.ended).toBe('SIGKILL')
    expect(acknowledged.length).toBeGreaterThanOrEqual(60)

    const second = await start()
    const answers = await Promise.all(acknowledged.map(name => call('GET', `/v1/groups/${uid(name)}`)))
    expect(answers.filter(({ status }) => status !== 200)).toEqual([])
    const again = await call('PUT', `/v1/groups/${uid(acknowledged[0]!)}`, bodies.group(acknowledged[0]!, []))
    expect(JSON.parse(again.text)).toMatchObject({ changed: false })
    expect(await second.stop()).toBe(0)
  })
})

describe('a Controller beside another one on the same database', () => {
  const second = (startupWaitSeconds: number) => {
    const file = join(dir, `second-${startupWaitSeconds}.json`)
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(configFile, 'utf8')), startupWaitSeconds }))
    return run({ name: 'second', args: [main, '--config', file] })
  }

  it('serves nobody, and ends when that one stays', { timeout: 120_000 }, async () => {
    const first = await start()
    const other = second(1)
    expect(await other.ended).toBe(1)
    expect(other.lines.join('\n')).toContain('another Controller still has it after 1 s; only one may run')
    expect(other.lines.join('\n')).not.toContain('"msg":"serving"')
    expect((await call('PUT', `/v1/groups/${uid('one')}`, bodies.group('one', []))).status).toBe(200)
    expect(await first.stop()).toBe(0)
  })

  it.each(['SIGTERM', 'SIGKILL'] as const)('serves once that one has ended by %s', { timeout: 120_000 }, async how => {
    const first = await start()
    const other = second(60)
    await other.line(/waiting for another Controller/, 60_000)
    await first.stop(how)
    await other.line(/"msg":"serving"/, 60_000)
    expect(await other.stop()).toBe(0)
  })
})

describe('a Controller that waits for what it needs', () => {
  it('ends at once when it is told to', { timeout: 120_000 }, async () => {
    const first = await start()
    const other = run({ name: 'second', args: [main, '--config', configFile] })
    await other.line(/waiting for another Controller/, 60_000)
    expect(await other.stop()).toBe(0)
    expect(await first.stop()).toBe(0)
  })
})

describe('a Controller that is misconfigured', () => {
  it('names every problem at once and exits 1', async () => {
    const file = join(dir, 'bad.json')
    const tenants = [
      { name: 'default', operators: [{ jwks: { keys: [{}] }, subject: 's', source: 'a' }] },
      { name: 'default' },
    ]
    const good = { url, database: { path: 'x' }, storeKeyFile: 'k', tls: { certFile: 'c', keyFile: 'k' } }
    writeFileSync(file, JSON.stringify({ ...good, tenants }))
    const process = run({ name: 'controller', args: [main, '--config', file] })
    expect(await process.ended).toBe(1)
    const said = process.lines.join('\n')
    expect(said).toMatch(/tenants\.0\.operators\.0\.issuer: is missing/)
    expect(said).toMatch(/tenants\.1\.name: is used twice/)
  })

  it('names every field that its schema refuses', async () => {
    const file = join(dir, 'worse.json')
    writeFileSync(file, JSON.stringify({ url: 'ftp://x', listen: 5, colour: 'red' }))
    const process = run({ name: 'controller', args: [main, '--config', file] })
    expect(await process.ended).toBe(1)
    const said = process.lines.join('\n')
    for (const field of ['url', 'listen', 'colour', 'database', 'storeKeyFile', 'tls', 'tenants'])
      expect(said).toContain(field)
  })

  it('waits for its certificate up to the limit, and says so', { timeout: 120_000 }, async () => {
    const file = join(dir, 'early.json')
    const tls = { certFile: join(dir, 'none.crt'), keyFile: join(dir, 'none.key') }
    const config = { url, metricsListen: '127.0.0.1:0', database: { path: join(dir, 'e.db') }, startupWaitSeconds: 1 }
    writeFileSync(
      file,
      JSON.stringify({ ...config, storeKeyFile: join(dir, 'store.key'), tls, tenants: [{ name: 'default' }] }),
    )
    const process = run({ name: 'controller', args: [main, '--config', file] })
    await process.line(/waiting for certificate/, 60_000)
    expect(await process.ended).toBe(1)
    expect(process.lines.join('\n')).toMatch(/not usable after 1 s/)
  })
})
