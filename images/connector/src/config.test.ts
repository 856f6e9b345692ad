import { ConfigError } from '@sallyport/runtime'
import { describe, expect, it } from 'vitest'
import { readConfig } from './config.ts'

const needed = { SALLYPORT_CONNECTOR_DIR: '/secret', SALLYPORT_STATE_DIR: '/state' }

describe('the configuration of a Connector', () => {
  it('needs two directories and has defaults for the rest', () => {
    expect(readConfig(needed)).toMatchObject({
      directory: '/secret',
      stateDirectory: '/state',
      metricsListen: { host: '::', port: 9090 },
      logLevel: 'info',
      drainSeconds: 30,
      connectTimeoutMs: 10_000,
    })
    expect(readConfig(needed).resolvers).toBeUndefined()
  })

  it('takes several DNS servers, with ports or without', () => {
    const { resolvers } = readConfig({ ...needed, SALLYPORT_RESOLVER: '10.0.0.10,127.0.0.1:5353,[fd00::1]:53' })
    expect(resolvers).toEqual(['10.0.0.10', '127.0.0.1:5353', '[fd00::1]:53'])
  })

  it('names everything that is wrong at once', () => {
    const wrong = {
      SALLYPORT_STATE_DIR: '/state',
      SALLYPORT_METRICS_LISTEN: 'nowhere',
      SALLYPORT_LOG_LEVEL: 'loud',
      SALLYPORT_RESOLVER: 'dns.example',
      SALLYPORT_DRAIN_SECONDS: '-1',
    }
    const fields = (() => {
      try {
        readConfig(wrong)
        return []
      } catch (error) {
        return error instanceof ConfigError ? error.problems.map(({ field }) => field) : [String(error)]
      }
    })()
    expect(fields.sort()).toEqual([
      'SALLYPORT_CONNECTOR_DIR',
      'SALLYPORT_DRAIN_SECONDS',
      'SALLYPORT_LOG_LEVEL',
      'SALLYPORT_METRICS_LISTEN',
      'SALLYPORT_RESOLVER',
    ])
  })
})
