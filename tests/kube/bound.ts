import { KIND_TABLE, KINDS, type Kind } from '@sallyport/schema'
import type { Case } from './crd-case.ts'
import { ADAPT, ITEMS, TEXTS, WHOLE } from './whole.ts'

/** What a JSON Schema says of one place. */
type Schema = {
  [keyword: string]: unknown
  type?: string
  properties?: Record<string, Schema>
  patternProperties?: Record<string, Schema>
  items?: Schema
  required?: string[]
}
/** A place of a kind: its path (`*` is the first item of a list, `{}` the first member of a map), and its schema. */
type Place = { kind: Kind; path: string; schema: Schema }
/** A value and what is said of it where it is refused. `at` is below the place. */
type Try = { name: string; value: unknown; refused?: string; at?: string }

/** Keywords that bound nothing. `pattern` and `format` are tried with the text, `required` and the like with the object. */
const SILENT = [
  'type',
  'description',
  'properties',
  'patternProperties',
  'items',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-preserve-unknown-fields',
]
const MISSING = Symbol('missing')

/** For every bound of every kind a value at it and the nearest beyond it. Throws where a new place or bound has no value to try. */
export function boundCases(): Case[] {
  return places().flatMap(place => triesOf(place).map(one => caseOf(place, one)))
}

/** Every place of every kind. */
export function places(): Place[] {
  return KINDS.flatMap(kind => {
    const { spec, status } = KIND_TABLE[kind]
    // typebox's schemas are plain JSON Schema at run time.
    return [...below(kind, 'spec', spec as unknown as Schema), ...below(kind, 'status', status as unknown as Schema)]
  })
}

function below(kind: Kind, path: string, schema: Schema): Place[] {
  const { properties = {}, items, patternProperties = {} } = schema
  return [
    { kind, path, schema },
    ...Object.entries(properties).flatMap(([name, member]) => below(kind, `${path}.${name}`, member)),
    ...(items === undefined ? [] : below(kind, `${path}.*`, items)),
    ...Object.values(patternProperties).flatMap(member => below(kind, `${path}.{}`, member)),
  ]
}

function triesOf(place: Place): Try[] {
  const bounds = Object.keys(place.schema).filter(keyword => !SILENT.includes(keyword))
  return [...typeTries(place), ...bounds.flatMap(keyword => boundTries(place, keyword, place.schema[keyword]))]
}

function typeTries({ path, schema: { type = '', format } }: Place): Try[] {
  if (path === 'spec' || path === 'status') return []
  // The API server names the format in place of the type.
  const refused = format === undefined ? type : ''
  const tries: Try[] = [{ name: `not of type ${type}`, value: type === 'string' ? 1 : 'x', refused }]
  return type === 'integer' ? [...tries, { name: 'not whole', value: 1.5, refused: 'integer' }] : tries
}

