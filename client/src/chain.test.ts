import { createServer, type Socket } from 'node:net'
import { byConnect, bySocks, eventually, freePorts, httpGet, sha256OfFile, startWebService } from '@sallyport/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Chain, startChain, startSilentService } from './chain-lab.ts'
import { type CommandLine, closeLab, closers, commandLine, exchange, logInAs } from './client-lab.ts'

let chain: Chain
let line: CommandLine
let web: Awaited<ReturnType<typeof startWebService>>
let secret: Awaited<ReturnType<typeof startWebService>>
let proxy = ''
let silentPort = 0
let closedPort = 0

/** Names that the Connectors' resolver knows. */
const RECORDS = {
  'web.internal': ['127.0.0.1'],
  'closed.internal': ['127.0.0.1'],
  'guarded.internal': ['169.254.169.254'],
  'silent.internal': ['127.0.0.1'],
  'secret.internal': ['127.0.0.1'],
}

beforeAll(async () => {
  web = await startWebService('hello from inside')
  secret = await startWebService('a secret')
  closers.push(
    () => web.close(),
    () => secret.close(),
  )
  chain = await startChain({ records: RECORDS })
  ;[closedPort = 0] = await freePorts(1)
  silentPort = await startSilentService()
  await chain.declare({ address: 'web.internal', ports: [web.port] })
  await chain.declare({ address: 'closed.internal', ports: [closedPort] })
  await chain.declare({ address: 'guarded.internal', ports: [80] })
  await chain.declare({ address: 'silent.internal', ports: [silentPort] })
  await chain.declare({ address: 'unknown.internal', ports: [80] })
  line = commandLine()
  await logInAs(line, chain.controller, 'ada@example.com')
  const serving = line.begin('proxy', '--json', '--listen', '127.0.0.1:0')
  ;[proxy = ''] = JSON.parse(await serving.line(/capturing/)).capturing.listen as string[]
  closers.push(() => serving.stop('SIGINT'))
  await eventually('all ways', isWhole)
})
beforeEach(async () => {
  await chain.setGroup('ada@example.com')
  await chain.declare({ address: 'web.internal', ports: [web.port] })
  await eventually('access', reaches)
})
afterAll(closeLab)

const get = async (host: string, port: number, path = '/') =>
  (await exchange(proxy, Buffer.from(`GET http://${host}:${port}${path} HTTP/1.1\r\n\r\n`))).toString()
const why = async (host: string, port: number) => {
  const { code, out } = await line.command('why', '--json', `${host}:${port}`)
  const { reason, steps } = JSON.parse(out)
  return { code, reason, last: steps.at(-1)?.check, ok: steps.at(-1)?.ok }
}
/** Whether the granted service is reached. */
const reaches = async () => (await get('web.internal', web.port)).includes('hello')
/** Resources that the Client has been told of. */
const resources = async (): Promise<number> =>
  JSON.parse((await line.command('resources', '--json')).out).resources.length
/** Every Connector is registered at every Relay, and the Client has been told of both. */
const isWhole = async () => {
  const { networks } = JSON.parse((await line.command('status', '--json')).out)
  return networks[0]?.connectors === 2 && chain.isWhole()
}
const socksReply = async (host: string, port: number) => {
  const request = [5, 1, 0, 5, 1, 0, 3, host.length, ...Buffer.from(host), port >> 8, port & 255]
  return (await exchange(proxy, Buffer.from(request), 4))[3]
}

