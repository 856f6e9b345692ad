/** Writes every generated file; with `--check` it only says which are stale and exits 1. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { generateAll } from './generated.ts'

const root = join(import.meta.dirname, '..')
const files = await generateAll()
const stale = [...files].filter(
  ([path, text]) => !existsSync(join(root, path)) || readFileSync(join(root, path), 'utf8') !== text,
)

if (process.argv.includes('--check')) {
  for (const [path] of stale) console.error(`${path} is stale: run make generate`)
  process.exitCode = stale.length === 0 ? 0 : 1
} else {
  for (const [path, text] of stale) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
    console.log(`wrote ${relative(process.cwd(), join(root, path))}`)
  }
  console.log(`${files.size} generated files, ${stale.length} written`)
}
