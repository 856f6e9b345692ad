import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog, systemClock } from '@sallyport/runtime'
import type { OperatorJwks } from '@sallyport/schema'
import { generateKeyPair, type KeyPair, publicJwk } from '@sallyport/trust'
import { afterAll, describe, expect, it } from 'vitest'
import { createOperatorAuth } from './operator-auth.ts'
import { OPERATOR_ISSUER, OPERATOR_SUBJECT, operatorToken } from './test/operator.ts'

const url = 'https://controller.test'
const dir = mkdtempSync(join(tmpdir(), 'sallyport-operator-'))
const [keys, others] = [generateKeyPair(), generateKeyPair()]
const jwksOf = ({ publicKey }: KeyPair) => ({ keys: [{ ...publicJwk(publicKey), kid: 'operator', alg: 'ES256' }] })
afterAll(() => rmSync(dir, { recursive: true, force: true }))

function authWith(jwks: OperatorJwks, audience?: string) {
  const subject = `${OPERATOR_SUBJECT}-default-cluster`
  const operator = { issuer: OPERATOR_ISSUER, jwks, subject, source: 'cluster', ...(audience && { audience }) }
  const tenants = [{ name: 'default', operators: [operator] }]
  const auth = createOperatorAuth({ tenants, url, clockLeewaySeconds: 30 }, { clock: systemClock, log: silentLog })
  return (token: string) => auth(`Bearer ${token}`)
}

describe('an operator', () => {
  it('is who its issuer, subject and audience say, exactly', async () => {
    const auth = authWith(jwksOf(keys))
    expect(await auth(operatorToken(keys, url))).toEqual({ tenant: 'default', source: 'cluster' })
    for (const changes of [{ sub: 'system:serviceaccount:evil:pod' }, { aud: 'https://else' }, { iss: 'https://else' }])
      await expect(auth(operatorToken(keys, url, changes))).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  it('is known for the audience that its tenant configures', async () => {
    const auth = authWith(jwksOf(keys), 'sallyport')
    expect(await auth(operatorToken(keys, url, { aud: 'sallyport' }))).toMatchObject({ source: 'cluster' })
    await expect(auth(operatorToken(keys, url))).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  it('whose keys stand in a file is known as soon as the file has them, and no longer than that', async () => {
    const file = join(dir, 'jwks.json')
    const auth = authWith({ file })
    await expect(auth(operatorToken(keys, url))).rejects.toMatchObject({ code: 'unavailable' })
    writeFileSync(file, JSON.stringify(jwksOf(keys)))
    expect(await auth(operatorToken(keys, url))).toMatchObject({ source: 'cluster' })
    writeFileSync(file, JSON.stringify(jwksOf(others)))
    await expect(auth(operatorToken(keys, url))).rejects.toMatchObject({ code: 'unauthenticated' })
    expect(await auth(operatorToken(others, url))).toMatchObject({ source: 'cluster' })
  })

  it('whose keys are served is known by them; without them nobody is', async () => {
    const server = createServer((request, response) => {
      response.writeHead(request.url === '/jwks' ? 200 : 404).end(JSON.stringify(jwksOf(keys)))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    expect(await authWith({ url: `${base}/jwks` })(operatorToken(keys, url))).toMatchObject({ source: 'cluster' })
    await expect(authWith({ url: `${base}/none` })(operatorToken(keys, url))).rejects.toMatchObject({
      code: 'unavailable',
    })
    server.close()
  })

  it('whom nobody knows cannot make the Controller ask for keys many times at once', async () => {
    let asked = 0
    const server = createServer((_request, response) => {
      asked++
      response.writeHead(503).end()
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const auth = authWith({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks` })
    const strangers = Array.from({ length: 50 }, () => auth(operatorToken(others, url)))
    const outcomes = await Promise.allSettled(strangers)
    expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true)
    expect(asked).toBe(1)
    server.close()
  })
})
