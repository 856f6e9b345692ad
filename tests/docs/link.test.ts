import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const pages = globSync(['*.md', 'docs/**/*.md', 'hack/**/*.md', 'examples/**/*.md', 'charts/**/*.md'], {
  cwd: root,
  exclude: path => path.includes('node_modules'),
})

describe('pages', () => {
  it('exist', () => {
    expect(pages).toContain('README.md')
  })
  it.each(pages)('%s leads to files that exist', page => {
    const text = readFileSync(join(root, page), 'utf8').replace(/```[\s\S]*?```/g, '')
    const targets = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
      .map(match => match[1]!)
      .filter(target => !/^[a-z]+:/.test(target))
    const missing = targets.filter(target => !existsSync(join(root, dirname(page), target)))
    expect(missing.map(target => `${relative(root, page)} -> ${target}`)).toEqual([])
  })
  it.each(pages)('%s names only targets that make has', page => {
    const makefile = readFileSync(join(root, 'Makefile'), 'utf8')
    const targets = new Set([...makefile.matchAll(/^([a-z0-9-]+):/gm)].map(match => match[1]!))
    const text = readFileSync(join(root, page), 'utf8')
    const named = [...text.matchAll(/(?:^|`)make ([a-z0-9-]+)/gm)].map(match => match[1]!)
    expect(named.filter(name => !targets.has(name))).toEqual([])
  })
})
