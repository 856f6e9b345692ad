import { normaliseRule, PolicyError } from '@sallyport/policy'
import {
  canonicalJson,
  type DeclaredKind,
  GroupBody,
  NetworkBody,
  type Parser,
  type Problem,
  parser,
  RelayBody,
  ResourceBody,
  SlotBody,
  specProblems,
  type TSchema,
} from '@sallyport/schema'
import { secretHash } from '@sallyport/trust'
import { ApiError } from '../error.ts'
import { entryBytes } from '../state/map-entry.ts'
import type { DeclaredOf } from '../state/row.ts'

/** Path of each kind's routes, and the schema of its body. */
export const DECLARED: { readonly [K in DeclaredKind]: { path: string; schema: TSchema } } = {
  network: { path: 'networks', schema: NetworkBody },
  connector: { path: 'connectors', schema: SlotBody },
  resource: { path: 'resources', schema: ResourceBody },
  group: { path: 'groups', schema: GroupBody },
  relay: { path: 'relays', schema: RelayBody },
}

const parsers: { readonly [K in DeclaredKind]: Parser<DeclaredOf<K>['body']> } = {
  network: parser(NetworkBody),
  connector: parser(SlotBody),
  resource: parser(ResourceBody),
  group: parser(GroupBody),
  relay: parser(RelayBody),
}

/** A body that has been checked. `digest`: SHA-256 of its canonical JSON, base64url; `bytes`: what a Resource takes of those of its network. */
export type CheckedBody = {
  text: string
  digest: string
  network: string | undefined
  relayName: string | undefined
  bytes: number
}

/** Checks the body of a PUT. Throws ApiError `invalid_body` with all problems. */
export function checkBody(kind: DeclaredKind, value: unknown): CheckedBody {
  const problems = parsers[kind].problems(value)
  if (problems.length === 0) problems.push(...crossProblems(kind, value))
  if (problems.length > 0) throw new ApiError('invalid_body', undefined, { fields: problems })
  const text = canonicalJson(value)
  const { network, name } = value as { network?: string; name?: string } // Checked just now.
  const bytes = kind === 'resource' && parsers.resource.check(value) ? entryBytes(value) : 0
  return { text, digest: secretHash(text), network, relayName: kind === 'relay' ? name : undefined, bytes }
}

const KIND_NAMES = { network: 'RemoteNetwork', connector: 'Connector', resource: 'Resource', group: 'Group' } as const

/** What the API server's rules say of the spec, and what only the resolved body can show. */
function crossProblems(kind: DeclaredKind, value: unknown): Problem[] {
  if (kind === 'relay') return []
  const { spec } = value as { spec: unknown } // Every other kind has one; checked just now.
  const problems = specProblems(KIND_NAMES[kind], spec).map(({ field, message }) => ({
    field: field === '' ? 'spec' : `spec.${field}`,
    message,
  }))
  if (problems.length === 0 && parsers.resource.check(value)) problems.push(...resourceProblems(value))
  return problems
}

function resourceProblems({ spec, groups }: DeclaredOf<'resource'>['body']): Problem[] {
  const problems: Problem[] = []
  if (groups.length !== (spec.access?.length ?? 0))
    problems.push({ field: 'groups', message: 'must have one entry for each of spec.access' })
  try {
    normaliseRule(spec)
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error
    problems.push({ field: 'spec', message: error.message })
  }
  return problems
}
