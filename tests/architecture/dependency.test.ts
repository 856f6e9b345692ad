import { join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { importsOf, packageOf, readText, sourceFiles } from './imports.ts'
import { FREE_FOLDERS, PACKAGES, type PackageRule, TEST_PACKAGES } from './table.ts'

const root = join(import.meta.dirname, '../..')
const OWN_SCOPE = '@sallyport/'
const isTest = (path: string) => /\.test\.ts$|-lab\.ts$/.test(path) || /\/(test|testdata)\//.test(path)

describe('the dependency table', () => {
  for (const [name, rule] of Object.entries(PACKAGES)) {
    it(`${name}: ${rule.reason}`, () => {
      expect(violations(rule)).toEqual([])
    })
    it(`${name} declares no dependency that the table does not allow`, () => {
      const manifest = JSON.parse(readText(join(root, rule.folder, 'package.json')))
      const declared = Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies })
      expect(declared.filter(dependency => !allowedPackage(rule, dependency))).toEqual([])
    })
  }

  it('covers every workspace', () => {
    const folders = Object.values(PACKAGES).map(rule => rule.folder)
    const manifest = JSON.parse(readText(join(root, 'package-lock.json')))
    const workspaces = Object.keys(manifest.packages).filter(path => path !== '' && !path.includes('node_modules'))
    expect([...folders, 'packages/testkit'].sort()).toEqual(workspaces.sort())
  })

  it('finds each form of import', () => {
    const text = [
      "import a from 'one'",
      "import {\n  b,\n} from 'two'",
      "export * from 'three'",
      "import 'four'",
      "const c = await import('five')",
      "import type { D } from 'six'",
      "// import x from 'seven'",
    ].join('\n')
    expect(importsOf(text).names.sort()).toEqual(['five', 'four', 'one', 'six', 'three', 'two'])
    expect(importsOf('await import(name)').computed).toBe(1)
  })
})

function violations(rule: PackageRule): string[] {
  const folder = join(root, rule.folder)
  return sourceFiles(folder).flatMap(path => {
    const { names, computed } = importsOf(readText(path))
    const where = relative(root, path)
    return [
      ...names.filter(name => !allowedImport(rule, path, name)).map(name => `${where} imports ${name}`),
      ...(computed > 0 && !isTest(path) ? [`${where} imports a module whose name is computed`] : []),
    ]
  })
}

function allowedImport(rule: PackageRule, path: string, specifier: string): boolean {
  if (specifier.startsWith('.')) {
    const target = resolve(path, '..', specifier)
    return (
      target.startsWith(`${join(root, rule.folder)}/`) ||
      (isTest(path) && FREE_FOLDERS.some(free => target.startsWith(join(root, free))))
    )
  }
  if (isTest(path)) {
    return (
      specifier.startsWith('node:') ||
      specifier.startsWith(OWN_SCOPE) ||
      TEST_PACKAGES.includes(packageOf(specifier)) ||
      allowedPackage(rule, packageOf(specifier))
    )
  }
  if (specifier.startsWith('node:'))
    return rule.node === 'all' || (rule.node !== 'none' && rule.node.includes(specifier))
  return allowedPackage(rule, packageOf(specifier))
}

function allowedPackage(rule: PackageRule, name: string): boolean {
  if (name.startsWith(OWN_SCOPE)) return rule.own.includes(name.slice(OWN_SCOPE.length))
  return rule.thirdParty.some(allowed =>
    allowed.endsWith('/*') ? name.startsWith(allowed.slice(0, -1)) : name === allowed,
  )
}
