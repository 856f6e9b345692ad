import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { COMMON_RULES, KIND_TABLE, KINDS, type Kind, NetworkBody, validateObject } from '@sallyport/schema'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { type ControllerLab, startControllerLab } from '../../images/controller/src/test/lab.ts'
import { bodies, type OperatorHand, uid } from '../../images/controller/src/test/operator.ts'
import { type Answer, type Api, openApi, pathOf } from './api.ts'
import { boundCases, places } from './bound.ts'
import { CRDS, describeKube } from './cluster.ts'
import { CASES, type Case, manifest } from './crd-case.ts'
import { WHOLE } from './whole.ts'

const ALL = [...CASES, ...boundCases()].map((one, index) => ({ ...one, index }))
const DECLARED = ALL.filter(({ status }) => status === undefined)

describe('an object read from a file', () => {
  it.each(DECLARED)('$name', one => {
    const problems = validateObject(one.kind, manifest(one, one.index))
    if (one.refused === undefined) return expect(problems).toEqual([])
    expect(problems.map(({ field }) => field)).toContain(one.field)
    expect(problems.map(({ message }) => message).join('; ')).toContain(one.refused)
  })
})

describeKube('on the API server', cluster => {
  let api: Api
  beforeAll(async () => {
    api = openApi(cluster().kubeconfig)
    for (const kind of KINDS) {
      await api.take(
        'POST',
        pathOf(kind, 'default'),
        manifest({ name: '', kind, spec: WHOLE[kind][0]!.spec, metadata: { name: 'whole' } }, 0),
      )
    }
  })
  afterAll(() => api.close())

  it.each(ALL)('an object is taken or refused: $name', async one => {
    const { status, body } = await send(api, one)
    if (one.refused === undefined)
      return expect({ status, message: body.message }).toEqual({
        status: one.status === undefined ? 201 : 200,
        message: undefined,
      })
    expect([400, 422]).toContain(status)
    expect(body.message).toContain(one.refused)
    expect(body.message).toContain(kubernetesPath(one.field ?? ''))
  })

  it.each(KINDS)('kubectl explain says of every field of a %s what it means', async kind => {
    const shown = await cluster().kube(['explain', `${KIND_TABLE[kind].plural}.sallyport.dev`, '--recursive'])
    const names = places().flatMap(place => (place.kind === kind ? Object.keys(place.schema.properties ?? {}) : []))
    for (const name of names) expect(shown).toMatch(new RegExp(`^ +${name}\\t<`, 'm'))
    // What it prints comes from here.
    const { components } = JSON.parse(await cluster().kube(['get', '--raw', '/openapi/v3/apis/sallyport.dev/v1alpha1']))
    const { description, properties } = components.schemas[`dev.sallyport.v1alpha1.${kind}`]
    const { metadata: _, ...own } = properties
    expect(description).toMatch(/\S/)
    expect(Object.keys(own).sort()).toEqual(['apiVersion', 'kind', 'spec', 'status'])
    expect(undescribed({ properties: own }, '')).toEqual([])
  })
})

describe('a row sent to the Controller', () => {
  let lab: ControllerLab
  let operator: OperatorHand
  beforeAll(async () => {
    lab = await startControllerLab()
    operator = lab.operator()
    await operator.put('network', 'office', bodies.network('office'))
  })
  afterAll(() => lab?.close())

  it.each(DECLARED.filter(isRow))('$name', async ({ kind, spec, refused, field, index }) => {
    const answer = await operator.as(
      'PUT',
      operator.path(ROWS[kind as keyof typeof ROWS], `case-${index}`),
      bodyOf(kind, spec!),
    )
    if (refused === undefined) return expect(answer).toMatchObject({ status: 200 })
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_body' } })
    const problems = answer.body.fields as { field: string; message: string }[]
    expect(problems.map(one => one.field)).toContain(field)
    expect(problems.map(({ message }) => message).join('; ')).toContain(refused)
  })
})

