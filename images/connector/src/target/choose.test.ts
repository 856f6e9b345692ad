import { compileRule, parseExceptions } from '@sallyport/policy'
import { describe, expect, it } from 'vitest'
import { allowedAddresses, worstFailure } from './choose.ts'

const context = (exceptions: string[] = []) => ({
  exceptions: parseExceptions(exceptions),
  ownAddresses: [],
  rule: compileRule({ address: 'web.internal', aliases: [], protocols: {} }),
})

describe('which addresses of a name are dialled', () => {
  it('all that are not guarded, families in turn, each once', () => {
    const found = ['10.0.0.1', '10.0.0.2', 'fd00::1', '10.0.0.1', '127.0.0.1', '::1']
    expect(allowedAddresses(found, context())).toEqual(['fd00::1', '10.0.0.1', '10.0.0.2'])
  })

  it('none, where all are guarded', () => {
    const guarded = [
      '127.0.0.1',
      '169.254.169.254',
      '::ffff:127.0.0.1',
      '64:ff9b::7f00:1',
      'fe80::1',
      '0.0.0.0',
      'fe80::1%eth0',
    ]
    expect(allowedAddresses(guarded, context())).toEqual([])
  })

  it('a guarded one that the network has excepted', () => {
    expect(allowedAddresses(['127.0.0.1', '127.0.1.1'], context(['127.0.0.0/24']))).toEqual(['127.0.0.1'])
  })
})

describe('what is told when no address answers', () => {
  it('that one refuses says most, then silence', () => {
    expect(worstFailure(['unreachable', 'timeout', 'refused'])).toBe('refused')
    expect(worstFailure(['unreachable', 'timeout'])).toBe('timeout')
    expect(worstFailure(['unreachable'])).toBe('unreachable')
  })
})
