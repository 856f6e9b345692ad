import Type, { type Static, type TSchema } from 'typebox'
import { Compile } from 'typebox/compile'

export { type Static, type TSchema, Type }

/** One thing that is wrong with a value: where (dotted path, `` for the value itself) and what was wanted. */
export type Problem = { field: string; message: string }

/** Most problems that are reported of one value. */
const MAX_PROBLEMS = 20

/** The one way from an untrusted value to a typed one. */
export type Parser<T> = {
  /** True when `value` is a T. Members that the schema does not know are allowed where it says so. */
  check(value: unknown): value is T
  /** All problems with `value`, named by field; empty when it is a T. */
  problems(value: unknown): Problem[]
}

/** Compiles `schema` once; use at module level. */
export function parser<S extends TSchema>(schema: S): Parser<Static<S>> {
  const compiled = Compile(schema)
  return {
    check: (value): value is Static<S> => compiled.Check(value),
    problems: value => (compiled.Check(value) ? [] : readable(compiled.Errors(value))),
  }
}

type Raised = { keyword: string; instancePath: string; message: string; params: object }

function readable(errors: Raised[]): Problem[] {
  const unknown = new Set<string>()
  const problems: Problem[] = []
  for (const { keyword, instancePath, message, params } of errors) {
    const field = pathOf(instancePath)
    if (keyword === 'additionalProperties' && 'additionalProperties' in params) {
      for (const name of params.additionalProperties as string[]) unknown.add(join(field, name))
    } else if (keyword === 'required' && 'requiredProperties' in params) {
      for (const name of params.requiredProperties as string[])
        problems.push({ field: join(field, name), message: 'is missing' })
    } else if (keyword === 'enum' && 'allowedValues' in params) {
      problems.push({ field, message: `must be one of ${(params.allowedValues as unknown[]).join(', ')}` })
    } else if (keyword !== 'boolean') {
      problems.push({ field, message })
    }
  }
  for (const field of unknown) problems.push({ field, message: 'is not a known field' })
  return problems.slice(0, MAX_PROBLEMS)
}

/** A JSON Pointer (RFC 6901) as a dotted path. */
const pathOf = (pointer: string) => pointer.slice(1).replaceAll('/', '.').replaceAll('~1', '/').replaceAll('~0', '~')
const join = (field: string, name: string) => (field === '' ? name : `${field}.${name}`)
