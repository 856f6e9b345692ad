import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, type DirectoryWatch, type Log, watchDirectory, writeFileAtomic } from '@sallyport/runtime'
import { KINDS, type Kind } from '@sallyport/schema'
import { type AnyKind, type Declared, type KubeObject, nameOf, type Secret, type Statuses } from '../object.ts'
import {
  type ChangeListener,
  isFormer,
  type ObjectEvent,
  type Provider,
  ProviderError,
  type Told,
} from '../provider.ts'
import { ObjectStore } from '../store.ts'
import { ChildFiles } from './child-file.ts'
import { EventFile } from './event-file.ts'
import { type FileMemory, type FileObject, type FileProblem, readObjects } from './object-file.ts'
import { Processes } from './processes.ts'
import { Registry } from './registry.ts'
import { TokenSigner } from './token.ts'
import type { Commands, Inherited } from './workload.ts'

export type FileOptions = {
  directory: string
  stateDirectory: string
  namespace: string
  commands: Commands
  inherited: Inherited
  token: { iss: string; sub: string; aud: string }
  clock: Clock
  log: Log
  onChange: ChangeListener
  onWrite: (verb: string, kind: string) => void
}

const EVENT_FILE = 'events.jsonl'
const PROBLEM_FILE = 'problems.json'
const CONFIRM_FILE = 'confirm-removal'

/** Objects in a directory of YAML files, their children as directories and processes of this machine. */
export class FileProvider implements Provider {
  readonly platform = 'host'
  readonly store: ObjectStore
  readonly #options: FileOptions
  readonly #registry: Registry
  readonly #children: ChildFiles
  readonly #processes: Processes
  readonly #events: EventFile
  readonly #memory: FileMemory = new Map()
  readonly #watches: DirectoryWatch[] = []
  #signer: TokenSigner | undefined
  #failure: string | undefined
  #problems = '[]'
  #collecting: Promise<void> = Promise.resolve()
  #version = 0

  constructor(options: FileOptions) {
    const { stateDirectory, token, clock, log, onChange } = options
    this.#options = options
    this.store = new ObjectStore(change => {
      onChange(change)
      if (change.gone === 'listed') this.#letGo()
    })
    this.#registry = new Registry(stateDirectory, token, clock)
    this.#children = new ChildFiles(stateDirectory)
    this.#events = new EventFile(join(stateDirectory, EVENT_FILE))
    this.#processes = new Processes({ ...options, directory: stateDirectory, clock, log })
  }

