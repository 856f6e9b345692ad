import { API_GROUP, API_NAME, KIND_TABLE, type Kind } from './kind.ts'
import { COMMON_RULES, type PlacedRules } from './rule.ts'

/** What of a JSON Schema a structural schema may hold beside its children. */
const KEPT = [
  'type',
  'description',
  'enum',
  'format',
  'pattern',
  'minLength',
  'maxLength',
  'minimum',
  'maximum',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'required',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-preserve-unknown-fields',
]

type Node = {
  [name: string]: unknown
  type?: string
  properties?: Record<string, Node>
  patternProperties?: Record<string, Node>
  items?: Node
}

/** A CustomResourceDefinition, as the API server takes it. */
export type Definition = {
  [field: string]: unknown
  apiVersion: string
  kind: string
  metadata: { name: string }
  spec: Record<string, unknown>
}

/** The CustomResourceDefinition of a kind. */
export function crdOf(kind: Kind): Definition {
  const { plural, singular, shortNames, columns } = KIND_TABLE[kind]
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${API_GROUP}` },
    spec: {
      group: API_GROUP,
      scope: 'Namespaced',
      names: { kind, listKind: `${kind}List`, plural, singular, shortNames, categories: ['all', 'sallyport'] },
      versions: [
        {
          name: API_NAME,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columns,
          schema: { openAPIV3Schema: objectSchema(kind) },
        },
      ],
    },
  }
}

function objectSchema(kind: Kind): Node {
  const { description, spec, specOptional, status, rules } = KIND_TABLE[kind]
  // typebox's schemas are plain JSON Schema at run time.
  const schema: Node = {
    type: 'object',
    description,
    ...(specOptional ? {} : { required: ['spec'] }),
    properties: {
      apiVersion: { type: 'string', description: 'Version of the API.' },
      kind: { type: 'string', description: 'Kind of the object.' },
      metadata: { type: 'object' },
      spec: structural(spec as unknown as Node),
      status: structural(status as unknown as Node),
    },
  }
  for (const placed of [...COMMON_RULES, ...rules]) attach(schema, placed)
  return schema
}

function structural(node: Node): Node {
  const kept: Node = Object.fromEntries(KEPT.filter(name => node[name] !== undefined).map(name => [name, node[name]]))
  if (node.properties !== undefined) {
    kept.properties = Object.fromEntries(
      Object.entries(node.properties).map(([name, member]) => [name, structural(member)]),
    )
  }
  const [values] = Object.values(node.patternProperties ?? {})
  if (values !== undefined) kept.additionalProperties = structural(values)
  if (node.items !== undefined) kept.items = structural(node.items)
  return kept
}

function attach(schema: Node, { at, rules }: PlacedRules): void {
  const place = (at === '' ? [] : at.split('.')).reduce<Node | undefined>(
    (node, step) => (step === '*' ? node?.items : node?.properties?.[step]),
    schema,
  )
  if (place === undefined) throw new TypeError(`a rule stands at ${at}, which the schema does not have`)
  place['x-kubernetes-validations'] = rules.map(({ cel, message, field }) => ({
    rule: cel,
    message,
    ...(field === '' || field.includes('metadata') ? {} : { fieldPath: `.${field}` }),
  }))
}
