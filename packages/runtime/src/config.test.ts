import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { Type } from '@sallyport/schema'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ConfigError, configFromEnvironment, configFromFile, proxyFromEnvironment } from './config.ts'
import { Secret } from './secret.ts'

const Schema = Type.Object(
  {
    SALLYPORT_DIR: Type.String({ minLength: 1 }),
    SALLYPORT_SECONDS: Type.Integer({ minimum: 1, maximum: 60, default: 30 }),
    SALLYPORT_LOUD: Type.Boolean({ default: false }),
    SALLYPORT_NOTE: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
)

describe('configuration from the environment', () => {
  it('reads numbers and booleans, fills in defaults and passes over what it does not know', () => {
    const config = configFromEnvironment(Schema, { SALLYPORT_DIR: '/d', SALLYPORT_LOUD: 'true', PATH: '/bin' })
    expect(config).toEqual({ SALLYPORT_DIR: '/d', SALLYPORT_SECONDS: 30, SALLYPORT_LOUD: true })
    expect(Object.isFrozen(config)).toBe(true)
  })

  it('takes an empty variable for none', () => {
    expect(configFromEnvironment(Schema, { SALLYPORT_DIR: '/d', SALLYPORT_SECONDS: '' }).SALLYPORT_SECONDS).toBe(30)
  })

  it('reports all problems at once, by name', () => {
    const error = thrown(() => configFromEnvironment(Schema, { SALLYPORT_SECONDS: 'soon', SALLYPORT_LOUD: 'yes' }))
    expect(error.code).toBe('invalid_config')
    expect(error.problems.map(({ field }) => field).sort()).toEqual([
      'SALLYPORT_DIR',
      'SALLYPORT_LOUD',
      'SALLYPORT_SECONDS',
    ])
    expect(error.message).toContain('SALLYPORT_SECONDS: must be integer')
  })

  it('refuses a number out of range', () => {
    const error = thrown(() => configFromEnvironment(Schema, { SALLYPORT_DIR: '/d', SALLYPORT_SECONDS: '61' }))
    expect(error.problems.map(({ field }) => field)).toEqual(['SALLYPORT_SECONDS'])
  })
})

describe('configuration from a file', () => {
  const Nested = Type.Object(
    {
      listen: Type.Object({ port: Type.Integer({ default: 8443 }) }, { additionalProperties: false, default: {} }),
      tenants: Type.Array(
        Type.Object({ name: Type.String(), days: Type.Integer({ default: 7 }) }, { additionalProperties: false }),
      ),
    },
    { additionalProperties: false },
  )
  const file = (text: string) => {
    const directory = mkdtempSync(join(tmpdir(), 'sallyport-config-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const path = join(directory, 'config.json')
    writeFileSync(path, text)
    return path
  }

  it('fills in defaults at every depth', () => {
    const config = configFromFile(Nested, file('{"tenants": [{"name": "a"}, {"name": "b", "days": 1}]}'))
    expect(config).toEqual({
      listen: { port: 8443 },
      tenants: [
        { name: 'a', days: 7 },
        { name: 'b', days: 1 },
      ],
    })
  })

  it('names fields that it does not know, and those within lists', () => {
    const error = thrown(() => configFromFile(Nested, file('{"tenants": [{"nam": "a"}], "extra": 1}')))
    expect(error.problems.map(({ field }) => field).sort()).toEqual(['extra', 'tenants.0.nam', 'tenants.0.name'])
  })

  it('says why a file cannot be read', () => {
    expect(thrown(() => configFromFile(Nested, '/nowhere/config.json')).message).toContain('ENOENT')
    expect(thrown(() => configFromFile(Nested, file('{'))).message).toContain('JSON')
  })
})

describe('a secret', () => {
  it('prints as [redacted] everywhere', () => {
    const secret = new Secret('hunter2')
    const shown = [String(secret), `${secret}`, JSON.stringify({ secret }), inspect({ secret })].join(' ')
    expect(shown).not.toContain('hunter2')
    expect(secret.reveal()).toBe('hunter2')
  })
})

it('a proxy that is no URL is a problem of HTTPS_PROXY', () => {
  expect(thrown(() => proxyFromEnvironment({ HTTPS_PROXY: 'socks://x' })).problems[0]?.field).toBe('HTTPS_PROXY')
  expect(proxyFromEnvironment({}).proxy).toBeUndefined()
})

function thrown(act: () => unknown): ConfigError {
  try {
    act()
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}