describe('through Relay and Connector', () => {
  it('a granted service is reached by HTTP, CONNECT, SOCKS, a forward and standard input', async () => {
    expect(await get('web.internal', web.port)).toContain('hello from inside')
    const connect = `CONNECT web.internal:${web.port} HTTP/1.1\r\n\r\n`
    const request = 'GET / HTTP/1.0\r\n\r\n'
    expect((await exchange(proxy, Buffer.from(connect + request))).toString()).toMatch(
      /^HTTP\/1.1 200 Connection established[\s\S]*hello from inside/,
    )
    expect(await socksReply('web.internal', web.port)).toBe(0)
    const forward = line.begin('forward', '--json', `0:web.internal:${web.port}`)
    const [local = ''] = JSON.parse(await forward.line(/capturing/)).capturing.listen as string[]
    expect((await exchange(local, Buffer.from(request))).toString()).toContain('hello from inside')
    await forward.stop('SIGINT')
    const piped = await line.commandWith(request, 'connect', `web.internal:${web.port}`)
    expect(piped).toMatchObject({ code: 0, out: expect.stringContaining('hello from inside') })
  })

  it('files arrive whole, several at a time', async () => {
    const bytes = 32 * 1024 * 1024
    const port = Number(proxy.slice(proxy.lastIndexOf(':') + 1))
    const path = `/file?bytes=${bytes}`
    const files = [bySocks(port), byConnect(port), bySocks(port)].map(way =>
      httpGet(way, 'web.internal', web.port, path),
    )
    for (const { sha256 } of await Promise.all(files)) expect(sha256).toBe(sha256OfFile(bytes))
  })

  it('what is not granted is refused in every tongue, and nothing is reached', async () => {
    const before = secret.accepted()
    expect(await get('secret.internal', secret.port)).toMatch(/^HTTP\/1.1 404 /)
    expect(await get('web.internal', secret.port)).toMatch(/^HTTP\/1.1 403 [\s\S]*port_not_granted/)
    expect(await socksReply('secret.internal', secret.port)).toBe(2)
    const piped = await line.commandWith('', 'connect', `secret.internal:${secret.port}`)
    expect(piped).toMatchObject({ code: 4, out: '', err: expect.stringContaining('no Resource') })
    expect(secret.accepted()).toBe(before)
  })

  it('a refused port is refused, a time-out is one, an unknown name is one, and SOCKS and HTTP say so', async () => {
    const told = async (host: string, port: number) => [
      await socksReply(host, port),
      (await get(host, port)).slice(9, 12),
    ]
    expect(await told('closed.internal', closedPort)).toEqual([5, '502'])
    expect(await told('unknown.internal', 80)).toEqual([4, '404'])
    expect(await told('guarded.internal', 80)).toEqual([2, '403'])
    expect(await told('silent.internal', silentPort)).toEqual([6, '504'])
  })

  it('`why` names the check that refuses', async () => {
    expect(await why('web.internal', web.port)).toEqual({ code: 0, reason: 'reachable', last: 'resource', ok: true })
    expect(await why('web.internal', 1)).toEqual({ code: 4, reason: 'port_not_granted', last: 'port', ok: false })
    expect(await why('nothing.internal', 1)).toEqual({ code: 4, reason: 'no_such_name', last: 'name', ok: false })
    expect(await why('closed.internal', closedPort)).toEqual({
      code: 5,
      reason: 'refused',
      last: 'resource',
      ok: false,
    })
    expect(await why('silent.internal', silentPort)).toEqual({
      code: 5,
      reason: 'timeout',
      last: 'resource',
      ok: false,
    })
    expect(await why('unknown.internal', 80)).toEqual({
      code: 5,
      reason: 'name_not_found',
      last: 'resource',
      ok: false,
    })
    expect(await why('guarded.internal', 80)).toEqual({
      code: 4,
      reason: 'guarded_address',
      last: 'address',
      ok: false,
    })
  })

  it('a stream lives while its ports are widened, and the new port works at once', async () => {
    const echo = createServer((socket: Socket) => socket.pipe(socket))
    await new Promise<void>(resolve => echo.listen(0, '127.0.0.1', resolve))
    closers.push(() => echo.close())
    const { port } = echo.address() as { port: number }
    await chain.declare({ address: 'web.internal', ports: [web.port, port] })
    await eventually('the new port', async () => (await socksReply('web.internal', port)) === 0)
    expect(await get('web.internal', web.port)).toContain('hello')
  })

  it('a killed Relay, and a killed Connector, cost the next request a retry only', async () => {
    for (const parts of [[...chain.relays.values()], chain.connectors]) {
      for (const part of parts) {
        await part.stop()
        expect(await get('web.internal', web.port)).toContain('hello')
        await part.start()
        await eventually('all ways again', isWhole)
      }
    }
  })

  it('`why` tells Relays that are down from Connectors that are', async () => {
    for (const connector of chain.connectors) await connector.stop()
    expect(await why('web.internal', web.port)).toMatchObject({ code: 5, reason: 'connector_down', last: 'connector' })
    for (const relay of chain.relays.values()) await relay.stop()
    expect(await why('web.internal', web.port)).toMatchObject({ code: 5, reason: 'relay_down', last: 'relay' })
    for (const relay of chain.relays.values()) await relay.start()
    for (const connector of chain.connectors) await connector.start()
    await eventually('all ways again', isWhole)
    expect(await get('web.internal', web.port)).toContain('hello')
  })

  it('access that is taken away is gone at once, also for what is open, and comes back with the Group', async () => {
    const download = exchange(
      proxy,
      Buffer.from(`GET http://web.internal:${web.port}/slow?bytes=1000000000 HTTP/1.1\r\n\r\n`),
    )
    const cut = download.then(
      () => 'ended',
      () => 'cut',
    )
    await eventually('the download', () => web.open() > 0)
    const accepted = web.accepted()
    await chain.setGroup('somebody@example.com')
    await eventually('the cut at the Resource', () => web.open() === 0)
    expect(await cut).toBe('cut')
    expect(await get('web.internal', web.port)).toMatch(/^HTTP\/1.1 40[34] /)
    await eventually('the Client to have been told', async () => (await resources()) === 0)
    expect(await why('web.internal', web.port)).toMatchObject({ code: 4, reason: 'not_granted', last: 'granted' })
    expect(web.accepted()).toBe(accepted)
    await chain.setGroup('ada@example.com')
    await eventually('access again', reaches)
  })

  it('a new login of the same person keeps what is open', async () => {
    const path = `http://web.internal:${web.port}/slow?bytes=300000000`
    let cut = false
    const download = exchange(proxy, Buffer.from(`GET ${path} HTTP/1.1\r\n\r\n`)).catch(() => {
      cut = true
    })
    await eventually('the download', () => web.open() > 0)
    const before = JSON.parse((await line.command('status', '--json')).out)
    expect((await logInAs(line, chain.controller, 'ada@example.com')).code).toBe(0)
    const after = JSON.parse((await line.command('status', '--json')).out)
    expect(after.loginEndsAtMs).toBeGreaterThan(before.loginEndsAtMs)
    expect(after.sessions).toEqual(before.sessions)
    expect([cut, web.open()]).toEqual([false, 1])
    expect((await logInAs(line, chain.controller, 'root@example.com')).code).toBe(0)
    await eventually('another person not to have it', () => web.open() === 0)
    await download
    expect(cut).toBe(true)
    expect(await get('web.internal', web.port)).toMatch(/^HTTP\/1.1 404 /)
    expect((await logInAs(line, chain.controller, 'ada@example.com')).code).toBe(0)
    await eventually('access again', reaches)
  })

  it('a grant ends at its second, live streams too, and `why` says so', async () => {
    const path = '/slow?bytes=1000000000'
    const download = exchange(proxy, Buffer.from(`GET http://web.internal:${web.port}${path} HTTP/1.1\r\n\r\n`))
    const cut = download.then(
      () => 'ended',
      () => 'cut',
    )
    await eventually('the download', () => web.open() > 0)
    const seconds = Math.ceil((performance.timeOrigin + performance.now()) / 1000) + 6
    await chain.declare({
      address: 'web.internal',
      ports: [web.port],
      expiresAt: new Date(seconds * 1000).toISOString(),
    })
    expect(await cut).toBe('cut')
    expect(performance.timeOrigin + performance.now() - seconds * 1000).toBeGreaterThan(-100)
    expect(await why('web.internal', web.port)).toEqual({ code: 4, reason: 'expired', last: 'end', ok: false })
  })

  it('with the Controller away what is known goes on', async () => {
    await chain.controller.stop()
    expect(await get('web.internal', web.port)).toContain('hello')
    expect(await why('web.internal', web.port)).toMatchObject({ code: 0, reason: 'reachable' })
    await chain.controller.restart()
  })
})
