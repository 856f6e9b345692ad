import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** TypeScript files below `folder`, without installed packages. */
export function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map(entry => join(entry.parentPath, entry.name))
    .filter(path => !/(^|\/)(node_modules|dist)\//.test(path))
}

const STATIC = /^\s*(?:import|export)\s[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]/gm
const BARE = /^\s*import\s*['"]([^'"]+)['"]/gm
const DYNAMIC = /\bimport\s*\(\s*(['"])([^'"]+)\1/g
const COMPUTED = /\bimport\s*\(\s*(?!['"])/g

/** What a module imports, type-only imports among it; `computed` counts imports whose name is not written out. */
export function importsOf(text: string): { names: string[]; computed: number } {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
  const names = [
    ...[...code.matchAll(STATIC)].map(match => match[1]!),
    ...[...code.matchAll(BARE)].map(match => match[1]!),
    ...[...code.matchAll(DYNAMIC)].map(match => match[2]!),
  ]
  return { names, computed: [...code.matchAll(COMPUTED)].length }
}

/** Package that a bare import names: `@scope/name` or `name`. */
export function packageOf(specifier: string): string {
  const [first, second] = specifier.split('/')
  return first!.startsWith('@') ? `${first}/${second}` : first!
}

export const readText = (path: string): string => readFileSync(path, 'utf8')
