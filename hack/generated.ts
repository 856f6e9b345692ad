/** Every generated file of the project, by its path. */
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
  ConnectorConfigSchema,
  ControllerConfigSchema,
  KIND_TABLE,
  KINDS,
  OperatorConfigSchema,
  REASONS,
  RelayConfigSchema,
} from '../packages/schema/src/index.ts'
import { trustErrorCodes } from '../packages/trust/src/error.ts'
import { goawayCodes, relayAlerts, resetCodes, wireErrorCodes } from '../packages/wire/src/index.ts'
import { generateCrds } from './generate-crds.ts'
import { fieldTable, HEADER, type SchemaNode, table } from './reference.ts'

export async function generateAll(): Promise<Map<string, string>> {
  return new Map([
    ...generateCrds(),
    ['docs/reference/openapi.json', await buildOpenApi()],
    ['docs/reference/crds.md', crdPage()],
    ['docs/reference/config.md', configPage()],
    ['docs/reference/errors.md', errorPage()],
    ['docs/reference/cli.md', `${HEADER}\n${cliReference()}`],
  ])
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
  const conditions = Object.entries(CONDITION_MEANINGS).map(([name, meaning]) => [`\`${name}\``, meaning])
  const reasons = Object.entries(REASONS).map(([name, { meaning, action }]) => [`\`${name}\``, meaning, action])
  return page('Custom resources', [
    ...kinds,
    '## Conditions',
    table(['condition', 'when True'], conditions),
    '## Reasons',
    table(['reason', 'meaning', 'what to do'], reasons),
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

const page = (title: string, parts: string[]) => `${HEADER}\n# ${title}\n\n${parts.join('\n\n')}\n`
/** A TypeBox schema is JSON Schema; its type does not say so. */
const node = (schema: object) => schema as SchemaNode
