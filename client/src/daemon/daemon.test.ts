import { mkdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { eventually } from '@sallyport/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import { closeLab, closers, commandLine, daemonPid, isRunning, logInAs, startTestController } from '../client-lab.ts'

afterEach(closeLab)

describe('a daemon ends by itself', () => {
  it('when its state directory is removed, whatever it has open', async () => {
    const controller = await startTestController()
    const line = commandLine()
    await logInAs(line, controller, 'root@example.com')
    const proxy = line.begin('proxy', '--json', '--listen', '127.0.0.1:0')
    await proxy.line(/capturing/)
    const pid = daemonPid(line.home) ?? 0
    closers.push(() => isRunning(pid) && process.kill(pid, 'SIGKILL'))
    expect(isRunning(pid)).toBe(true)
    rmSync(line.home, { recursive: true })
    await eventually('its end', () => !isRunning(pid))
    await proxy.ended
  })

  it('when it cannot listen, though it has taken up a login', async () => {
    const controller = await startTestController()
    const line = commandLine()
    await logInAs(line, controller, 'root@example.com')
    await line.command('daemon', 'stop')
    mkdirSync(join(line.home, 'daemon.sock'))
    const daemon = line.begin('daemon')
    closers.push(() => daemon.stop('SIGKILL'))
    expect(await daemon.ended).not.toBe(0)
    expect(daemonPid(line.home)).toBeUndefined()
  })

  it('when it is told to, though a destination that it dials never answers', async () => {
    const silent = createServer(() => undefined)
    await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
    closers.push(() => silent.close())
    const line = commandLine()
    const { port } = silent.address() as { port: number }
    const login = line.begin('login', '--no-browser', `https://127.0.0.1:${port}#sha256:${'0'.repeat(64)}`)
    closers.push(() => login.stop('SIGKILL'))
    await eventually(
      'the attempt',
      () => new Promise<boolean>(resolve => silent.getConnections((_, n) => resolve(n > 0))),
    )
    const pid = daemonPid(line.home) ?? 0
    await line.command('daemon', 'stop')
    await eventually('its end', () => !isRunning(pid), { timeoutMs: 6_000 })
  })
})
