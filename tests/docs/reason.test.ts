import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CONDITIONS, EVENT_REASONS, REASONS } from '@sallyport/schema'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../../operator/src')
const source = globSync(['**/*.ts', '../../packages/policy/src/*.ts'], { cwd: root })
  .filter(path => !path.endsWith('.test.ts'))
  .map(path => readFileSync(join(root, path), 'utf8'))
  .join('\n')
const conditions = new Set<string>(Object.values(CONDITIONS).flat())
const page = readFileSync(join(root, '../../docs/reference/reasons.md'), 'utf8')

describe('a reason', () => {
  it.each(Object.entries({ ...REASONS, ...EVENT_REASONS }))('is given somewhere, and explained: %s', (name, entry) => {
    expect(source).toContain(`'${name}'`)
    expect(page).toContain(`| \`${name}\` |`)
    expect(page).toContain(entry.meaning)
  })

  it.each(Object.entries(REASONS))('belongs to conditions that some kind has: %s', (_, { on }) => {
    expect(on.filter(condition => !conditions.has(condition))).toEqual([])
  })

  it.each(Object.entries(REASONS).filter(([name]) => new RegExp(`isFalse\\(\\s*'\\w+',\\s*'${name}'`).test(source)))(
    'of what does not hold says what to do: %s',
    (name, { remedy }) => {
      expect(name === 'Settled' || remedy !== '').toBe(true)
    },
  )
})
