import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { connectTcp } from './dial.ts'
import { parseProxySettings } from './proxy.ts'
import { startRefusing } from './test/server.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('error', () => undefined)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

async function startProxy(answer: (target: string) => number | undefined, reached: number) {
  const asked: { target: string; authorization: string | undefined }[] = []
  const proxy = createHttpServer()
  proxy.on('connect', (request, socket) => {
    const target = request.url ?? ''
    asked.push({ target, authorization: request.headers['proxy-authorization'] })
    const status = answer(target)
    if (status === undefined) return
    if (status !== 200) return void socket.end(`HTTP/1.1 ${status} No\r\n\r\n`)
    const upstream = connect(reached, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      socket.pipe(upstream).pipe(socket)
    })
  })
  return { asked, port: await listen(proxy) }
}

const greeter = () => createServer(socket => void socket.end('hello'))
const textOf = async (socket: Socket) => {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}
const settings = (port: number, noProxy = '') => parseProxySettings(`http://me:pass@127.0.0.1:${port}`, noProxy)!

describe('dialling', () => {
  it('connects', async () => {
    expect(await textOf(await connectTcp('127.0.0.1', await listen(greeter())))).toBe('hello')
  })

  it('names what went wrong: refused, or a name that does not resolve', async () => {
    const { port, close } = await startRefusing()
    cleanups.push(close)
    await expect(connectTcp('127.0.0.1', port)).rejects.toMatchObject({ code: 'refused' })
    await expect(connectTcp('nowhere.invalid', 443)).rejects.toMatchObject({ code: 'name_not_found' })
  })

  it('gives up when it is told to', async () => {
    const abort = new AbortController()
    const port = await listen(greeter())
    abort.abort()
    await expect(connectTcp('127.0.0.1', port, { signal: abort.signal })).rejects.toMatchObject({ code: 'aborted' })
  })

  it('goes through the proxy by CONNECT, with its credentials', async () => {
    const proxy = await startProxy(() => 200, await listen(greeter()))
    const socket = await connectTcp('controller.example', 443, { proxy: settings(proxy.port) })
    expect(await textOf(socket)).toBe('hello')
    const authorization = `Basic ${Buffer.from('me:pass').toString('base64')}`
    expect(proxy.asked).toEqual([{ target: 'controller.example:443', authorization }])
  })

  it('does not ask the proxy for what is excepted', async () => {
    const reached = await listen(greeter())
    const proxy = await startProxy(() => 200, reached)
    await expect(connectTcp('nowhere.invalid', 443, { proxy: settings(proxy.port, '.invalid') })).rejects.toMatchObject(
      { code: 'name_not_found' },
    )
    expect(await textOf(await connectTcp('127.0.0.1', reached, { proxy: settings(proxy.port) }))).toBe('hello')
    expect(proxy.asked).toEqual([])
  })

  it('says what the proxy answered', async () => {
    const proxy = await startProxy(() => 403, 1)
    await expect(connectTcp('controller.example', 443, { proxy: settings(proxy.port) })).rejects.toMatchObject({
      code: 'proxy_failed',
      message: expect.stringContaining('403'),
    })
  })

  it('gives up on a proxy that does not answer', async () => {
    const proxy = await startProxy(() => undefined, 1)
    await expect(
      connectTcp('controller.example', 443, { proxy: settings(proxy.port), timeoutMs: 50 }),
    ).rejects.toMatchObject({ code: 'timeout' })
  })
})
