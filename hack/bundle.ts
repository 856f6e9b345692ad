/**
 * Bundles each process into one file, in dist/ or the directory that the argument names, with its source map and the licences of what it contains.
 * The `sallyport` command keeps what only its daemon needs in a directory beside it: a verb that loads all of it takes twice as long to start.
 */
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { type OutputChunk, rolldown } from 'rolldown'

const root = join(import.meta.dirname, '..')
const dist = resolve(process.argv[2] ?? join(root, 'dist'))

const BUNDLES = {
  controller: 'images/controller/src/main.ts',
  relay: 'images/relay/src/main.ts',
  connector: 'images/connector/src/main.ts',
  operator: 'operator/src/main.ts',
  sallyport: 'client/src/main.ts',
}

rmSync(dist, { recursive: true, force: true })
for (const [name, entry] of Object.entries(BUNDLES)) await bundle(name, entry)
chmodSync(join(dist, 'sallyport.mjs'), 0o755)

async function bundle(name: string, entry: string): Promise<void> {
  const build = await rolldown({
    input: { [name]: join(root, entry) },
    platform: 'node',
    // What `ws` uses when it is there; it is not.
    external: ['bufferutil', 'utf-8-validate'],
    // Node reads a whole source map at start: that of our own code is a tenth of all, and names in bundles are as they were.
    plugins: [
      {
        name: 'maps of our own code only',
        transform: {
          filter: { id: /node_modules/ },
          handler: code => ({ code, map: { version: 3, sources: [], names: [], mappings: '' } }),
        },
      },
    ],
    onwarn: warning => {
      // `depd`, of the embedded identity provider, makes functions of fixed texts.
      if (warning.code !== 'EVAL') throw new Error(`${name}: ${warning.message}`)
    },
  })
  const { output } = await build.write({
    dir: dist,
    format: 'esm',
    entryFileNames: '[name].mjs',
    chunkFileNames: `${name}/[name].mjs`,
    codeSplitting: name === 'sallyport',
    sourcemap: true,
    sourcemapExcludeSources: true,
  })
  await build.close()
  const chunks = output.filter((part): part is OutputChunk => part.type === 'chunk')
  writeFileSync(join(dist, `${name}.LICENSES.txt`), licences(chunks.flatMap(({ moduleIds }) => moduleIds)))
  const size = chunks.reduce((sum, { code }) => sum + code.length, 0)
  console.log(`${join(relative(process.cwd(), dist), `${name}.mjs`)} ${(size / 1e6).toFixed(2)} MB`)
}

/** Texts of the licences of every package that a bundle contains, ours first. */
function licences(modules: readonly string[]): string {
  const packages = new Set(modules.filter(id => id.includes('/node_modules/')).map(packageDirectory))
  const texts = [...packages].sort().map(directory => {
    const { name, version, license, author, repository } = JSON.parse(
      readFileSync(join(directory, 'package.json'), 'utf8'),
    )
    const file = readdirSync(directory).find(entry => /^(licen[cs]e|copying)/i.test(entry))
    // A few packages name their licence and carry no text of it.
    const by = [author?.name ?? author, repository?.url ?? repository].filter(Boolean).join(', ')
    const text = file === undefined ? by : readFileSync(join(directory, file), 'utf8').trim()
    return `${name} ${version} (${license})\n\n${text}`
  })
  return `${[readFileSync(join(root, 'LICENSE'), 'utf8').trim(), ...texts].join(`\n\n${'-'.repeat(80)}\n\n`)}\n`
}

/** Directory of the package that a module belongs to: some have a nameless package.json further down, for the module system alone. */
function packageDirectory(module: string): string {
  let directory = dirname(module.replace(/^\0/, '').split('?')[0]!)
  while (!isPackage(directory)) directory = dirname(directory)
  return directory
}

function isPackage(directory: string): boolean {
  const manifest = join(directory, 'package.json')
  return existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version !== undefined
}
