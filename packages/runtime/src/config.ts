import { readFileSync } from 'node:fs'
import { type Parser, type Problem, parser, type Static, type TSchema } from '@sallyport/schema'
import { RuntimeError } from './error.ts'
import { type ProxySettings, parseProxySettings } from './proxy.ts'

/** All that is wrong with a configuration. */
export class ConfigError extends RuntimeError {
  override readonly name = 'ConfigError'
  readonly problems: Problem[]

  constructor(source: string, problems: Problem[]) {
    const lines = problems.map(({ field, message }) => `  ${field === '' ? source : field}: ${message}`)
    super('invalid_config', `the configuration is not valid (${source})\n${lines.join('\n')}`)
    this.problems = problems
  }
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads the variables that `schema` names from `environment`: numbers and booleans from their text, defaults where they are absent. An
 * empty variable counts as absent. Throws ConfigError with all problems.
 */
export function configFromEnvironment<S extends TSchema>(
  schema: S,
  environment: Environment = process.env,
): Readonly<Static<S>> {
  const value: Record<string, unknown> = {}
  for (const [name, property] of Object.entries(propertiesOf(schema))) {
    const text = environment[name]
    if (text !== undefined && text !== '') value[name] = typed(text, property)
  }
  return checked(schema, value, 'environment')
}

/** Reads a JSON file by `schema`, with its defaults. Throws ConfigError with all problems. */
export function configFromFile<S extends TSchema>(schema: S, path: string): Readonly<Static<S>> {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new ConfigError(path, [{ field: '', message: `cannot be read: ${message}` }])
  }
  return checked(schema, value, path)
}

/** Checks a configuration that was put together by the caller, after defaults. Throws ConfigError with all problems. */
export function configFromValue<S extends TSchema>(schema: S, value: unknown, source: string): Readonly<Static<S>> {
  return checked(schema, value, source)
}

/** HTTPS_PROXY and NO_PROXY (in either case) of the environment. Throws ConfigError. */
export function proxyFromEnvironment(environment: Environment = process.env): ProxySettings {
  const url = environment.HTTPS_PROXY ?? environment.https_proxy ?? ''
  const settings = parseProxySettings(url, environment.NO_PROXY ?? environment.no_proxy ?? '')
  if (settings === undefined) {
    throw new ConfigError('environment', [{ field: 'HTTPS_PROXY', message: 'must be an http:// or https:// URL' }])
  }
  return settings
}

function checked<S extends TSchema>(schema: S, value: unknown, source: string): Readonly<Static<S>> {
  const whole = withDefaults(schema, value)
  const compiled: Parser<Static<S>> = parser(schema)
  const problems = compiled.problems(whole)
  if (problems.length > 0) throw new ConfigError(source, problems)
  return deepFreeze(whole) as Readonly<Static<S>>
}

function propertiesOf(schema: TSchema): Record<string, TSchema> {
  // The schema of a process's environment is an object; typebox's type of a schema in general does not say what is in it.
  return 'properties' in schema ? (schema.properties as Record<string, TSchema>) : {}
}

function typed(text: string, schema: TSchema): unknown {
  const type = 'type' in schema ? schema.type : undefined
  if ((type === 'integer' || type === 'number') && /^-?[0-9]+(\.[0-9]+)?$/.test(text)) return Number(text)
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true'
  return text
}

function withDefaults(schema: unknown, value: unknown): unknown {
  if (!isRecord(schema)) return value
  if (value === undefined)
    return 'default' in schema ? withDefaults(schema, structuredClone(schema.default)) : undefined
  if (Array.isArray(value)) return value.map(item => withDefaults(schema.items, item))
  if (!isRecord(value) || !isRecord(schema.properties)) return value
  const whole: Record<string, unknown> = { ...value }
  for (const [name, property] of Object.entries(schema.properties)) {
    const member = withDefaults(property, Object.hasOwn(value, name) ? value[name] : undefined)
    if (member !== undefined) whole[name] = member
  }
  return whole
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function deepFreeze(value: unknown): unknown {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const member of Object.values(value)) deepFreeze(member)
  }
  return value
}