  async start(): Promise<void> {
    const { directory, stateDirectory, token, clock } = this.#options
    await mkdir(stateDirectory, { recursive: true, mode: 0o700 })
    this.#signer = await TokenSigner.open(stateDirectory, token, clock)
    await this.#registry.load()
    for (const child of this.#children.load()) this.#putChild(child)
    this.#watches.push(watchDirectory(directory, () => this.#changed(), { clock, recursive: true }))
    await this.#read()
    const secrets = this.#children.secretDirectory
    this.#watches.push(watchDirectory(secrets, () => this.#lookAtSecrets(), { clock, recursive: true }))
    await this.#processes.resume([...this.store.all('Deployment')], [...this.store.all('Secret')])
  }

  async resync(): Promise<AnyKind[]> {
    this.#lookAtSecrets()
    await this.#read()
    return this.#failure === undefined ? [] : [...KINDS]
  }

  /** A file that was not there when the directory was read is not there. */
  async seek(): Promise<boolean> {
    return false
  }

  stale(): string | undefined {
    return this.#failure
  }

  leaderless(): undefined {}

  async apply(object: KubeObject): Promise<void> {
    await this.makeRoom(object)
    this.#options.onWrite('apply', object.kind)
    const child = await this.#children.write(object)
    this.#putChild(child)
    if (object.kind === 'Deployment') await this.#processes.want(child, this.#secretOf(child))
    if (object.kind === 'Secret') await this.#processes.secretWritten(object)
  }

  async makeRoom(object: KubeObject): Promise<void> {
    const live = this.store.get(object.kind as AnyKind, object.metadata.namespace ?? '', object.metadata.name)
    if (isFormer(object, live as unknown as KubeObject | undefined)) await this.#drop(live as unknown as KubeObject)
  }

  async create(object: KubeObject): Promise<void> {
    const { namespace = '', name } = object.metadata
    if (this.store.get(object.kind as AnyKind, namespace, name) === undefined) await this.apply(object)
  }

  async remove(object: KubeObject): Promise<void> {
    this.#options.onWrite('delete', object.kind)
    await this.#drop(object)
    await this.#collect()
  }

  async writeStatus(object: Declared, status: Statuses[Kind]): Promise<void> {
    const { namespace, name, uid } = object.metadata
    const live = this.store.get(object.kind, namespace, name)
    if (live === undefined || live.metadata.uid !== uid) return
    this.#options.onWrite('apply', `${object.kind}/status`)
    this.#put({ ...(live as unknown as KubeObject), status })
    await this.#registry.writeStatus(object, status)
  }

  async event({ kind, metadata }: Told, { type, reason, message }: ObjectEvent): Promise<void> {
    await this.#tell({ kind, namespace: metadata.namespace, name: metadata.name, type, reason, message })
  }

  async announce({ type, reason, message }: ObjectEvent): Promise<void> {
    await this.#tell({ kind: 'Operator', type, reason, message })
  }

  async confirmation(): Promise<string | undefined> {
    try {
      return (await readFile(join(this.#options.stateDirectory, CONFIRM_FILE), 'utf8')).trim()
    } catch {
      // Nobody has confirmed anything.
      return undefined
    }
  }

  async token(): Promise<string> {
    if (this.#signer === undefined) throw new ProviderError('unavailable', 'the provider has not started')
    return this.#signer.sign()
  }

  async lead(): Promise<void> {}

  async close(): Promise<void> {
    for (const watch of this.#watches) watch.close()
    await this.#collecting
    await this.#processes.close()
    await this.#registry.settled()
  }

  #changed(): void {
    this.#read().catch(error => this.#options.log.error({ err: error }, 'the directory cannot be taken in'))
  }

  /** Takes in the directory as it is. A directory that cannot be read takes nothing away. */
  async #read(): Promise<void> {
    const { directory, namespace, log } = this.#options
    let found: { objects: FileObject[]; problems: FileProblem[] }
    try {
      found = readObjects(directory, namespace, this.#memory)
    } catch (error) {
      const reason = `${directory}: ${error instanceof Error ? error.message : String(error)}`
      if (this.#failure !== reason) log.error({ reason }, 'the directory cannot be read')
      this.#failure = reason
      return
    }
    this.#failure = undefined
    const declared = this.#registry.declare(found.objects)
    for (const kind of KINDS) {
      const objects = declared.filter(object => object.kind === kind)
      for (const object of objects) this.#putIfChanged(object)
      const names = new Set(objects.map(nameOf))
      const children = new Set(this.#children.names(kind))
      for (const object of [...this.store.all(kind)] as unknown as KubeObject[]) {
        const name = nameOf(object)
        if (!names.has(name) && !children.has(name)) this.store.miss(kind, object)
      }
    }
    await this.#collect()
    await this.#registry.settled()
    await this.#tellProblems(found)
  }

  async #tellProblems({ objects, problems }: { objects: FileObject[]; problems: FileProblem[] }): Promise<void> {
    const invalid = objects.flatMap(({ manifest: { kind, metadata }, problems, file }) =>
      problems.map(({ field, message }) => ({ file, message: `${kind} "${metadata.name}": ${field} ${message}` })),
    )
    const text = JSON.stringify([...problems, ...invalid], null, 2)
    if (text === this.#problems) return
    this.#problems = text
    for (const problem of [...problems, ...invalid]) this.#options.log.warn(problem, 'a file is not what it must be')
    await writeFileAtomic(join(this.#options.stateDirectory, PROBLEM_FILE), `${text}\n`)
  }

  /** Children go once what owns them has been let go. */
  #letGo(): void {
    this.#collecting = this.#collecting
      .then(() => this.#collect())
      .catch(error => this.#options.log.error({ err: error }, 'children cannot be removed'))
  }

  #putIfChanged(object: KubeObject): void {
    const { kind, metadata } = object
    const before = this.store.get(kind as Kind, metadata.namespace ?? '', metadata.name)
    const said = ({ metadata: { resourceVersion: _, ...rest }, status: __, ...fields }: KubeObject) =>
      JSON.stringify([rest, fields])
    const live = before as unknown as KubeObject | undefined
    if (live === undefined || said(live) !== said(object)) this.#put(object)
    // A file that is there again.
    else this.store.put(kind as Kind, live)
  }

  #put(object: KubeObject): void {
    const metadata = { ...object.metadata, resourceVersion: String(++this.#version) }
    this.store.put(object.kind as AnyKind, { ...object, metadata })
  }

  /** A Connector that a RemoteNetwork brings is declared as well: it has a UID, a generation, a status. */
  #putChild(child: KubeObject): void {
    const [declared] = KINDS.includes(child.kind as Kind) ? this.#registry.adopt(child) : []
    this.#put(declared ?? child)
  }

  #secretOf(deployment: KubeObject): Secret | undefined {
    const name = this.#processes.secretNameOf(deployment)
    return name === undefined ? undefined : this.store.get('Secret', deployment.metadata.namespace ?? '', name)
  }

  /** A Secret whose files someone has removed or changed is seen as it is. */
  #lookAtSecrets(): void {
    for (const secret of [...this.store.all('Secret')]) {
      const data = this.#children.readSecret(secret)
      if (data === undefined) this.store.remove('Secret', secret, 'told')
      else if (JSON.stringify(data) !== JSON.stringify(sortedData(secret.data ?? {}))) this.#put({ ...secret, data })
    }
  }

  /** Children whose owner is gone go too. */
  async #collect(): Promise<void> {
    const uids = new Set(KINDS.flatMap(kind => [...this.store.all(kind)].map(({ metadata }) => metadata.uid)))
    const kinds = ['Connector', 'Deployment', 'Service', 'Secret', 'PodDisruptionBudget'] as const
    for (const kind of kinds) {
      for (const object of [...this.store.all(kind)] as unknown as KubeObject[]) {
        const owners = object.metadata.ownerReferences ?? []
        if (owners.length > 0 && !owners.some(({ uid }) => uids.has(uid))) {
          await this.#drop(object)
          if (kind === 'Connector') return this.#collect()
        }
      }
    }
  }

  async #drop(object: KubeObject): Promise<void> {
    const { namespace = '', name } = object.metadata
    const live = this.store.get(object.kind as AnyKind, namespace, name)
    if (live !== undefined) this.store.remove(object.kind as AnyKind, live as unknown as KubeObject, 'told')
    if (object.kind === 'Deployment') await this.#processes.unwant(object)
    await this.#children.remove(object)
  }

  async #tell(event: object): Promise<void> {
    const time = new Date(this.#options.clock.now()).toISOString()
    await this.#events.append({ time, ...event })
  }
}

function sortedData(data: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(data).sort(([a], [b]) => (a < b ? -1 : 1)))
}
