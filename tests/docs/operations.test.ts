/** What the pages for operators name is there: values, fields, variables, metrics, reasons, files, commands. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CONDITION_MEANINGS, EVENT_REASONS, KIND_TABLE, KINDS, REASONS } from '@sallyport/schema'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'

type Schema = {
  enum?: unknown[]
  properties?: Record<string, Schema>
  items?: Schema
  additionalProperties?: Schema | boolean
  anyOf?: Schema[]
}

const root = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const pages = globSync(['README.md', 'docs/operations/**/*.md'], { cwd: root })
const examples = globSync('examples/gitops/*/release.yaml', { cwd: root })

const values: Schema = JSON.parse(read('charts/sallyport/values.schema.json'))
const specs: Schema[] = KINDS.map(
  kind =>
    parse(read(`crds/${KIND_TABLE[kind].plural}.yaml`)).spec.versions[0].schema.openAPIV3Schema.properties
      .spec as Schema,
)
const everything = [values, ...specs].flatMap(inside)
const names = new Set(everything.flatMap(({ properties = {} }) => Object.keys(properties)))
const choices = new Set(everything.flatMap(({ enum: some = [] }) => some.map(String)))
const alerts = globSync('charts/sallyport/files/alerts*.yaml', { cwd: root }).flatMap(path =>
  [...read(path).matchAll(/alert: (\w+)/g)].map(([, name]) => name!),
)
const plurals = KINDS.map(kind => KIND_TABLE[kind].plural)

/** What Kubernetes, Helm, Argo CD and Flux call so. */
const FOREIGN = new Set([
  ...['Deployment', 'Service', 'Secret', 'ConfigMap', 'Lease', 'PersistentVolumeClaim', 'Recreate'],
  ...['ContainerCreating', 'CreateReplace', 'disableWait', 'imagePullSecrets', 'observedGeneration', 'endpoints'],
])

