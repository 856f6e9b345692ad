import Type from 'typebox'
import { Namespace, strict } from '../common.ts'
import { type Parser, type Problem, parser } from '../parse.ts'
import { API_VERSION, KIND_TABLE, KINDS, type Kind, type Specs } from './kind.ts'
import { COMMON_RULES, type PlacedRules } from './rule.ts'

/** An object as a person writes it. */
export type Manifest<K extends Kind = Kind> = {
  apiVersion: typeof API_VERSION
  kind: K
  metadata: {
    name: string
    namespace?: string
    labels?: Record<string, string>
    annotations?: Record<string, string>
  }
  spec?: Specs[K]
}

const Labels = Type.Optional(Type.Record(Type.String(), Type.String(), { maxProperties: 256 }))
const Metadata = Type.Object({
  name: Type.String({ minLength: 1, maxLength: 253 }),
  namespace: Type.Optional(Namespace),
  labels: Labels,
  annotations: Labels,
})

const parsers = Object.fromEntries(
  KINDS.map(kind => {
    const { spec, specOptional } = KIND_TABLE[kind]
    const members = {
      apiVersion: Type.Literal(API_VERSION),
      kind: Type.Literal(kind),
      metadata: Metadata,
      spec: specOptional ? Type.Optional(spec) : spec,
      status: Type.Optional(Type.Unknown()),
    }
    return [kind, parser(Type.Object(members, strict))]
  }),
) as Record<Kind, Parser<unknown>>

/** Whether `kind` is one of ours. */
export function isKind(kind: unknown): kind is Kind {
  return KINDS.some(known => known === kind)
}

/** All that the API server would refuse of an object: its shape first, then the rules between its fields. */
export function validateObject(kind: Kind, object: unknown): Problem[] {
  const problems = parsers[kind].problems(object)
  if (problems.length > 0) return problems
  const { spec } = object as { spec?: unknown } // Checked just now.
  return [
    ...duplicates(KIND_TABLE[kind].spec as ListSchema, spec, 'spec'),
    ...[...COMMON_RULES, ...KIND_TABLE[kind].rules].flatMap(placed => brokenRules(placed, object)),
  ]
}

/** The rules between the fields of a spec alone, such as the one in a REST body. */
export function specProblems(kind: Kind, spec: unknown): Problem[] {
  const { rules, spec: schema } = KIND_TABLE[kind]
  return [
    ...duplicates(schema as ListSchema, spec, 'spec'),
    ...rules.flatMap(placed => brokenRules(placed, { spec })),
  ].map(({ field, message }) => ({ field: field.replace(/^spec\.?/, ''), message }))
}

/** What of a schema says which items of a list tell apart. */
type ListSchema = {
  properties?: Record<string, ListSchema>
  items?: ListSchema
  'x-kubernetes-list-type'?: 'set' | 'map'
  'x-kubernetes-list-map-keys'?: string[]
}

/** Items of sets and maps that stand there twice, which the API server refuses. */
function duplicates(schema: ListSchema, value: unknown, path: string): Problem[] {
  if (Array.isArray(value)) {
    const { items = {}, 'x-kubernetes-list-type': type, 'x-kubernetes-list-map-keys': keys = [] } = schema
    const within = value.flatMap((item, index) => duplicates(items, item, join(path, String(index))))
    if (type === undefined) return within
    const ids = value.map(item => JSON.stringify(type === 'set' ? item : keys.map(key => item[key])))
    const twice = ids.flatMap((id, index) => (ids.indexOf(id) < index ? [join(path, String(index))] : []))
    return [...within, ...twice.map(field => ({ field, message: 'Duplicate value: it is listed before' }))]
  }
  const members = Object.entries(schema.properties ?? {})
  return members.flatMap(([name, member]) =>
    duplicates(member, (value as Record<string, unknown> | undefined)?.[name], join(path, name)),
  )
}

function brokenRules({ at, rules }: PlacedRules, object: unknown): Problem[] {
  const places = placesOf(object, at === '' ? [] : at.split('.'), '')
  return places.flatMap(({ path, value }) =>
    rules
      // The schema has been checked before, and says what stands at the rule's place.
      .filter(rule => !rule.check(value as never))
      .map(({ field, message }) => ({ field: join(path, field), message })),
  )
}

function placesOf(value: unknown, [step, ...rest]: string[], path: string): { path: string; value: unknown }[] {
  if (value === undefined) return []
  if (step === undefined) return [{ path, value }]
  if (step === '*') {
    return (value as unknown[]).flatMap((item, index) => placesOf(item, rest, join(path, String(index))))
  }
  return placesOf((value as Record<string, unknown>)[step], rest, join(path, step))
}

const join = (path: string, field: string) => [path, field].filter(part => part !== '').join('.')
