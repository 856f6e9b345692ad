/** The README's first command, as a newcomer runs it. */
import { join } from 'node:path'
import { run } from '@sallyport/testkit'
import { expect, it } from 'vitest'

it('the demo holds at every step and ends with 0', { timeout: 240_000 }, async () => {
  const demo = run({
    name: 'demo',
    args: [join(import.meta.dirname, '../../hack/demo/main.ts'), '--once'],
    env: { NO_COLOR: '1' },
  })
  const code = await demo.ended
  expect(demo.lines.filter(line => line.trimStart().startsWith('NO'))).toEqual([])
  expect(demo.lines.filter(line => line.trimStart().startsWith('ok')).length).toBeGreaterThan(15)
  expect(demo.lines.join('\n')).toContain('Every step held.')
  expect(code).toBe(0)
})