describe.each(pages)('%s', page => {
  const text = read(page)
  const blocks = [...text.matchAll(/^ *```(\w*)\n([\s\S]*?)^ *```/gm)].map(([, language, code]) => ({
    language,
    code: code!,
  }))
  const prose = text.replace(/^ *```[\s\S]*?^ *```/gm, '')
  const inline = [...prose.matchAll(/`([^`]+)`/g)].map(([, code]) => code!)
  const code = [...inline, ...blocks.map(block => block.code)].join('\n')
  const matches = (pattern: RegExp) => [...new Set([...code.matchAll(pattern)].map(match => match[1]!))]

  it('names values of the chart and fields of the kinds', () => {
    const dotted = inline.filter(
      word => /^[a-z][A-Za-z]*(\[\])?(\.[a-z][A-Za-z]*(\[\])?)+$/.test(word) && !isFile(word),
    )
    expect(dotted.filter(path => ![values, ...specs].some(schema => has(schema, path.split('.'))))).toEqual([])
    const single = inline.filter(word => /^[a-z]+([A-Z][a-z]+)+$/.test(word) && !FOREIGN.has(word))
    expect(single.filter(name => !names.has(name))).toEqual([])
  })

  it('shows values that the chart takes', () => {
    const shown = blocks.filter(({ language, code }) => language === 'yaml' && code.includes('# values.yaml'))
    expect(shown.flatMap(({ code }) => unknownFields(values, parse(code)))).toEqual([])
  })

  it('names reasons, conditions and kinds as they are called', () => {
    const known = new Set([
      ...Object.keys(REASONS),
      ...Object.keys(EVENT_REASONS),
      ...Object.keys(CONDITION_MEANINGS),
      ...KINDS,
      ...alerts,
    ])
    const words = inline.filter(word => /^([A-Z][a-z]+)+$/.test(word))
    expect(words.filter(word => !known.has(word) && !choices.has(word) && !FOREIGN.has(word))).toEqual([])
  })

  it('names variables that a process reads', () => {
    const config = read('docs/reference/config.md')
    expect(matches(/(SALLYPORT_[A-Z_]+)/g).filter(name => !config.includes(`\`${name}\``))).toEqual([])
  })

  it('names metrics that a process gives', () => {
    const unknown = matches(/\b(sallyport_[a-z_]+)/g).filter(full => {
      const [, process, name] = /^sallyport_([a-z]+)_(.+)$/.exec(full)!
      return !sourcesOf(process!).includes(`'${name}'`)
    })
    expect(unknown).toEqual([])
  })

  it('names files that exist', () => {
    const paths = matches(/(?:^|[\s"'`(])((?:docs|examples|charts|crds|hack|images|tests)\/[\w./-]*\w)/gm)
    expect(paths.filter(path => !existsSync(join(root, path)))).toEqual([])
  })

  it('types commands and kinds that exist', () => {
    const cli = read('docs/reference/cli.md')
    const verbs = matches(/^ *sallyport ([a-z]+)/gm)
    expect(verbs.filter(verb => !cli.includes(`## sallyport ${verb}\n`))).toEqual([])
    expect(matches(/\b([a-z]+)\.sallyport\.dev\b/g).filter(plural => !plurals.includes(plural))).toEqual([])
  })

  it('names annotations that the operator reads', () => {
    const named = matches(/(?<![\w.])(sallyport\.dev\/[a-z-]+)/g).filter(name => name !== 'sallyport.dev/v')
    expect(named.filter(name => !sourcesOf('operator').includes(name))).toEqual([])
  })
})

describe.each(examples)('%s', file => {
  it('has values that the chart takes', () => {
    const { spec } = parse(read(file))
    const given = spec.values ?? spec.source.helm.valuesObject
    expect(Object.keys(given)).not.toEqual([])
    expect(unknownFields(values, given)).toEqual([])
  })
})

describe('the health check of Argo CD', () => {
  it('knows of reasons as they are called', () => {
    const script = read('docs/operations/argocd/health.lua')
    const reasons = [...script.matchAll(/^ {2}([A-Z]\w+) = true,$/gm)].map(([, reason]) => reason!)
    expect(reasons.length).toBeGreaterThan(0)
    const all = [...reasons, ...[...script.matchAll(/reason == "(\w+)"/g)].map(([, reason]) => reason!)]
    expect(all.filter(reason => !(reason in REASONS))).toEqual([])
  })
  it('is there for every kind', () => {
    const [{ files }] = parse(read('docs/operations/argocd/kustomization.yaml')).configMapGenerator
    expect(files).toEqual(KINDS.map(kind => `resource.customizations.health.sallyport.dev_${kind}=health.lua`))
  })
})

/** A schema and all that it holds. */
function inside(schema: Schema): Schema[] {
  const { properties = {}, items, additionalProperties, anyOf = [] } = schema
  const more = typeof additionalProperties === 'object' ? [additionalProperties] : []
  return [schema, ...[...Object.values(properties), ...(items ? [items] : []), ...more, ...anyOf].flatMap(inside)]
}

function has(schema: Schema, [first, ...rest]: string[]): boolean {
  if (first === undefined) return true
  const next = schema.properties?.[first.replace('[]', '')]
  if (next === undefined) return false
  return has(first.endsWith('[]') ? (next.items ?? {}) : next, rest)
}

/** Paths of what a schema has no place for, or no such choice. */
function unknownFields(schema: Schema, value: unknown, path = ''): string[] {
  if (Array.isArray(value))
    return value.flatMap((item, index) => unknownFields(schema.items ?? {}, item, `${path}[${index}]`))
  if (typeof value !== 'object' || value === null)
    return schema.enum === undefined || schema.enum.includes(value) ? [] : [`${path}: ${value}`]
  if (schema.properties === undefined) return []
  return Object.entries(value).flatMap(([name, field]) => {
    const next = schema.properties?.[name]
    const at = path === '' ? name : `${path}.${name}`
    return next === undefined ? [at] : unknownFields(next, field, at)
  })
}

/** The sources of a process. */
function sourcesOf(process: string): string {
  const directory = process === 'operator' ? process : `images/${process}`
  return globSync(`${directory}/src/**/*.ts`, { cwd: root }).map(read).join('\n')
}

const isFile = (word: string) => /\.(md|yaml|json|mjs|sqlite|crt|key|lua|ts)$/.test(word)
