import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, writeFileAtomic } from '@sallyport/runtime'
import { canonicalJson, type Kind } from '@sallyport/schema'
import type { Declared, KubeObject, Statuses } from '../object.ts'
import { uuidV5 } from '../plan/row.ts'
import type { FileObject } from './object-file.ts'

/** Namespace of the UIDs (RFC 9562, section 5.5). */
const UID_NAMESPACE = '6f2b7b7e-2f5c-5a0b-9f0e-7d1f6c1a4b11'
const REGISTRY_FILE = 'objects.json'

type Seen = { createdAt: string; generation: number; digest: string }

/** What an API server would keep of each object: when it was first seen, how often its spec has changed, its status. */
export class Registry {
  readonly #directory: string
  readonly #uidNamespace: string
  readonly #clock: Clock
  #seen = new Map<string, Seen>()
  #saved = ''
  #writing: Promise<void> = Promise.resolve()

  /** `account` is whose objects these are: two operators of one Controller never give the same UID to objects of the same name. */
  constructor(directory: string, account: { iss: string; sub: string }, clock: Clock) {
    this.#directory = directory
    this.#uidNamespace = uuidV5(UID_NAMESPACE, JSON.stringify([account.iss, account.sub]))
    this.#clock = clock
  }

  async load(): Promise<void> {
    const path = join(this.#directory, REGISTRY_FILE)
    if (!existsSync(path)) return
    this.#saved = readFileSync(path, 'utf8')
    this.#seen = new Map(Object.entries(JSON.parse(this.#saved) as Record<string, Seen>))
  }

  /** The objects of the directory as an API server would show them. Those that are not among them are forgotten. */
  declare(objects: readonly FileObject[]): KubeObject[] {
    const names = new Set(objects.map(({ manifest }) => nameOf(manifest)))
    for (const name of this.#seen.keys()) {
      if (!names.has(name) && !this.#children.has(name)) this.#seen.delete(name)
    }
    const declared = objects.map(({ manifest, problems }) => {
      const object = this.#shown(manifest as unknown as KubeObject)
      if (problems.length === 0) return object
      return { ...object, invalid: problems.map(({ field, message }) => `${field} ${message}`).join('; ') }
    })
    this.#save()
    return declared
  }

  readonly #children = new Set<string>()

  /** An object that the operator itself has made. */
  adopt(object: KubeObject): KubeObject[] {
    this.#children.add(nameOf(object))
    const shown = this.#shown(object)
    this.#save()
    return [shown]
  }

  async writeStatus({ kind, metadata }: Declared, status: Statuses[Kind]): Promise<void> {
    const path = this.#statusFile({ kind, metadata })
    await this.#queue(() => writeFileAtomic(path, `${JSON.stringify(status, null, 2)}\n`, 0o644))
  }

  /** Resolves when everything is on disk; rejects when the last write failed. */
  settled(): Promise<void> {
    return this.#writing
  }

  #shown(object: KubeObject): KubeObject {
    const { kind, metadata, spec } = object
    const name = nameOf(object)
    const digest = createHash('sha256')
      .update(canonicalJson(spec ?? {}))
      .digest('base64url')
    const before = this.#seen.get(name)
    const isNew = before === undefined
    if (isNew || before.digest !== digest) {
      const createdAt = before?.createdAt ?? new Date(this.#clock.now()).toISOString()
      this.#seen.set(name, { createdAt, generation: (before?.generation ?? 0) + 1, digest })
    }
    const { createdAt, generation } = this.#seen.get(name)!
    const uid = uuidV5(this.#uidNamespace, name)
    const status = isNew ? this.#forgetStatus(object) : this.#readStatus({ kind, metadata })
    const shown = { ...object, metadata: { ...metadata, uid, generation, creationTimestamp: createdAt } }
    return status === undefined ? shown : { ...shown, status }
  }

  /** What is left of an object of that name that was there before. */
  #forgetStatus(object: Pick<KubeObject, 'kind' | 'metadata'>): undefined {
    const path = this.#statusFile(object)
    // `settled` tells of a failure.
    this.#queue(() => rm(path, { force: true })).catch(() => undefined)
  }

  #readStatus(object: Pick<KubeObject, 'kind' | 'metadata'>): unknown {
    const path = this.#statusFile(object)
    try {
      return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined
    } catch {
      // A status that cannot be read is written again.
      return undefined
    }
  }

  #statusFile({ kind, metadata }: Pick<KubeObject, 'kind' | 'metadata'>): string {
    return join(this.#directory, 'status', kind, metadata.namespace ?? '', `${metadata.name}.json`)
  }

  #save(): void {
    const text = `${JSON.stringify(Object.fromEntries([...this.#seen].sort()), null, 2)}\n`
    if (text === this.#saved) return
    this.#saved = text
    this.#queue(() => writeFileAtomic(join(this.#directory, REGISTRY_FILE), text)).catch(() => {
      // `settled` tells of it; what is not on disk is written with the next change or look.
      this.#saved = ''
    })
  }

  /** One write after the other, whatever became of the one before: the last one wins. */
  #queue(write: () => Promise<void>): Promise<void> {
    this.#writing = this.#writing.then(write, write)
    return this.#writing
  }
}

const nameOf = ({ kind, metadata }: { kind: string; metadata: { namespace?: string; name: string } }): string =>
  `${kind}/${metadata.namespace}/${metadata.name}`
