import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { KIND_TABLE, KINDS, validateObject } from '@sallyport/schema'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { CRDS, describeKube } from './cluster.ts'
import { CASES, manifest } from './crd-case.ts'

describe('an object read from a file', () => {
  it.each(CASES.map((one, index) => ({ ...one, index })))('$name', one => {
    const problems = validateObject(one.kind, manifest(one, one.index))
    if (one.refused === undefined) return expect(problems).toEqual([])
    expect(problems.map(({ field }) => field)).toContain(one.field)
    expect(problems.map(({ message }) => message).join('; ')).toContain(one.refused)
  })
})

describeKube('an object sent to the API server', cluster => {
  it.each(CASES.map((one, index) => ({ ...one, index })))('$name', { timeout: 20_000 }, async one => {
    const object = manifest(one, one.index)
    const { code, stderr } = await cluster().kubectl(
      ['apply', '--server-side', '--dry-run=server', '-f', '-'],
      JSON.stringify(object),
    )
    if (one.refused === undefined) return expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(code).not.toBe(0)
    expect(stderr).toContain(one.refused)
    expect(stderr).toContain(kubernetesPath(one.field ?? ''))
  })
})

describe('the generated definitions', () => {
  const definitions = readdirSync(CRDS).map(file => parse(readFileSync(join(CRDS, file), 'utf8')))

  it('are those of every kind', () => {
    expect(definitions.map(({ spec }) => spec.names.kind).sort()).toEqual([...KINDS].sort())
  })
  it.each(definitions.map(one => ({ name: one.metadata.name, one })))(
    'describe and bound every field: $name',
    ({ one }) => {
      expect(shortcomings(one.spec.versions[0].schema.openAPIV3Schema, '')).toEqual([])
    },
  )
  it('show in kubectl get whether an object is ready', () => {
    for (const kind of KINDS) expect(KIND_TABLE[kind].columns.map(({ name }) => name)).toContain('Ready')
  })
})

type Schema = {
  type?: string
  description?: string
  enum?: string[]
  format?: string
  maxLength?: number
  maxItems?: number
  maxProperties?: number
  nullable?: boolean
  default?: unknown
  properties?: Record<string, Schema>
  items?: Schema
  additionalProperties?: Schema
}

function shortcomings(schema: Schema, path: string): string[] {
  const members = Object.entries(schema.properties ?? {})
  return [
    ...(schema.nullable === undefined ? [] : [`${path} is nullable`]),
    ...(schema.default === undefined ? [] : [`${path} has a default`]),
    ...members
      .filter(([name, member]) => member.description === undefined && !(path === '' && name === 'metadata'))
      .map(([name]) => `${path}.${name} has no description`),
    ...(unbounded(schema) && !path.match(/^\.(apiVersion|kind)$/) ? [`${path} has no bound`] : []),
    ...members.flatMap(([name, member]) => shortcomings(member, `${path}.${name}`)),
    ...(schema.items === undefined ? [] : shortcomings(schema.items, `${path}[]`)),
    ...(schema.additionalProperties === undefined ? [] : shortcomings(schema.additionalProperties, `${path}{}`)),
  ]
}

function unbounded({ type, maxLength, maxItems, maxProperties, additionalProperties, ...schema }: Schema): boolean {
  if (type === 'string') return maxLength === undefined && schema.enum === undefined
  if (type === 'array') return maxItems === undefined
  return additionalProperties !== undefined && maxProperties === undefined
}

/** `spec.aliases.0` as the API server writes it: `spec.aliases[0]`. */
function kubernetesPath(field: string): string {
  return field === 'metadata.name' ? 'metadata.name' : field.replaceAll(/\.([0-9]+)/g, '[$1]')
}
