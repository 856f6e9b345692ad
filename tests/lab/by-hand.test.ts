/** What people do by hand, with the programs that they use: curl, redis-cli, ssh, and a big file. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import {
  ADA,
  freePorts,
  GREETING,
  Lab,
  type Run,
  run,
  SECRET_HOST,
  sha256OfFile,
  TCP_HOST,
  WEB_HOST,
  withPorts,
} from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from './need.ts'

const TWO_GIB = 2 * 1024 ** 3

let lab: Lab
let redisPort: number
let sshPort: number
beforeAll(async () => {
  ;[redisPort, sshPort] = (await freePorts(2)) as [number, number]
  lab = await Lab.start({
    members: [ADA],
    objects: objects =>
      objects.map(object => (object.metadata.name === 'tcp' ? withPorts(object, [redisPort, sshPort]) : object)),
  })
  await lab.login()
})
afterAll(() => lab?.close())

describe.skipIf(needs('curl'))('curl', () => {
  it('reaches a name through SOCKS5, and not one that is not granted', async () => {
    const granted = await curl('--socks5-hostname', `127.0.0.1:${lab.socks}`, lab.url(WEB_HOST))
    expect(granted).toMatchObject({ status: 0, stdout: `${GREETING}\n` })
    const denied = await curl('--socks5-hostname', `127.0.0.1:${lab.socks}`, lab.url(SECRET_HOST))
    expect(denied.status).toBe(97)
    expect(lab.secret.accepted()).toBe(0)
  })

  it('reaches a name through HTTP CONNECT, and is told why not', async () => {
    const granted = await curl('--proxytunnel', '-x', `http://127.0.0.1:${lab.http}`, lab.url(WEB_HOST))
    expect(granted).toMatchObject({ status: 0, stdout: `${GREETING}\n` })
    const denied = await curl('--proxytunnel', '-x', `http://127.0.0.1:${lab.http}`, lab.url(SECRET_HOST))
    expect(denied.status).not.toBe(0)
    expect(denied.stderr).toMatch(/CONNECT tunnel failed, response 40[34]/)
    expect(lab.secret.accepted()).toBe(0)
  })

  it('downloads 2 GiB without a bit lost', { timeout: 300_000 }, async () => {
    const hash = createHash('sha256')
    let bytes = 0
    const download = spawn('curl', [
      '-sS',
      '--socks5-hostname',
      `127.0.0.1:${lab.socks}`,
      lab.url(WEB_HOST, `/file?bytes=${TWO_GIB}`),
    ])
    download.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      hash.update(chunk)
    })
    const status = await new Promise(resolve => download.on('close', resolve))
    expect({ status, bytes, sha256: hash.digest('hex') }).toEqual({
      status: 0,
      bytes: TWO_GIB,
      sha256: sha256OfFile(TWO_GIB),
    })
  })
})

describe.skipIf(needs('redis-server') || needs('redis-cli'))('redis-cli', () => {
  let server: Run
  beforeAll(async () => {
    const args = ['--port', String(redisPort), '--bind', '127.0.0.1', '--save', '', '--dir', lab.installation.dir]
    server = run({ name: 'redis', command: 'redis-server', args })
    await server.line(/Ready to accept connections/)
  })
  afterAll(async () => void (await server?.stop()))

  it('talks to a real Redis behind a forward', async () => {
    const local = await lab.device.forward(TCP_HOST, redisPort)
    const redis = async (...args: string[]) => (await output('redis-cli', ['-p', String(local), ...args])).stdout.trim()
    expect(await redis('set', 'door', 'open')).toBe('OK')
    expect(await redis('get', 'door')).toBe('open')
  })
})

describe.skipIf(needs('/usr/sbin/sshd') || needs('ssh'))('ssh', () => {
  let server: Run
  let home: string
  beforeAll(async () => {
    home = join(lab.installation.dir, 'ssh')
    mkdirSync(home, { mode: 0o700 })
    // sshd, started by root, insists on its directory for privilege separation.
    if (userInfo().uid === 0) mkdirSync('/run/sshd', { recursive: true })
    for (const name of ['host', 'user'])
      await output('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(home, name)])
    writeFileSync(join(home, 'authorized_keys'), readFileSync(join(home, 'user.pub')), { mode: 0o600 })
    const options = {
      ListenAddress: '127.0.0.1',
      HostKey: join(home, 'host'),
      AuthorizedKeysFile: join(home, 'authorized_keys'),
      PidFile: 'none',
      StrictModes: 'no',
      UsePAM: 'no',
    }
    const set = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])
    server = run({
      name: 'sshd',
      command: '/usr/sbin/sshd',
      args: ['-D', '-e', '-f', '/dev/null', '-p', String(sshPort), ...set],
    })
    await server.line(/Server listening/)
  })
  afterAll(async () => void (await server?.stop()))

  it('runs a command through a ProxyCommand', async () => {
    const options = [
      'StrictHostKeyChecking=no',
      `UserKnownHostsFile=${join(home, 'known')}`,
      'BatchMode=yes',
      `ProxyCommand=${lab.device.command} connect %h:%p`,
    ]
    const ssh = run({
      name: 'ssh',
      command: 'ssh',
      args: [
        '-i',
        join(home, 'user'),
        ...options.flatMap(option => ['-o', option]),
        '-p',
        String(sshPort),
        `${userInfo().username}@${TCP_HOST}`,
        'echo reached by ssh',
      ],
      env: lab.device.environment,
    })
    expect(await ssh.ended).toBe(0)
    expect(ssh.lines).toContain('reached by ssh')
  })
})

/** Runs curl beside this process, which is also the service that it reaches. */
async function curl(...args: string[]) {
  const { code, stdout, stderr } = await output('curl', ['-sS', '--max-time', '20', ...args])
  return { status: code, stdout, stderr }
}

function output(command: string, args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const said = { stdout: '', stderr: '' }
  child.stdout.on('data', chunk => {
    said.stdout += chunk
  })
  child.stderr.on('data', chunk => {
    said.stderr += chunk
  })
  return new Promise((resolve, reject) => child.on('error', reject).on('close', code => resolve({ code, ...said })))
}
