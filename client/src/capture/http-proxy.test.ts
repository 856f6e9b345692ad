import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeRefusal, type HttpRead, MAX_HEAD_BYTES, readProxyRequest } from './http-proxy.ts'

const read = (text: string): HttpRead => readProxyRequest(Buffer.from(text, 'latin1'))

describe('a request to the proxy', () => {
  it.each([
    ['CONNECT db.internal:5432 HTTP/1.1\r\nHost: db.internal:5432\r\n\r\n', 'db.internal', 5432],
    ['CONNECT [fd00::1]:22 HTTP/1.0\r\n\r\n', 'fd00::1', 22],
    ['CONNECT 10.0.0.5:65535 HTTP/1.1\r\nProxy-Authorization: Basic eA==\r\n\r\n', '10.0.0.5', 65_535],
  ])('%j is understood', (text, host, port) => {
    const request = { host, port, connect: true, head: '' }
    expect(read(`${text}\x16\x03`)).toEqual({ kind: 'done', length: text.length, request })
  })

  it('in absolute form goes to the origin in origin form, without what is meant for the proxy', () => {
    const text =
      'POST http://Web.internal:8000/a/b?c=d HTTP/1.1\r\nHost: evil\r\nProxy-Authorization: Basic eA==\r\nProxy-Connection: keep-alive\r\nContent-Length: 2\r\n\r\n'
    expect(read(`${text}hi`)).toEqual({
      kind: 'done',
      length: text.length,
      request: {
        host: 'web.internal',
        port: 8000,
        connect: false,
        head: 'POST /a/b?c=d HTTP/1.1\r\nHost: web.internal:8000\r\nContent-Length: 2\r\nConnection: close\r\n\r\n',
      },
    })
    expect(read('GET http://web.internal HTTP/1.1\r\n\r\n')).toMatchObject({
      request: { port: 80, head: 'GET / HTTP/1.1\r\nHost: web.internal\r\nConnection: close\r\n\r\n' },
    })
  })

  it.each([
    ['GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n', 400],
    ['GET https://web.internal/ HTTP/1.1\r\n\r\n', 405],
    ['GET http://user:pass@web.internal/ HTTP/1.1\r\n\r\n', 400],
    ['CONNECT db.internal HTTP/1.1\r\n\r\n', 400],
    ['CONNECT db.internal:0 HTTP/1.1\r\n\r\n', 400],
    ['CONNECT db.internal:65536 HTTP/1.1\r\n\r\n', 400],
    ['CONNECT db.internal:22 HTTP/2\r\n\r\n', 400],
    ['CONNECT  db.internal:22 HTTP/1.1\r\n\r\n', 400],
    ['CONNECT db.internal:22 HTTP/1.1\r\n folded: x\r\n\r\n', 400],
    ['CONNECT db.internal:22 HTTP/1.1\r\nno colon\r\n\r\n', 400],
    ['\x16\x03\x01\r\n\r\n', 400],
  ])('%j is refused', (text, status) => {
    expect(read(text)).toMatchObject({ kind: 'malformed', status })
  })

  it('is waited for up to the limit of its head, and no byte longer', () => {
    const head = `CONNECT a:1 HTTP/1.1\r\nX: ${'a'.repeat(MAX_HEAD_BYTES)}`
    expect(read(head.slice(0, MAX_HEAD_BYTES - 1))).toEqual({ kind: 'more' })
    expect(read(head.slice(0, MAX_HEAD_BYTES))).toMatchObject({ kind: 'malformed', status: 431 })
    expect(read(`${head}\r\n\r\n`)).toMatchObject({ kind: 'malformed', status: 431 })
  })

  it('of random bytes is answered, and nothing in it gets into a line of its own', () => {
    const line = fc.stringMatching(/^[\s\S]{0,40}$/)
    fc.assert(
      fc.property(fc.constantFrom('CONNECT', 'GET', ''), line, line, (method, target, field) => {
        const result = read(`${method} ${target} HTTP/1.1\r\n${field}\r\n\r\n`)
        expect(['more', 'done', 'malformed']).toContain(result.kind)
        if (result.kind !== 'done') return
        const { host, port, head } = result.request
        expect(`${host}:${port}`).toMatch(/^[^\s]+:[0-9]+$/)
        expect(head.replaceAll('\r\n', '')).not.toMatch(/[\r\n\0]/)
      }),
    )
  })
})

it('a refusal stays one response, whatever its line says', () => {
  const text = encodeRefusal(403, 'no\r\nSet-Cookie: a=b\r\n\r\nHTTP/1.1 200 OK')
  const [head = '', body = ''] = text.split('\r\n\r\n')
  expect(head).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/)
  expect(head).not.toContain('Set-Cookie')
  expect(body.trimEnd()).not.toContain('\n')
})
