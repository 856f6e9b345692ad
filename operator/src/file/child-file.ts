import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '@sallyport/runtime'
import { type KubeObject, nameOf, type Secret } from '../object.ts'
import { uuidV5 } from '../plan/row.ts'
import { readSecretDirectory, writeSecretDirectory } from './secret-directory.ts'

/** Namespace of the UIDs of children (RFC 9562, section 5.5). */
const UID_NAMESPACE = '0d3c1d3e-64a5-5a63-8f5e-5a1f0c6b9d52'

/** Objects that the operator makes: each a JSON file, a Secret's entries files of a directory. */
export class ChildFiles {
  readonly #directory: string
  readonly #names = new Map<string, Set<string>>()
  #version = 0

  constructor(stateDirectory: string) {
    this.#directory = stateDirectory
  }

  get secretDirectory(): string {
    return join(this.#directory, 'secrets')
  }

  /** Names of the children of a kind. */
  names(kind: string): Iterable<string> {
    return this.#names.get(kind) ?? []
  }

  load(): KubeObject[] {
    const root = join(this.#directory, 'children')
    if (!existsSync(root)) return []
    const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.json'))
    return files.flatMap(file => {
      const object: KubeObject = JSON.parse(readFileSync(join(root, file), 'utf8'))
      const data = object.kind === 'Secret' ? this.readSecret(object as Secret) : undefined
      // Its directory was removed while nobody looked: there is no such Secret any more.
      if (object.kind === 'Secret' && data === undefined) return []
      this.#remember(object)
      return [data === undefined ? object : { ...object, data }]
    })
  }

  async write(object: KubeObject): Promise<KubeObject> {
    const { kind, metadata } = object
    const child = { ...object, metadata: { ...metadata, uid: uuidV5(UID_NAMESPACE, `${kind}/${nameOf(object)}`) } }
    if (kind === 'Secret') {
      const { data = {}, ...rest } = child as Secret
      const entries = Object.entries(data).map(([name, text]): [string, Buffer] => [name, Buffer.from(text, 'base64')])
      const version = `${process.pid}-${++this.#version}`
      await writeSecretDirectory(this.#secretPath(metadata), Object.fromEntries(entries), version)
      await writeFileAtomic(this.#path(object), `${JSON.stringify(rest, null, 2)}\n`)
    } else {
      await writeFileAtomic(this.#path(object), `${JSON.stringify(child, null, 2)}\n`)
    }
    this.#remember(child)
    return child
  }

  async remove(object: KubeObject): Promise<void> {
    this.#names.get(object.kind)?.delete(nameOf(object))
    await rm(this.#path(object), { force: true })
    if (object.kind === 'Secret') await rm(this.#secretPath(object.metadata), { recursive: true, force: true })
  }

  /** Entries of a Secret as they stand on disk, sorted; undefined when its directory is gone. */
  readSecret({ metadata }: Secret): Record<string, string> | undefined {
    const data = readSecretDirectory(this.#secretPath(metadata))
    return data === undefined
      ? undefined
      : Object.fromEntries(Object.entries(data).sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  #remember(object: KubeObject): void {
    const names = this.#names.get(object.kind) ?? new Set()
    this.#names.set(object.kind, names.add(nameOf(object)))
  }

  #path({ kind, metadata }: KubeObject): string {
    return join(this.#directory, 'children', kind, metadata.namespace ?? '', `${metadata.name}.json`)
  }

  #secretPath({ namespace = '', name }: KubeObject['metadata']): string {
    return join(this.secretDirectory, namespace, name)
  }
}
