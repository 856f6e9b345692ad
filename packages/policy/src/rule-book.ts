import type { ConnectorAclClaims, ResourceId, ResourceRule } from '@sallyport/schema'
import type { RuleBook } from './authorize.ts'
import { PolicyError } from './error.ts'
import { type CompiledRule, compileRule, ruleDigest } from './rule.ts'

/** A rule that was in force; Client ACLs that name it live until `untilMs`. */
export type FormerRule = { resource: ResourceId; rule: ResourceRule; untilMs: number }

type Kept = { rule: CompiledRule; digest: string; source: ResourceRule; text: string }
type KeptFormer = Kept & { untilMs: number }

/** Most former rules kept of one Resource; the oldest go first. */
const MAX_FORMER = 32

/** The rules of a Connector: those of its ACL, and former ones for as long as a Client ACL may name them. */
export class ConnectorRules implements RuleBook {
  #current = new Map<ResourceId, Kept>()
  readonly #former = new Map<ResourceId, KeptFormer[]>()

  /** `former` are those that {@link former} gave before a restart. */
  constructor(former: readonly FormerRule[] = []) {
    for (const { resource, rule, untilMs } of former) {
      const kept = keep(rule)
      if (kept !== undefined) this.#retire(resource, kept, untilMs)
    }
  }

  /** Puts the Resources of a new Connector ACL in force; what they replace can be named until `formerUntilMs`. Rules that cannot be read allow nothing. */
  replace(resources: ConnectorAclClaims['resources'], nowMs: number, formerUntilMs: number): void {
    const next = new Map<ResourceId, Kept>()
    for (const { uid, rule } of resources) {
      const kept = keep(rule, this.#current.get(uid as ResourceId))
      if (kept !== undefined) next.set(uid as ResourceId, kept)
    }
    this.#forget(nowMs)
    for (const [resource, kept] of this.#current) {
      if (next.get(resource)?.digest !== kept.digest) this.#retire(resource, kept, formerUntilMs)
    }
    this.#current = next
  }

  current(resource: ResourceId): { rule: CompiledRule; digest: string } | undefined {
    return this.#current.get(resource)
  }

  named(resource: ResourceId, digest: string): CompiledRule | undefined {
    const current = this.#current.get(resource)
    if (current?.digest === digest) return current.rule
    return this.#former.get(resource)?.find(former => former.digest === digest)?.rule
  }

  /** Former rules that can still be named, to be written to disk. */
  former(nowMs: number): FormerRule[] {
    this.#forget(nowMs)
    return [...this.#former].flatMap(([resource, kept]) =>
      kept.map(({ source, untilMs }) => ({ resource, rule: source, untilMs })),
    )
  }

  /** Resources in force. */
  get size(): number {
    return this.#current.size
  }

  #retire(resource: ResourceId, kept: Kept, untilMs: number): void {
    const earlier = (this.#former.get(resource) ?? []).filter(({ digest }) => digest !== kept.digest)
    this.#former.set(resource, [...earlier, { ...kept, untilMs }].slice(-MAX_FORMER))
  }

  #forget(nowMs: number): void {
    for (const [resource, kept] of this.#former) {
      const left = kept.filter(({ untilMs }) => nowMs < untilMs)
      if (left.length === 0) this.#former.delete(resource)
      else if (left.length < kept.length) this.#former.set(resource, left)
    }
  }
}

/** Most Resources do not change from one ACL to the next: those keep what was made of their rule. */
function keep(source: ResourceRule, before?: Kept): Kept | undefined {
  const text = JSON.stringify(source)
  if (before?.text === text) return before
  try {
    return { rule: compileRule(source), digest: ruleDigest(source), source, text }
  } catch (error) {
    if (error instanceof PolicyError) return undefined
    throw error
  }
}
