import { ConfigError } from '@sallyport/runtime'
import { describe, expect, it } from 'vitest'
import { readConfig } from './config.ts'

describe('the configuration of a Relay', () => {
  it('needs nothing but the directory of its Secret', () => {
    expect(readConfig({ SALLYPORT_RELAY_DIR: '/relay' })).toEqual({
      directory: '/relay',
      listen: { host: '::', port: 8443 },
      metricsListen: { host: '::', port: 9090 },
      logLevel: 'info',
      drainSeconds: 20,
      maxTunnels: 20_000,
      maxStrangers: 4096,
      maxStrangersPerAddress: 1024,
    })
  })

  it('reports all problems at once, by name', () => {
    const bad = { SALLYPORT_LISTEN: 'here', SALLYPORT_LOG_LEVEL: 'loud', SALLYPORT_DRAIN_SECONDS: '-1' }
    const problems = problemsOf(() => readConfig(bad))
    expect(problems.map(({ field }) => field).sort()).toEqual([
      'SALLYPORT_DRAIN_SECONDS',
      'SALLYPORT_LISTEN',
      'SALLYPORT_LOG_LEVEL',
      'SALLYPORT_RELAY_DIR',
    ])
  })
})

function problemsOf(run: () => unknown): ConfigError['problems'] {
  try {
    run()
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  throw new Error('want a ConfigError')
}
