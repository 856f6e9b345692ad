import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ConfigError } from '@sallyport/runtime'
import { freePorts, type Run, run } from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { configFrom } from './config.ts'
import { writeFiles } from './test/lab.ts'

const main = join(import.meta.dirname, 'main.ts')
const dir = mkdtempSync(join(tmpdir(), 'sallyport-url-file-'))
const [configFile, urlFile] = [join(dir, 'controller.json'), join(dir, 'url')]
const files = writeFiles(dir)
const config = {
  ...{ metricsListen: '127.0.0.1:0', ...files.paths, database: { path: join(dir, 'controller.db') } },
  tenants: [{ name: 'default' }, { name: 'team' }],
}
let port = 0
let running: Run | undefined

beforeAll(async () => {
  port = (await freePorts(1))[0]!
  writeFileSync(configFile, JSON.stringify({ ...config, urlFile, listen: `127.0.0.1:${port}` }))
})
afterAll(async () => {
  await running?.stop('SIGKILL')
  rmSync(dir, { recursive: true, force: true })
})

const start = (): Run => {
  running = run({ name: 'controller', args: [main, '--config', configFile] })
  return running
}

/** Issuer of a tenant's login, as the Controller says it. */
function issuer(path: string): Promise<string> {
  const url = `https://127.0.0.1:${port}${path}/.well-known/oauth-authorization-server`
  return new Promise((resolve, reject) => {
    const request = get(url, { ca: files.ca.certificatePem, agent: false }, response => {
      let text = ''
      response.on('data', chunk => {
        text += chunk
      })
      response.on('end', () => resolve((JSON.parse(text) as { issuer: string }).issuer))
    })
    request.on('error', reject)
  })
}

const problems = (location: object): string[] => {
  try {
    configFrom({ ...config, ...location })
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ field, message }) => `${field} ${message}`)
    throw error
  }
}

describe('the URL of a Controller', () => {
  it('stands in its configuration or in a file, in exactly one of the two', () => {
    expect(problems({ url: 'https://one' })).toEqual([])
    expect(problems({ urlFile })).toEqual([])
    expect(problems({})).toEqual([expect.stringMatching(/^url is missing, and so is urlFile/)])
    expect(problems({ url: 'https://one', urlFile })).toEqual([expect.stringMatching(/^urlFile has no meaning/)])
  })

  it('is waited for at start while the file is not there', { timeout: 120_000 }, async () => {
    const process = start()
    await process.line(/waiting for certificate, store key and URL/)
    writeFileSync(urlFile, 'https://first.example.com:8443/\n')
    await process.line(/"msg":"serving"/)
    expect(await issuer('')).toBe('https://first.example.com:8443')
    expect(await issuer('/t/team')).toBe('https://first.example.com:8443/t/team')
  })

  it('is left as it is by a file that holds none', { timeout: 120_000 }, async () => {
    writeFileSync(urlFile, '')
    await running!.line(/the new URL is not usable/)
    writeFileSync(urlFile, 'https://first.example.com:8443')
    expect(await issuer('')).toBe('https://first.example.com:8443')
  })

  it('ends the Controller when it changes, cleanly and saying why; the next start has it', {
    timeout: 120_000,
  }, async () => {
    writeFileSync(urlFile, 'https://second.example.com')
    const line = JSON.parse(await running!.line(/the public URL has changed/)) as object
    expect(line).toMatchObject({ url: 'https://second.example.com', was: 'https://first.example.com:8443' })
    expect(await running!.ended).toBe(0)
    const again = start()
    await again.line(/"msg":"serving"/)
    expect(await issuer('')).toBe('https://second.example.com')
    expect(await again.stop()).toBe(0)
  })
})
