/** The generated files of the chart. */
import { stringify } from 'yaml'
import { fieldTable, page, type SchemaNode, YAML_HEADER } from '../reference.ts'
import { ChartValues } from './values.ts'

const DIRECTORY = 'charts/sallyport'
const WIDTH = 118
const HEADER = YAML_HEADER.replace('packages/schema', 'hack/chart/values.ts')

/** values.yaml, its schema and its reference page, by path. */
export function chartFiles(): [string, string][] {
  // A TypeBox schema is JSON Schema; its type does not say so.
  const schema = JSON.parse(JSON.stringify(ChartValues)) as SchemaNode
  const draft = { $schema: 'https://json-schema.org/draft/2020-12/schema', title: 'Values of the Sallyport chart' }
  return [
    [`${DIRECTORY}/values.schema.json`, `${JSON.stringify({ ...draft, ...schema }, null, 2)}\n`],
    [`${DIRECTORY}/values.yaml`, `${HEADER}${[...values(schema, '')].join('\n')}\n`],
    ['docs/reference/chart.md', page('Values of the chart', [INTRODUCTION, fieldTable(schema, 'value')])],
  ]
}

const INTRODUCTION =
  '`helm install sallyport charts/sallyport --namespace sallyport --create-namespace --values FILE`. A value that is not listed here is refused.'

function* values(node: SchemaNode, indent: string): Generator<string> {
  for (const [name, member] of Object.entries(node.properties ?? {})) {
    if (name === 'global') continue
    if (indent === '') yield ''
    yield* comment(member, indent)
    if (member.default !== undefined) {
      const [first, ...rest] = stringify({ [name]: member.default }, { lineWidth: 0 })
        .trimEnd()
        .split('\n')
      yield* [first, ...rest].map(line => indent + line)
    } else if (member.properties !== undefined) {
      yield `${indent}${name}:`
      yield* values(member, `${indent}  `)
    } else yield `${indent}# ${name}:`
  }
}

function* comment(member: SchemaNode, indent: string): Generator<string> {
  yield* wrapped(member.description ?? '', `${indent}# `)
  for (const [name, { description = '' }] of Object.entries(member.items?.properties ?? {})) {
    yield* wrapped(`${name}: ${description}`, `${indent}#   `)
  }
}

function* wrapped(text: string, prefix: string): Generator<string> {
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && prefix.length + line.length + word.length >= WIDTH) {
      yield prefix + line
      line = ''
    }
    line += line === '' ? word : ` ${word}`
  }
  if (line !== '') yield prefix + line
}
