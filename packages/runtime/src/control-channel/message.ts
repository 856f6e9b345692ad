import { type Parser, parser, type Static, type TSchema } from '@sallyport/schema'

/** What came of the text of a message. */
export type Parsed<T> =
  | { kind: 'message'; message: T }
  | { kind: 'unknown'; type: string }
  | { kind: 'malformed'; problem: string }

/** Reads the messages of one direction of a control channel. */
export type MessageParser<T> = { parse(text: string): Parsed<T> }

/**
 * Compiles the union of the messages of one direction, each with a literal `type`; use at module level. Unknown members are ignored, unknown
 * types are told apart from malformed messages, so that neighbouring versions understand each other.
 */
export function messageParser<S extends TSchema>(union: S): MessageParser<Static<S>> {
  const parsers = new Map<string, Parser<unknown>>()
  for (const variant of variantsOf(union)) parsers.set(variant.properties.type.const, parser(variant as TSchema))
  return {
    parse: text => {
      const value = parseObject(text)
      if (value === undefined) return { kind: 'malformed', problem: 'not a JSON object' }
      if (typeof value.type !== 'string') return { kind: 'malformed', problem: 'no "type"' }
      const known = parsers.get(value.type)
      if (known === undefined) return { kind: 'unknown', type: value.type.slice(0, 64) }
      const [first] = known.problems(value)
      if (first === undefined) return { kind: 'message', message: value as Static<S> }
      return {
        kind: 'malformed',
        problem: `"${value.type}": ${first.field} ${first.message}`,
      }
    },
  }
}

type Variant = { properties: { type: { const: string } } }

function variantsOf(union: TSchema): Variant[] {
  const variants = 'anyOf' in union && Array.isArray(union.anyOf) ? (union.anyOf as Variant[]) : []
  if (variants.length === 0 || variants.some(variant => typeof variant?.properties?.type?.const !== 'string')) {
    throw new TypeError('want a union of objects with a literal "type"')
  }
  return variants
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
