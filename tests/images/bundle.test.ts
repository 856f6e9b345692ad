/** The processes as their images start them: one file each. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  ADA,
  bySocks,
  eventually,
  GREETING,
  httpGet,
  Lab,
  PROGRAMS,
  programFile,
  run,
  WEB_HOST,
} from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const BUILD_TIMEOUT_MS = 300_000

describe('a bundle', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-bundles-'))
  const start = (program: (typeof PROGRAMS)[number], args: string[] = []) =>
    run({ name: program, args: ['--enable-source-maps', programFile(program, dir), ...args] })

  beforeAll(async () => {
    const build = run({ name: 'bundle', args: [join(root, 'hack/bundle.ts'), dir] })
    expect(await build.ended, build.lines.join('\n')).toBe(0)
  }, BUILD_TIMEOUT_MS)
  afterAll(() => rmSync(dir, { recursive: true, force: true }))

  it.each([
    ['controller', '--config: is missing'],
    ['relay', 'SALLYPORT_RELAY_DIR: is missing'],
    ['connector', 'SALLYPORT_STATE_DIR: is missing'],
    ['operator', 'SALLYPORT_CONTROLLER_URL: is missing'],
  ] as const)('of the %s says what its configuration lacks and ends', async (program, said) => {
    const process = start(program)
    expect(await process.ended).toBe(1)
    expect(process.lines.join('\n')).toContain(said)
  })

  it('of the command knows its version', async () => {
    const command = start('sallyport', ['--version'])
    expect(await command.ended).toBe(0)
    expect(command.lines).toEqual([version])
  })

  it('names the source, not the bundle, where something fails', async () => {
    const config = join(dir, 'config.json')
    const tls = { certFile: join(dir, 'none'), keyFile: join(dir, 'none') }
    const tenants = [{ name: 'default' }]
    const url = 'https://127.0.0.1:1'
    const file = { url, database: { path: join(dir, 'db') }, storeKeyFile: join(dir, 'none'), tls, tenants }
    writeFileSync(config, JSON.stringify({ ...file, startupWaitSeconds: 0, metricsListen: '127.0.0.1:0' }))
    const controller = start('controller', ['--config', config])
    expect(await controller.ended).toBe(1)
    expect(controller.lines.join('\n')).toMatch(/images\/controller\/src\/[a-z-/]+\.ts:\d+/)
  })

  it.each(PROGRAMS)('of the %s comes with the licences of what it contains', program => {
    const text = readFileSync(join(dir, `${program}.LICENSES.txt`), 'utf8')
    const [own, ...others] = text.split(/^-{80}$/m).map(part => part.trim())
    expect(own).toContain('Apache License')
    const typebox = others.find(part => part.startsWith('typebox '))
    expect(typebox).toMatch(/^typebox [0-9.]+ \(MIT\)\n\n.*Permission is hereby granted/s)
    expect(others.filter(part => !/^\S+ \S+ \((?!undefined)/.test(part))).toEqual([])
  })

  describe('of each process, together,', () => {
    let lab: Lab
    beforeAll(async () => {
      lab = await Lab.start({ bundles: dir, members: [ADA] })
    }, 120_000)
    afterAll(() => lab?.close())

    it('comes to ready', async () => {
      for (const part of lab.installation.parts)
        await eventually(`${part} to be ready`, () => lab.installation.isReady(part))
      expect(lab.installation.fallen).toEqual([])
    })

    it("logs in at the embedded provider's page and reaches a private service", async () => {
      await lab.login()
      const { body } = await httpGet(bySocks(lab.socks), WEB_HOST, lab.web.port)
      expect(body.toString()).toContain(GREETING)
    })

    it('is the daemon of the command, too', async () => {
      const { version: running } = await lab.device.json(['status'])
      expect(running).toBe(version)
    })
  })
})
