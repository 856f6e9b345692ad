import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ClientConfigSchema, ConnectorConfigSchema, OperatorConfigSchema, RelayConfigSchema } from '@sallyport/schema'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const pages = globSync('docs/operations/*.md', { cwd: root })
const schemas = [ClientConfigSchema, ConnectorConfigSchema, OperatorConfigSchema, RelayConfigSchema]
/** The Controller reads a file, which this one names. */
const known = new Set(['SALLYPORT_CONFIG', ...schemas.flatMap(({ properties }) => Object.keys(properties))])

describe('pages of operations', () => {
  it('exist', () => {
    expect(pages.length).toBeGreaterThan(2)
  })
  it.each(pages)('%s names only variables that a process reads', page => {
    const named = readFileSync(join(root, page), 'utf8').match(/\bSALLYPORT_[A-Z_]+/g) ?? []
    expect(named.filter(name => !known.has(name))).toEqual([])
  })
})
