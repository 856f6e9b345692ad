import { ConfigError } from '@sallyport/runtime'
import { describe, expect, it } from 'vitest'
import { readConfig } from './config.ts'

const URL_FLAG = '--controller-url=https://controller.example.com/'

function problems(args: string[], environment: NodeJS.ProcessEnv = {}): string[] {
  try {
    readConfig(args, environment)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ field }) => field)
    throw error
  }
}

describe('the configuration of the operator', () => {
  it('takes flags before the environment, and defaults for the rest', () => {
    const config = readConfig([URL_FLAG, '--namespace', 'mine', '--leader-election=false'], {
      SALLYPORT_NAMESPACE: 'other',
      SALLYPORT_LOG_LEVEL: 'debug',
      SALLYPORT_RESYNC_SECONDS: '7',
    })
    expect(config).toMatchObject({
      provider: { kind: 'kubernetes', leaderElection: false, tokenFile: '/var/run/secrets/sallyport/token' },
      controller: { url: 'https://controller.example.com', audience: 'https://controller.example.com' },
      namespace: 'mine',
      managedNamespaces: ['mine'],
      logLevel: 'debug',
      resyncSeconds: 7,
    })
    expect(config.watchNamespaces).toBeUndefined()
  })

  it('reads lists, and the audience of the public URL', () => {
    const config = readConfig(
      [URL_FLAG, '--controller-public-url=https://outside', '--managed-namespaces=a,b', '--watch-namespaces=c'],
      {},
    )
    expect(config.managedNamespaces).toEqual(['a', 'b'])
    expect(config.watchNamespaces).toEqual(['c'])
    expect(config.controller.audience).toBe('https://outside')
  })

  it.each([
    ['nothing at all', [], ['SALLYPORT_CONTROLLER_URL']],
    ['a flag that is not known', [URL_FLAG, '--colour=red'], ['--colour=red']],
    ['a flag without its value', [URL_FLAG, '--namespace'], ['--namespace']],
    ['an URL that is not https', ['--controller-url=http://plain'], ['SALLYPORT_CONTROLLER_URL']],
    ['files without their directories', [URL_FLAG, '--provider=file'], ['SALLYPORT_DIR', 'SALLYPORT_STATE_DIR']],
    [
      'a certificate that would outlive its CA',
      [URL_FLAG, '--ca-seconds=100', '--certificate-seconds=51'],
      ['SALLYPORT_CERTIFICATE_SECONDS'],
    ],
    ['a number that is none', [URL_FLAG, '--resync-seconds=soon'], ['SALLYPORT_RESYNC_SECONDS']],
    [
      'several at once',
      ['--provider=cloud', '--log-level=loud'],
      ['SALLYPORT_PROVIDER', 'SALLYPORT_CONTROLLER_URL', 'SALLYPORT_LOG_LEVEL'],
    ],
  ])('names every problem: %s', (_, args, fields) => {
    expect(problems(args).sort()).toEqual([...fields].sort())
  })
})
