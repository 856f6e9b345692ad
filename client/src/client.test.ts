import { chmodSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { eventually } from '@sallyport/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import { closeLab, commandLine, exchange, logInAs, startTestController } from './client-lab.ts'
import { JsonLines } from './local/line.ts'

afterEach(closeLab)

describe('the sallyport command', () => {
  it('logs in with the pin of the CA, says so, and logs out', async () => {
    const controller = await startTestController()
    const line = commandLine()
    expect(await line.command('status')).toMatchObject({ code: 3, out: expect.stringContaining('Nobody is logged in') })

    const { code, lines, page } = await logInAs(line, controller, 'root@example.com')
    expect([code, lines.at(-1)]).toEqual([0, expect.stringContaining('"loggedIn"')])
    expect(page).toContain('You are logged in')

    const status = JSON.parse((await line.command('status', '--json')).out)
    expect(status).toMatchObject({ state: 'connected', user: 'root@example.com', tenant: 'default', admin: true })
    expect(status.warnings.join()).toContain('asks for no password')
    for (const file of ['device.key', 'login.json', 'daemon.sock']) {
      expect(statSync(join(line.home, file)).mode & 0o777, file).toBe(0o600)
    }
    expect(readFileSync(join(line.home, 'daemon.log'), 'utf8')).not.toMatch(/spr_|eyJ/)

    expect(await line.command('resources')).toMatchObject({ code: 0, out: 'There is no Resource for you.\n' })
    const users = JSON.parse((await line.command('admin', 'users', 'list', '--json')).out)
    expect(users).toMatchObject([{ email: 'root@example.com', admin: true, blocked: false }])

    expect((await line.command('logout')).code).toBe(0)
    expect((await line.command('status')).code).toBe(3)
    expect(() => statSync(join(line.home, 'device.key'))).toThrow('ENOENT')
  })

  it('does not log in where the CA is not the pinned one, and sends nothing there', async () => {
    const controller = await startTestController()
    const line = commandLine()
    const ran = await line.command('login', '--no-browser', `${controller.url}#sha256:${'0'.repeat(64)}`)
    expect(ran).toMatchObject({ code: 3, err: expect.stringContaining('does not show the pinned CA') })
    const unpinned = await line.command('login', '--no-browser', controller.url)
    expect(unpinned).toMatchObject({ code: 3, err: expect.stringContaining('#sha256:<pin>') })
    expect(ran.out + unpinned.out).not.toContain('/oauth/authorize')
  })

  it('tells a person who is not invited why', async () => {
    const controller = await startTestController()
    const line = commandLine()
    const { code, lines, page } = await logInAs(line, controller, 'stranger@example.com')
    expect([code, lines.join()]).toEqual([3, expect.stringContaining('not_invited')])
    expect(page).toContain('You are not invited')
    expect((await line.command('status')).code).toBe(3)
  })

  it('comes back by itself when Controller or daemon have been away', async () => {
    const controller = await startTestController()
    const line = commandLine()
    await logInAs(line, controller, 'root@example.com')
    await controller.stop()
    await eventually('the loss to be noticed', async () => {
      const { state } = JSON.parse((await line.command('status', '--json')).out)
      return state === 'connecting'
    })
    await controller.restart()
    const connected = async () => JSON.parse((await line.command('status', '--json')).out).state === 'connected'
    await eventually('the Controller to be reached again', connected)
    expect((await line.command('daemon', 'stop')).out).toBe('Stopped.\n')
    await eventually('a new daemon to take up the login', connected)
  })

  it('explains that nobody is logged in, and what a name is that nobody knows', async () => {
    const controller = await startTestController()
    const line = commandLine()
    const why = async () => {
      const { code, out } = await line.command('why', '--json', 'db.internal:5432')
      return { code, report: JSON.parse(out) }
    }
    expect(await why()).toMatchObject({ code: 3, report: { verdict: 'refused', reason: 'not_logged_in' } })
    await logInAs(line, controller, 'root@example.com')
    const unknown = await why()
    expect(unknown).toMatchObject({ code: 4, report: { verdict: 'refused', reason: 'no_such_name' } })
    expect(unknown.report.steps.map(({ check, ok }: { check: string; ok: boolean }) => [check, ok])).toEqual([
      ['login', true],
      ['controller', true],
      ['name', false],
    ])
  })

  it('refuses through the proxy, in the words of SOCKS and of HTTP, what is no Resource', async () => {
    const controller = await startTestController()
    const line = commandLine()
    await logInAs(line, controller, 'root@example.com')
    const proxy = line.begin('proxy', '--json', '--listen', '127.0.0.1:0')
    const [address = ''] = JSON.parse(await proxy.line(/capturing/)).capturing.listen as string[]
    const socks = await exchange(address, Buffer.from([5, 1, 0, 5, 1, 0, 3, 2, 97, 98, 0, 80]))
    expect([...socks]).toEqual([5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0])
    const http = (await exchange(address, Buffer.from('CONNECT ab:80 HTTP/1.1\r\n\r\n'))).toString()
    expect(http).toMatch(/^HTTP\/1.1 404 Not Found\r\n/)
    expect(http).toContain('no_such_name')
    const plain = (await exchange(address, Buffer.from('GET http://ab/ HTTP/1.1\r\nHost: ab\r\n\r\n'))).toString()
    expect(plain).toMatch(/^HTTP\/1.1 404 /)
    await proxy.stop('SIGINT')
    await eventually('the listener to be gone', () =>
      exchange(address, Buffer.from([5])).then(
        () => false,
        () => true,
      ),
    )
  })

  it('lets other destinations through untouched only with --direct', async () => {
    const controller = await startTestController()
    const line = commandLine()
    await logInAs(line, controller, 'root@example.com')
    const proxy = line.begin('proxy', '--json', '--direct', '--listen', '127.0.0.1:0')
    const [address = ''] = JSON.parse(await proxy.line(/capturing/)).capturing.listen as string[]
    const { port } = new URL(controller.url)
    const http = (await exchange(address, Buffer.from(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\n\r\nnot TLS`))).toString()
    expect(http).toMatch(/^HTTP\/1.1 200 /)
    await proxy.stop('SIGINT')
  })

  it('does not listen where others could connect', async () => {
    const line = commandLine()
    const ran = await line.command('proxy', '--listen', '0.0.0.0:0')
    expect(ran).toMatchObject({ code: 2, err: expect.stringContaining('not a loopback address') })
  })

  it('keeps its socket from others: a state directory that they may enter is closed', async () => {
    const line = commandLine()
    chmodSync(line.home, 0o755)
    await line.command('status')
    expect(statSync(line.home).mode & 0o777).toBe(0o700)
  })

  it('ends a daemon of another version and starts one of its own', async () => {
    const line = commandLine()
    const heard: string[] = []
    const old = createServer(socket => {
      const lines = new JsonLines(
        socket,
        value => {
          const { type } = value as { type: string }
          heard.push(type)
          if (type === 'hello') lines.send({ type: 'hello', protocol: 1, version: '0.0.1', pid: 1 })
          else old.close(() => undefined)
          if (type === 'stop') lines.end({ type: 'stopping' })
        },
        () => undefined,
      )
    })
    await new Promise<void>(resolve => old.listen(join(line.home, 'daemon.sock'), resolve))
    expect(await line.command('status')).toMatchObject({ code: 3, out: expect.stringContaining('Nobody is logged in') })
    expect(heard).toEqual(['hello', 'stop'])
    expect(readFileSync(join(line.home, 'daemon.log'), 'utf8')).toContain('listening for verbs')
  })

  it('starts one daemon, however many commands come at once', async () => {
    const line = commandLine()
    const ran = await Promise.all(Array.from({ length: 5 }, () => line.command('status', '--json')))
    expect(ran.map(({ code }) => code)).toEqual([3, 3, 3, 3, 3])
    const starts = readFileSync(join(line.home, 'daemon.log'), 'utf8').match(/listening for verbs/g)
    expect(starts).toHaveLength(1)
  })
})

describe('a command line that is not one', () => {
  it.each<[string, string[], string]>([
    ['an unknown verb', ['lgoin'], "unknown command 'lgoin'"],
    ['no destination', ['why'], "missing required argument 'host:port'"],
    ['a destination without port', ['why', 'db.internal'], 'is not HOST:PORT'],
    ['a forward without port', ['forward', 'db.internal'], 'is not a forward'],
    ['a login URL without https', ['login', 'http://controller.example'], 'is not a login URL'],
    ['a pin that is none', ['login', 'https://controller.example#sha256:xyz'], 'is not a pin'],
    ['an admin action on the wrong kind', ['admin', 'sessions', 'block', 'x'], 'sessions cannot be blocked'],
    ['a source that is to be cut', ['admin', 'sources', 'cut', 'x'], 'sources cannot be cut'],
    ['a source without name', ['admin', 'sources', 'remove'], 'wants the name of a source'],
    ['an admin action without ID', ['admin', 'users', 'block'], 'wants the ID'],
  ])('with %s is told what is wanted', async (_, args, wanted) => {
    const { code, err } = await commandLine().command(...args)
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(wanted) })
  })

  it('help names every verb and shows examples', async () => {
    const { code, out } = await commandLine().command('--help')
    expect(code).toBe(0)
    for (const verb of [
      'login',
      'logout',
      'status',
      'resources',
      'proxy',
      'forward',
      'connect',
      'why',
      'admin',
      'daemon',
    ]) {
      expect(out).toMatch(new RegExp(`^  ${verb} `, 'm'))
    }
    expect(out).toContain('Examples:')
    expect(out).toContain('Exit codes:')
  })
})
