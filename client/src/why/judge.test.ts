import { describe, expect, it } from 'vitest'
import { type ClientErrorCode, clientErrors } from '../error.ts'
import { pathSteps, reportOf } from './judge.ts'

const checks = (code: ClientErrorCode | undefined) =>
  pathSteps(code, 'x').map(({ check, ok }) => `${ok ? '+' : '-'}${check}`)

describe('the checks beyond this device', () => {
  it.each<[ClientErrorCode | undefined, string[]]>([
    [undefined, ['+relay', '+connector', '+authorised', '+address', '+resource']],
    ['relay_down', ['-relay']],
    ['connector_down', ['+relay', '-connector']],
    ['denied', ['+relay', '+connector', '-authorised']],
    ['guarded_address', ['+relay', '+connector', '+authorised', '-address']],
    ['refused', ['+relay', '+connector', '+authorised', '+address', '-resource']],
    ['timeout', ['+relay', '+connector', '+authorised', '+address', '-resource']],
    ['name_not_found', ['+relay', '+connector', '+authorised', '+address', '-resource']],
    ['failed', ['+relay', '-connector']],
  ])('that end with %s are these', (code, wanted) => {
    expect(checks(code)).toEqual(wanted)
  })
})

it('every refusal has a verdict with a hint', () => {
  for (const code of Object.keys(clientErrors) as ClientErrorCode[]) {
    const { verdict, reason, hint } = reportOf('a', 1, [], code)
    expect([verdict, hint]).toEqual(['refused', clientErrors[code].hint])
    expect(reason).not.toBe('reachable')
  }
})
