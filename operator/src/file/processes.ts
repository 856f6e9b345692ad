import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock, Log } from '@sallyport/runtime'
import { type KubeObject, nameOf, type Secret } from '../object.ts'
import { KeptProcess } from './process.ts'
import { type Commands, type Folders, type Inherited, processOf } from './workload.ts'

export type ProcessesOptions = {
  /** The state directory. */
  directory: string
  commands: Commands
  inherited: Inherited
  clock: Clock
  log: Log
}

/** Deployments as processes of this machine. One starts when its Secret is there, as a pod does. */
export class Processes {
  readonly #options: ProcessesOptions
  readonly #folders: Folders
  readonly #wanted = new Map<string, KubeObject>()
  readonly #kept = new Map<string, KeptProcess>()
  readonly #turns = new Map<string, Promise<void>>()
  #closed = false

  constructor(options: ProcessesOptions) {
    this.#options = options
    const { directory } = options
    this.#folders = { secrets: join(directory, 'secrets'), volumes: join(directory, 'volumes') }
  }

  /** Name of the Secret that a Deployment mounts. */
  secretNameOf(deployment: KubeObject): string | undefined {
    return this.#read(deployment).secret
  }

  /** Takes up what ran before this operator started. */
  async resume(deployments: readonly KubeObject[], secrets: readonly Secret[]): Promise<void> {
    const names = new Set(secrets.map(nameOf))
    for (const deployment of deployments) {
      const secret = `${deployment.metadata.namespace}/${this.secretNameOf(deployment)}`
      this.#wanted.set(nameOf(deployment), deployment)
      if (names.has(secret)) await this.#ensure(nameOf(deployment))
    }
  }

  async want(deployment: KubeObject, secret: Secret | undefined): Promise<void> {
    this.#wanted.set(nameOf(deployment), deployment)
    if (secret !== undefined) await this.#ensure(nameOf(deployment))
  }

  async secretWritten(secret: KubeObject): Promise<void> {
    for (const [name, deployment] of this.#wanted) {
      const isIts =
        this.secretNameOf(deployment) === secret.metadata.name &&
        deployment.metadata.namespace === secret.metadata.namespace
      if (isIts && !this.#kept.has(name)) await this.#ensure(name)
    }
  }

  async unwant(deployment: KubeObject): Promise<void> {
    const name = nameOf(deployment)
    this.#wanted.delete(name)
    await this.#turn(name, async () => {
      const { directory, clock, log } = this.#options
      const kept = this.#kept.get(name) ?? new KeptProcess(this.#read(deployment).spec, directory, clock, log)
      this.#kept.delete(name)
      await kept.stop()
    })
  }

  /** Ends all of them. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#kept.values()].map(kept => kept.stop()))
    this.#kept.clear()
  }

  #read(deployment: KubeObject) {
    const { commands, inherited } = this.#options
    return processOf(deployment, commands, this.#folders, inherited)
  }

  #ensure(name: string): Promise<void> {
    return this.#turn(name, async () => {
      const deployment = this.#wanted.get(name)
      if (deployment === undefined || this.#closed) return
      const { spec } = this.#read(deployment)
      const kept = this.#kept.get(name)
      if (kept?.spec.digest === spec.digest) return
      await kept?.stop()
      const { directory, clock, log } = this.#options
      for (const path of Object.values(spec.environment)) {
        if (path.startsWith(this.#folders.volumes) && !existsSync(path))
          await mkdir(path, { recursive: true, mode: 0o700 })
      }
      const next = new KeptProcess(spec, directory, clock, log)
      this.#kept.set(name, next)
      await next.start()
    })
  }

  /** One change of a process at a time. */
  #turn(name: string, work: () => Promise<void>): Promise<void> {
    const turn = (this.#turns.get(name) ?? Promise.resolve()).then(work)
    this.#turns.set(
      name,
      turn.catch(() => undefined),
    )
    return turn
  }
}