describe('the cases', () => {
  const rules = KINDS.flatMap(kind =>
    [...COMMON_RULES, ...KIND_TABLE[kind].rules].flatMap(({ at, rules }) =>
      rules.map(rule => ({ kind, at, rule, name: `${kind} ${at}: ${rule.message}` })),
    ),
  )
  it.each(rules)('refuse and accept something by the rule $name', ({ kind, at, rule }) => {
    const own = DECLARED.filter(one => one.kind === kind || at === '')
    const place = new RegExp(
      `^${[at, rule.field]
        .filter(part => part !== '')
        .join('.')
        .replaceAll('*', '[0-9]+')}$`,
    )
    const refusing = own.filter(
      ({ refused, field = '' }) =>
        refused !== '' && refused !== undefined && rule.message.includes(refused) && place.test(field),
    )
    expect(refusing.length).toBeGreaterThan(0)
    const accepting = own.filter(one => one.refused === undefined && stands(manifest(one, 0), at.split('.')))
    expect(accepting.length).toBeGreaterThan(0)
  })
})

const ROWS = { RemoteNetwork: 'network', Connector: 'connector', Resource: 'resource', Group: 'group' } as const
const OF_NETWORK_ROW = Object.keys(NetworkBody.properties.spec.properties)

/** Whether the Controller is told all of it: of a RemoteNetwork a part, of a Relay its replicas. */
function isRow({ kind, spec, metadata }: Case): boolean {
  if (spec === undefined || metadata !== undefined || kind === 'Relay') return false
  return kind !== 'RemoteNetwork' || Object.keys(spec).every(name => OF_NETWORK_ROW.includes(name))
}

function bodyOf(kind: Kind, spec: { access?: object[] }): object {
  const { metadata } = bodies.network('case')
  if (kind === 'RemoteNetwork' || kind === 'Group') return { metadata, spec }
  const body = { metadata, network: uid('office'), spec }
  const access = Array.isArray(spec.access) ? spec.access : []
  return kind === 'Connector' ? body : { ...body, groups: access.map(() => null) }
}

/** Tries to make an object, or to write its status; nothing is kept. */
function send(api: Api, one: (typeof ALL)[number]): Promise<Answer> {
  const query = '?dryRun=All&fieldValidation=Strict'
  if (one.status === undefined)
    return api.request('POST', `${pathOf(one.kind, 'default')}${query}`, manifest(one, one.index))
  const path = `${pathOf(one.kind, 'default', 'whole')}/status${query}`
  return api.request('PATCH', path, { status: one.status }, { 'content-type': 'application/merge-patch+json' })
}

function stands(value: unknown, [step, ...rest]: string[]): boolean {
  if (value === undefined || step === undefined || step === '') return value !== undefined
  if (step === '*') return (value as unknown[]).some(item => stands(item, rest))
  return stands((value as Record<string, unknown>)[step], rest)
}

describe('the generated definitions', () => {
  const definitions = readdirSync(CRDS).map(file => parse(readFileSync(join(CRDS, file), 'utf8')))

  it('are those of every kind', () => {
    expect(definitions.map(({ spec }) => spec.names.kind).sort()).toEqual([...KINDS].sort())
  })
  it.each(definitions.map(one => ({ name: one.metadata.name, one })))(
    'bound every field, and have no defaults: $name',
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

function undescribed(schema: Schema, path: string): string[] {
  const { properties = {}, items, additionalProperties } = schema
  return [
    ...Object.entries(properties).flatMap(([name, member]) => [
      ...(/\S/.test(member.description ?? '') ? [] : [`${path}.${name}`]),
      ...undescribed(member, `${path}.${name}`),
    ]),
    ...(items === undefined ? [] : undescribed(items, `${path}[]`)),
    ...(additionalProperties === undefined ? [] : undescribed(additionalProperties, `${path}{}`)),
  ]
}

function shortcomings(schema: Schema, path: string): string[] {
  const members = Object.entries(schema.properties ?? {})
  return [
    ...(schema.nullable === undefined ? [] : [`${path} is nullable`]),
    ...(schema.default === undefined ? [] : [`${path} has a default`]),
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