function boundTries({ path, schema, kind }: Place, keyword: string, limit: unknown): Try[] {
  const number = Number(limit)
  const text = () => TEXTS[String(schema.pattern ?? '')] ?? fail(`${kind} ${path}: no text for ${schema.pattern}`)
  const beyond = (length: number) => {
    const fitting = text().of(length)
    return fitting.length === length ? fitting : 'a'.repeat(length)
  }
  const says = (value: unknown) => `${keyword} ${limit}: ${value}`
  switch (keyword) {
    case 'maxLength':
      return [
        { name: says('longest'), value: text().of(number) },
        { name: says('one more'), value: beyond(number + 1), refused: String(limit) },
      ]
    case 'minLength':
      return [
        { name: says('shortest'), value: text().of(number) },
        { name: says('one less'), value: beyond(number - 1), refused: String(limit) },
      ]
    case 'pattern':
      return [{ name: says('another text'), value: text().bad, refused: String(limit) }]
    case 'format':
      return [{ name: says('another text'), value: 'tomorrow', refused: String(limit) }]
    case 'enum': {
      const values = limit as string[]
      return [
        ...values.map(value => ({ name: `one of ${values}: ${value}`, value })),
        { name: `one of ${values}: another`, value: 'Other', refused: values[0]! },
      ]
    }
    case 'minimum':
    case 'maximum': {
      const step = keyword === 'minimum' ? -1 : 1
      return [
        { name: says('at it'), value: number },
        { name: says('beyond'), value: number + step, refused: String(limit) },
      ]
    }
    case 'minItems':
    case 'maxItems': {
      const step = keyword === 'minItems' ? -1 : 1
      return [
        { name: says('at it'), value: items(kind, path, number) },
        { name: says('beyond'), value: items(kind, path, number + step), refused: String(limit) },
      ]
    }
    case 'maxProperties':
      return [
        { name: says('at it'), value: members(kind, path, number) },
        { name: says('beyond'), value: members(kind, path, number + 1), refused: String(limit) },
      ]
    case 'required':
      return (limit as string[]).map(name => ({ name: `without ${name}`, value: MISSING, refused: '', at: `.${name}` }))
    case 'additionalProperties':
      return [{ name: 'with a field that is not known', value: 'x', refused: 'known field', at: '.unknown' }]
    case 'x-kubernetes-list-type': {
      const [first] = items(kind, path, 1)
      return [{ name: 'with an item twice', value: [first, first], refused: 'Duplicate value', at: '.1' }]
    }
    default:
      return fail(`${kind} ${path}: nothing is known to try for ${keyword}`)
  }
}

function items(kind: Kind, path: string, count: number): unknown[] {
  const item = ITEMS[path] ?? fail(`${kind} ${path}: no items to fill the list with`)
  return Array.from({ length: count }, (_, index) => item(index))
}

function members(kind: Kind, path: string, count: number): object {
  const [value] = Object.values(valueAt(wholeWith(kind, path), path.split('.')) as object)
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`key-${index}`, value]))
}

function caseOf({ kind, path }: Place, { name, value, refused, at = '' }: Try): Case {
  const object = wholeWith(kind, path)
  const where = `${path}${at.replace('.1', '')}`
  const keys = where.split('.')
  set(object, keys, value)
  if (refused === undefined)
    ADAPT[where]?.(valueAt(object, keys.slice(0, -1)) as never, value as never, object.spec as never)
  const field = realPath(wholeWith(kind, path), `${path}${at}`)
  const { spec, status } = object
  const isOfStatus = path.startsWith('status')
  const rest = { kind, spec, ...(isOfStatus ? { status } : {}), ...(refused === undefined ? {} : { refused, field }) }
  return { name: `${kind} ${path} ${name}`, ...rest }
}

type Whole = { spec: object; status: object }

/** A copy of the object of a kind that has something at `path`. */
export function wholeWith(kind: Kind, path: string): Whole {
  const found = WHOLE[kind].find(one => valueAt(one, path.split('.')) !== undefined)
  return structuredClone(found ?? fail(`${kind} ${path}: stands in no object to try`))
}

/** The key that a step of a path stands for. */
const keyOf = (value: object, step: string) => (step === '*' ? '0' : step === '{}' ? Object.keys(value)[0]! : step)

function valueAt(value: unknown, [step, ...rest]: string[]): unknown {
  if (step === undefined || value === undefined) return value
  return valueAt((value as Record<string, unknown>)[keyOf(value as object, step)], rest)
}

function set(object: object, keys: string[], value: unknown): void {
  const parent = valueAt(object, keys.slice(0, -1)) as Record<string, unknown>
  const key = keyOf(parent, keys.at(-1)!)
  if (value === MISSING) delete parent[key]
  else parent[key] = value
}

function realPath(object: object, path: string): string {
  const keys = path.split('.')
  return keys
    .map((step, index) =>
      step === '*' || step === '{}' ? keyOf(valueAt(object, keys.slice(0, index)) as object, step) : step,
    )
    .join('.')
}

function fail(message: string): never {
  throw new Error(`${message}: add it to tests/kube/whole.ts`)
}
