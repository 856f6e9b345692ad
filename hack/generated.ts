/** Every generated file of the project, by its path. */
import { stringify } from 'yaml'
import { clientErrors } from '../client/src/error.ts'
import { cliReference } from '../client/src/index.ts'
import { apiErrors } from '../images/controller/src/error.ts'
import { LOGIN_ERRORS } from '../images/controller/src/login/index.ts'
import { buildOpenApi } from '../images/controller/src/openapi.ts'
import { runtimeErrorCodes } from '../packages/runtime/src/error.ts'
import { tunnelErrorCodes } from '../packages/runtime/src/tunnel/error.ts'
import {
  ClientConfigSchema,
  CONDITION_MEANINGS,
  CONDITIONS,
  ConnectorConfigSchema,
  ControllerConfigSchema,
  crdOf,
  EVENT_REASONS,
  KIND_TABLE,
  KINDS,
  OperatorConfigSchema,
  REASONS,
  RelayConfigSchema,
} from '../packages/schema/src/index.ts'
import { trustErrorCodes } from '../packages/trust/src/error.ts'
import { goawayCodes, relayAlerts, resetCodes, wireErrorCodes } from '../packages/wire/src/index.ts'
import { chartFiles } from './chart/files.ts'
import { metricPage } from './metric-page.ts'
import { fieldTable, HEADER, page, type SchemaNode, table, YAML_HEADER } from './reference.ts'

export async function generateAll(): Promise<Map<string, string>> {
  return new Map([
    ...crdFiles(),
    ...chartFiles(),
    ['docs/reference/openapi.json', await buildOpenApi()],
    ['docs/reference/crds.md', crdPage()],
    ['docs/reference/reasons.md', reasonPage()],
    ['docs/reference/metrics.md', metricPage()],
    ['docs/reference/config.md', configPage()],
    ['docs/reference/errors.md', errorPage()],
    ['docs/reference/cli.md', `${HEADER}\n${cliReference()}`],
  ])
}

/** The chart carries the definitions too: what stands there, Helm installs before anything else. */
function crdFiles(): [string, string][] {
  return KINDS.flatMap(kind => {
    const name = `${KIND_TABLE[kind].plural}.yaml`
    const text = `${YAML_HEADER}${stringify(crdOf(kind), { lineWidth: 0, aliasDuplicateObjects: false })}`
    return ['crds', 'charts/sallyport/crds'].map((folder): [string, string] => [`${folder}/${name}`, text])
  })
}

function crdPage(): string {
  const kinds = KINDS.map(kind => {
    const { description, shortNames, spec, rules } = KIND_TABLE[kind]
    const sentences = rules.flatMap(({ rules: placed }) => placed.map(({ message }) => `- ${message}`))
    return [
      `## ${kind}`,
      `${description} Short name: \`${shortNames.join('`, `')}\`.`,
      fieldTable(node(spec), 'spec'),
      ...(sentences.length > 0 ? [sentences.join('\n')] : []),
    ].join('\n\n')
  })
  return page('Custom resources', [...kinds, 'What their conditions say: [conditions and reasons](reasons.md).'])
}

function reasonPage(): string {
  const conditions = Object.entries(CONDITION_MEANINGS).map(([name, meaning]) => [
    `\`${name}\``,
    KINDS.filter(kind => name === 'Ready' || CONDITIONS[kind].some(one => one === name)).join(', '),
    meaning,
  ])
  const reasons = Object.entries(REASONS).map(([name, { on, meaning, remedy }]) => [
    `\`${name}\``,
    (on.length === 0 ? ['Ready'] : on).map(condition => `\`${condition}\``).join(', '),
    meaning,
    remedy,
  ])
  const events = Object.entries(EVENT_REASONS).map(([name, { object, meaning, remedy }]) => [
    `\`${name}\``,
    object,
    meaning,
    remedy,
  ])
  return page('Conditions and reasons', [
    'Each object says in its `status.conditions` how it stands (`kubectl describe`), and tells of changes of `Ready` in Events. The message of a condition names the object at fault; its reason is one of these.',
    '## Conditions',
    '`Ready` sums up the others: it has the reason and the message of the first that is False.',
    table(['condition', 'kinds', 'when True'], conditions),
    '## Reasons',
    table(['reason', 'conditions', 'meaning', 'what to do'], reasons),
    '## Events beside them',
    table(['reason', 'found at', 'meaning', 'what to do'], events),
  ])
}

function configPage(): string {
  const schemas = {
    Controller: ControllerConfigSchema,
    Operator: OperatorConfigSchema,
    Relay: RelayConfigSchema,
    Connector: ConnectorConfigSchema,
    Client: ClientConfigSchema,
  }
  return page(
    'Configuration',
    Object.entries(schemas).flatMap(([name, schema]) => [
      `## ${name}`,
      String(node(schema).description ?? ''),
      fieldTable(node(schema)),
    ]),
  )
}

function errorPage(): string {
  const coded = (codes: Record<string, { number: number; meaning: string }>) =>
    table(
      ['number', 'code', 'meaning'],
      Object.entries(codes).map(([code, { number, meaning }]) => [String(number), `\`${code}\``, meaning]),
    )
  const plain = (codes: Record<string, string>) =>
    table(
      ['code', 'meaning'],
      Object.entries(codes).map(([code, meaning]) => [`\`${code}\``, meaning]),
    )
  return page('Errors', [
    '## Streams (RESET)',
    coded(resetCodes),
    '## Sessions (GOAWAY)',
    coded(goawayCodes),
    '## Relay (TLS alerts)',
    table(
      ['alert', 'code', 'meaning'],
      Object.entries(relayAlerts).map(([code, { alert, meaning }]) => [String(alert), `\`${code}\``, meaning]),
    ),
    '## Tunnel',
    plain(tunnelErrorCodes),
    '## Frames',
    plain(wireErrorCodes),
    '## Keys, certificates, tokens',
    plain(trustErrorCodes),
    '## REST',
    table(
      ['code', 'status', 'meaning'],
      Object.entries(apiErrors).map(([code, [status, meaning]]) => [`\`${code}\``, String(status), meaning]),
    ),
    '## Login pages',
    table(
      ['code', 'title', 'what to do'],
      Object.entries(LOGIN_ERRORS).map(([code, { title, advice }]) => [`\`${code}\``, title, advice]),
    ),
    '## The `sallyport` command',
    table(
      ['code', 'exit code', 'what to do'],
      Object.entries(clientErrors).map(([code, { exit, hint }]) => [`\`${code}\``, String(exit), hint]),
    ),
    '## Processes',
    plain(runtimeErrorCodes),
  ])
}

/** A TypeBox schema is JSON Schema; its type does not say so. */
const node = (schema: object) => schema as SchemaNode
