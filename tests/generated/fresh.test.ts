import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { generateAll } from '../../hack/generated.ts'

const root = join(import.meta.dirname, '../..')
const files = await generateAll()

describe('generated files', () => {
  it('are more than none', () => {
    expect(files.size).toBeGreaterThan(5)
  })
  it.each([...files])('%s is what make generate writes', (path, text) => {
    expect(existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : 'missing').toBe(text)
  })
})
